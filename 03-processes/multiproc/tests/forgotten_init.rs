//! A program whose `main` does not call `multiproc::init()`: it gets a clear error, and no process
//! is started.

use multiproc::{Pool, SpawnError};

fn main() {
    // Were children started, they would come here too, and each would start more.
    let error = multiproc::spawn(|n: u32| n + 1, 1).expect_err("nothing may be started");
    assert!(matches!(error, SpawnError::NotInitialized), "{error:?}");
    assert!(error.to_string().contains("make it the first statement of `main`"), "{error}");
    assert!(
        Pool::new().expect_err("nothing may be started").to_string().contains("multiproc::init()")
    );
    assert!(multiproc::active_children().is_empty());
    println!("test a_program_that_forgets_init ... ok");
}
