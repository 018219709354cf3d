//! Under the standard harness, whose `main` is not the test's: `init_tests!` makes a child begin
//! before it.

use std::process::{Command, Stdio};
use std::time::Duration;

use multiproc::{JoinError, Pool, spawn};

multiproc::init_tests!();

#[test]
fn a_child_answers() {
    assert_eq!(spawn(|n: u32| n + 1, 41).unwrap().join(), Ok(42));
}

#[test]
fn children_of_several_tests_at_a_time() {
    let children: Vec<_> = (0..10).map(|n| spawn(|n: u32| n * n, n).unwrap()).collect();
    let results: Vec<u32> = children.iter().map(|child| child.join().unwrap()).collect();
    assert_eq!(results, (0..10).map(|n| n * n).collect::<Vec<_>>());
}

#[test]
fn a_panic_is_an_error() {
    let child = spawn(|()| -> () { panic!("expected") }, ()).unwrap();
    assert!(
        matches!(child.join(), Err(JoinError::Panicked { message, .. }) if message == "expected")
    );
}

#[test]
fn grandchildren_and_pools() {
    let pool_in_child =
        |n: u32| Pool::builder().workers(2).build().unwrap().map(|n: u32| n + 1, 0..n).unwrap();
    assert_eq!(spawn(pool_in_child, 4).unwrap().join().unwrap(), [1, 2, 3, 4]);
}

/// The program writes to a broken pipe before `main`: that is an error, as it is in `main`, and not
/// a deadly signal.
#[test]
fn a_broken_pipe_is_an_error_before_main() {
    let child = spawn(
        |()| {
            use std::io::Write;
            let (reader, mut writer) = std::io::pipe().unwrap();
            drop(reader);
            writer.write_all(b"x").unwrap_err().kind() == std::io::ErrorKind::BrokenPipe
        },
        (),
    )
    .unwrap();
    assert_eq!(child.join_timeout(Duration::from_secs(60)), Ok(true));
}

/// Nothing of the harness in a child's output: only what the function prints.
#[test]
fn output_is_the_functions_own() {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "prints_by_a_child", "--ignored", "--nocapture"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("running 1 test").count(), 1, "{text}");
    assert_eq!(text.matches("printed by a child\n").count(), 1, "{text}");
}

#[test]
#[ignore = "it is what `output_is_the_functions_own` runs"]
fn prints_by_a_child() {
    spawn(|()| println!("printed by a child"), ()).unwrap().join().unwrap();
}
