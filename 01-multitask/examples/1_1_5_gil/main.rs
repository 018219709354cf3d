//! 1.1.5 · 全局解释器锁 · The interpreter lock: what it takes from threads, in a small interpreter and in the real one.
//!
//! Python: in CPython's default build one thread at a time runs bytecode; the lock is released
//! around calls that block, and by extensions that compute. A free-threaded build has no such lock.
//! Rust: there is none. A small interpreter with one lock shows its effect, the same one without it
//! shows that it was the lock; and every `python3` that is there runs the same workload beside
//! them.
//!
//! Run: `cargo run --example 1_1_5_gil`, with `--release` for figures that count
//! Notes: `notes/en/01-multitask.md#gil` · `notes/zh-CN/01-multitask.md#gil`
//!
//! ```output
//! build: [..]
//! [..] threads, each [..] computes [..]by threads[..]gain[..]waits[..]by threads[..]gain
//! ours without a lock  [..]
//! ours with a lock [..]
//! ...
//! with the lock at most 1 thread ran at once, without it [..]
//! ```
//! ```output
//! threads gain nothing when they compute: [..]
//! threads gain nothing when they wait: [..]
//! ```

mod interpreter;

use interpreter::{Interpreter, Op};
use multitask::{advice::gains_nothing, cores};
use std::{
    collections::BTreeSet, env::consts::EXE_SUFFIX, io, path::PathBuf, process::Command,
    sync::atomic::Ordering::SeqCst, thread, time::Duration,
};
use util::{
    measure::{self, Table},
    text::visible,
    tick,
};

/// Found on the PATH under these names; the last ones are free-threaded builds.
const PYTHONS: [&str; 5] = ["python3", "python3t", "python3.13t", "python3.14t", "python3.15t"];

fn main() -> util::Result<()> {
    util::case!("main.rs");
    println!("build: {}", multitask::build());
    let cores = thread::available_parallelism()?.get().min(cores::allowed()?.len());
    let threads = cores.clamp(2, 4);
    // the same in any build: Python has it too
    let loops = tick::length().as_millis() as u32 * 10_000;
    let wait = tick::ticks(0.5);
    let head = format!("{threads} threads, each");
    let mut table =
        Table::new([&head, "computes", "by threads", "gain", "waits", "by threads", "gain"]);
    let (mut computing, mut waiting) = (Vec::new(), Vec::new());
    let mut row = |name: String, seconds: [f64; 4]| {
        let [compute, by_threads, wait, wait_by_threads] =
            seconds.map(|s| format!("{:.1} ms", s * 1e3));
        let gains = [seconds[0] / seconds[1], seconds[2] / seconds[3]];
        let [gain, wait_gain] = gains.map(|gain| format!("{gain:.2}"));
        table.row([name.clone(), compute, by_threads, gain, wait, wait_by_threads, wait_gain]);
        computing.push((name.clone(), gains[0]));
        waiting.push((name, gains[1]));
    };

    let (free, locked) = (Interpreter::default(), Interpreter::with_gil());
    let result = measure_ours(&free, threads, loops, wait, |seconds| {
        row("ours without a lock".into(), seconds)
    });
    measure_ours(&locked, threads, loops, wait, |seconds| row("ours with a lock".into(), seconds));
    let most = [&locked, &free].map(|interpreter| interpreter.most.load(SeqCst));
    assert_eq!(most[0], 1);
    let mut remarks = Vec::new();
    for (program, gil) in pythons() {
        let arguments = [threads.to_string(), loops.to_string(), wait.as_secs_f64().to_string()];
        match python(&program, gil, &arguments) {
            Ok((name, its, seconds)) => {
                assert_eq!(its, result, "{name} computes what we do");
                row(visible(&name).to_string(), seconds);
            }
            Err(error) => {
                let (program, error) = (visible(&program), error.to_string());
                remarks.push(format!("{program} is there and does not run: {}", visible(&error)))
            }
        }
    }
    println!("{table}");
    remarks.iter().for_each(|remark| println!("{remark}"));
    if !computing.iter().any(|(name, _)| name.starts_with("python")) {
        println!("no python3 ran: this machine cannot show the real one");
    }
    println!("with the lock at most {} thread ran at once, without it {}", most[0], most[1]);
    println!("threads gain nothing when they compute: {}", gains_nothing(cores, &computing));
    // One core is enough to wait on.
    println!("threads gain nothing when they wait: {}", gains_nothing(2, &waiting));
    Ok(())
}

/// The result, after `report` has been given the seconds to compute and to wait, one after the
/// other and by threads.
fn measure_ours(
    interpreter: &Interpreter,
    threads: usize,
    loops: u32,
    wait: Duration,
    report: impl FnOnce([f64; 4]),
) -> u32 {
    // ANCHOR: programs
    let compute = [Op::Multiply(69069), Op::Add(1), Op::Loop(0)];
    let wait = [Op::Wait(wait)];
    // ANCHOR_END: programs
    let one_after_the_other = |program: &[Op], loops| -> Vec<u32> {
        (0..threads).map(|_| interpreter.run(program, loops)).collect()
    };
    let by_threads = |program: &[Op], loops| -> Vec<u32> {
        thread::scope(|s| {
            let start = |_| s.spawn(move || interpreter.run(program, loops));
            let started: Vec<_> = (0..threads).map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let (results, [one, many]) = measure::in_turns(
        Duration::ZERO,
        [&|| one_after_the_other(&compute, loops), &|| by_threads(&compute, loops)],
    );
    let (_, [wait_one, wait_many]) = measure::in_turns(
        Duration::ZERO,
        [&|| one_after_the_other(&wait, 1), &|| by_threads(&wait, 1)],
    );
    report([one, many, wait_one, wait_many].map(|cost| cost.wall.as_secs_f64()));
    results[0]
}

/// Every build of Python on the PATH, once; a free-threaded one is asked with the lock
/// (`Some(true)`) and without.
fn pythons() -> Vec<(PathBuf, Option<bool>)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in PYTHONS {
        let name = format!("{name}{EXE_SUFFIX}");
        let places = std::env::split_paths(&path).map(|folder| folder.join(&name));
        let Some(program) = places.into_iter().find(|place| place.is_file()) else { continue };
        let ask = "import os, sys, sysconfig; file = os.stat(sys.executable); \
            print(sysconfig.get_config_var('Py_GIL_DISABLED'), file.st_dev, file.st_ino)";
        let answer = Command::new(&program).args(["-c", ask]).output();
        let answer = answer.map(|output| output.stdout).unwrap_or_default();
        let free = answer.starts_with(b"1");
        // `python3` and `python3.13t` can be one file: by a link of either kind.
        let file = if answer.is_empty() { program.as_os_str().as_encoded_bytes() } else { &answer };
        if seen.insert(file.to_owned()) {
            let locks: &[_] = if free { &[Some(true), Some(false)] } else { &[None] };
            found.extend(locks.iter().map(|lock| (program.clone(), *lock)));
        }
    }
    found
}

/// Its name, the result, and the four times in seconds.
fn python(
    program: &PathBuf,
    gil: Option<bool>,
    arguments: &[String],
) -> io::Result<(String, u32, [f64; 4])> {
    let mut command = Command::new(program);
    if let Some(on) = gil {
        command.env("PYTHON_GIL", if on { "1" } else { "0" });
    }
    let output = command.args(["-c", include_str!("workload.py")]).args(arguments).output()?;
    let nonsense = || {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(said.lines().last().unwrap_or("it says nothing").to_owned())
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let mut words = said.trim().splitn(7, ' ');
    let mut word = || words.next().ok_or_else(nonsense);
    let version = word()?;
    let result = word()?.parse().map_err(io::Error::other)?;
    let mut seconds = [0.0; 4];
    for time in &mut seconds {
        *time = word()?.parse().map_err(io::Error::other)?;
    }
    Ok((format!("python {version} ({})", word()?), result, seconds))
}
