//! Python's side of the claims: runs the programs in `scripts/compare-python.d` that stand for a
//! question, and compares their results with Rust's.
//!
//! Each measures its ways in turns and says seconds, or bytes, for one. The IO-bound one asks the
//! same server that Rust's asks. Without `python3` nothing is measured, and that is said. A word
//! behind it chooses, `--quick` measures fewer rounds, `--test` few and small.

mod slow_server;

use benches::python;
use slow_server::SlowServer;
use std::{process::exit, time::Duration};
use util::{
    eprintln,
    work::{ask, count_primes},
};

/// How much of it.
#[derive(Clone, Copy, PartialEq)]
enum Effort {
    Test,
    Quick,
    Full,
}

impl Effort {
    fn of<T>(self, test: T, quick: T, full: T) -> T {
        match self {
            Effort::Test => test,
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }
}

/// What a question's program is told, and the result it must have: Rust's.
fn question(name: &str, effort: Effort) -> (Vec<String>, i64) {
    let rounds = effort.of(1, 3, 5); // in each of the rounds of `measure`
    let (numbers, expected): (Vec<u32>, i64) = match name {
        "cpu_bound" => {
            let below = effort.of(6_400, 128_000, 192_000);
            (vec![below, 64, rounds], count_primes(0..below) as i64)
        }
        "start" => (vec![rounds], 42),
        "switch" => (vec![rounds], 1000),
        "message" => {
            let count = effort.of(2_000, 20_000, 50_000);
            (vec![count, rounds], (0..i64::from(count)).sum())
        }
        "pool" => (vec![rounds], (0..20).sum()),
        "lock" => (vec![effort.of(10_000, 100_000, 100_000), rounds], 0),
        _ => (vec![rounds], 0),
    };
    (numbers.iter().map(u32::to_string).collect(), expected)
}

fn io_bound(effort: Effort) -> (SlowServer, Vec<String>, i64) {
    let server = SlowServer::start(Duration::from_millis(5));
    let (requests, rounds) = effort.of((4, 1), (64, 2), (64, 3));
    let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
    let expected: u64 = (0..requests).map(|n| ask(server.address, n).expect("an answer")).sum();
    let arguments = vec![host, port, requests.to_string(), rounds.to_string()];
    (server, arguments, expected as i64)
}

fn main() {
    multiproc::init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let effort = match (has("--test"), has("--quick")) {
        (true, _) => Effort::Test,
        (_, true) => Effort::Quick,
        _ => Effort::Full,
    };
    let chosen = arguments.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
    let is_chosen = |name: &&str| format!("python/{name}").contains(chosen);
    let questions: Vec<&str> = python::QUESTIONS.into_iter().filter(is_chosen).collect();
    if questions.is_empty() {
        return;
    }
    if !python::is_here() {
        println!("python: not measured: there is no python3");
        if effort != Effort::Test {
            python::absent().write("python").expect("the target folder can be written");
        }
        return;
    }
    let mut failed = false;
    for name in questions {
        let measured = if name == "io_bound" {
            let (_server, arguments, expected) = io_bound(effort);
            python::measure(name, &arguments, expected)
        } else {
            let (arguments, expected) = question(name, effort);
            python::measure(name, &arguments, expected)
        };
        match measured {
            Ok(record) => {
                for (name, sample) in &record.samples {
                    println!("{name:<40} {}", benches::claims::amount(sample, sample.median()));
                }
                for (name, why) in &record.missing {
                    println!("{name:<40} not measured: {why}");
                }
                if effort != Effort::Test {
                    let file = format!("python-{name}");
                    record.write(&file).expect("the target folder can be written");
                }
            }
            Err(e) => {
                eprintln!("error: {e}");
                failed = true;
            }
        }
    }
    if failed {
        exit(1);
    }
}
