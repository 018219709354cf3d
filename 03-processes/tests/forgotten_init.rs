//! A program whose `main` does not call `processes::init()`: it gets a clear error, and no process is started.

use processes::{Pool, SpawnError};

fn main() {
    // Were children started, they would come here too, and each would start more.
    let error = processes::spawn(|n: u32| n + 1, 1).expect_err("nothing may be started");
    assert!(matches!(error, SpawnError::NotInitialised), "{error:?}");
    assert!(error.to_string().contains("make it the first statement of `main`"), "{error}");
    assert!(
        Pool::new().expect_err("nothing may be started").to_string().contains("processes::init()")
    );
    assert!(processes::active_children().is_empty());
    println!("test a_program_that_forgets_init ... ok");
}
