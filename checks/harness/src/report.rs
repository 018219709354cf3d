//! What a test program prints: the same as under the standard harness.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// The results so far.
pub struct Report {
    start: Instant,
    passed: usize,
    failures: Vec<(String, String)>,
    filtered_out: usize,
}

impl Report {
    /// Prints how many tests will run.
    pub fn start(count: usize, filtered_out: usize) -> Report {
        println!("\nrunning {count} test{}", if count == 1 { "" } else { "s" });
        Report { start: Instant::now(), passed: 0, failures: Vec::new(), filtered_out }
    }

    /// Prints the name of a test.
    pub fn begin(&mut self, name: &str) {
        print!("test {name} ... ");
        // If it cannot be written, the result cannot be either, and `println!` panics.
        let _ = io::stdout().flush();
    }

    /// Prints the result of the test that was begun.
    pub fn end(&mut self, name: String, outcome: Result<(), String>, time: Duration) {
        match outcome {
            Ok(()) => {
                println!("ok ({time:.2?})");
                self.passed += 1;
            }
            Err(reason) => {
                println!("FAILED ({time:.2?})");
                self.failures.push((name, reason));
            }
        }
    }

    /// Prints the reasons of all failures, and the numbers; returns whether all tests passed.
    pub fn finish(self) -> bool {
        if !self.failures.is_empty() {
            println!("\nfailures:\n");
            self.failures.iter().for_each(|(name, why)| println!("---- {name} ----\n{why}\n"));
            println!("\nfailures:");
            self.failures.iter().for_each(|(name, _)| println!("    {name}"));
        }
        let failed = self.failures.len();
        println!(
            "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered \
             out; finished in {:.2}s\n",
            if failed == 0 { "ok" } else { "FAILED" },
            self.passed,
            self.filtered_out,
            self.start.elapsed().as_secs_f64(),
        );
        failed == 0
    }
}
