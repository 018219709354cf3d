//! Measures the questions in rounds, by the benchmarks of this package, for the report.

use benches::{
    claims::amount,
    files::{root, target},
    python,
    results::Results,
    rounds::{self, QUIET, Round, Rounds},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};
use util::{args::Args, eprintln};

const HELP: &str = "Usage: measure [--quick] [QUESTION…]

Measures all questions, or those named, with Python's side and the curves. What it finds stays in the target folder, for `report`. Let nothing else
run meanwhile: a round in which other programs had more than 5 % of the processors is measured again, but not for ever.

  --quick  rough, within five minutes on two processors";

/// Benchmarks that answer no question of the report's.
const NOT_ASKED: [&str; 2] = ["compare_python", "timeline"];

/// Rounds that are measured beyond those asked for, in place of noisy ones.
const AGAIN: usize = 2;

/// How thoroughly.
struct Pace {
    rounds: usize,
    /// Seconds, for each way.
    warm_up: f64,
    measuring: f64,
    is_quick: bool,
}

const QUICK: Pace = Pace { rounds: 5, warm_up: 0.05, measuring: 0.1, is_quick: true };
const FULL: Pace = Pace { rounds: 7, warm_up: 0.2, measuring: 0.5, is_quick: false };

/// A question, and the program that answers it once.
struct Question {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    rounds: usize,
}

fn main() -> ExitCode {
    let mut args = Args::new(HELP);
    let pace = if args.flag("--quick") { QUICK } else { FULL };
    let chosen: Vec<String> =
        args.operands().iter().map(|word| word.to_string_lossy().into()).collect();
    let programs = match programs() {
        Ok(programs) => programs,
        Err(e) => {
            eprintln!("error: the benchmarks cannot be built: {e}");
            return ExitCode::FAILURE;
        }
    };
    for name in &chosen {
        if !programs.contains_key(name) {
            let all = programs.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            args.refuse(&format!("no question {name:?}; there are {all}"));
        }
    }
    args.finish();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|word| word == name);
    let questions = programs
        .into_iter()
        .filter(|(name, _)| is_chosen(name))
        .flat_map(|(name, program)| questions(&name, &program, &pace))
        .collect();
    match measure(questions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// What cargo says of one thing it built.
#[derive(Deserialize)]
struct Built {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// Builds the benchmarks; where each one is, by name.
fn programs() -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["bench", "--quiet", "--package", "benches", "--no-run", "--message-format", "json"])
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo: {}", output.status).into());
    }
    let mut programs = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let built: Built = serde_json::from_str(line)?;
        if let (Some(target), Some(program)) = (built.target, built.executable)
            && target.kind == ["bench"]
            && !NOT_ASKED.contains(&target.name.as_str())
        {
            programs.insert(target.name, program);
        }
    }
    Ok(programs)
}

/// What a benchmark is asked: one thing, or Python's several.
fn questions(name: &str, program: &Path, pace: &Pace) -> Vec<Question> {
    let question = |name: String, rounds, arguments: &[&str]| {
        let mut arguments: Vec<String> = arguments.iter().map(|word| (*word).into()).collect();
        arguments.push("--bench".into());
        Question { name, program: program.to_owned(), arguments, rounds }
    };
    let quick: &[&str] = if pace.is_quick { &["--quick"] } else { &[] };
    match name {
        "python" => python::QUESTIONS
            .iter()
            .map(|name| {
                let chosen = format!("python/{name}");
                question(format!("python-{name}"), pace.rounds, &[&[&*chosen], quick].concat())
            })
            .collect(),
        // Bytes are hardly other ones from round to round.
        "memory" => vec![question(name.into(), pace.rounds.min(3), quick)],
        // So many are at it at once there that one round takes as long as all the others' together.
        "curves" => vec![question(name.into(), 1, quick)],
        _ => {
            let (warm_up, measuring) = (pace.warm_up.to_string(), pace.measuring.to_string());
            let arguments = [
                &["--noplot", "--sample-size", "10", "--nresamples", "1000"][..],
                &["--warm-up-time", &*warm_up, "--measurement-time", &*measuring],
            ];
            vec![question(name.into(), pace.rounds, &arguments.concat())]
        }
    }
}

fn measure(questions: Vec<Question>) -> Result<(), Box<dyn Error>> {
    let target = target();
    let began = Instant::now();
    let mut all: Vec<Rounds> =
        questions.iter().map(|question| Rounds::new(question.rounds)).collect();
    let most = questions.iter().map(|question| question.rounds).max().unwrap_or(0) + AGAIN;
    // Round by round, not question by question: what disturbs for a minute disturbs one round of
    // each.
    for _ in 0..most {
        for (question, rounds) in questions.iter().zip(&mut all) {
            let enough = rounds.quiet() >= question.rounds;
            // What is asked for once takes long: it is not done again.
            if enough || (question.rounds == 1 && !rounds.rounds.is_empty()) {
                continue;
            }
            let (round, noise, took) = rounds::watch(|| one_round(question));
            let round = Round { noise, ..round? };
            let of_others = noise.map_or(String::new(), |noise| {
                let again = if noise.is_quiet() { "" } else { ": too much" };
                format!(", others had {:.1} % of the processors{again}", noise.total() * 100.0)
            });
            println!(
                "{:>4.0} s  {} {}/{}: {:.1} s{of_others}",
                began.elapsed().as_secs_f64(),
                question.name,
                rounds.rounds.len() + 1,
                question.rounds,
                took.as_secs_f64()
            );
            rounds.push(round);
            rounds::write(&target, &question.name, rounds)?;
        }
    }
    let results = Results::read(&target)?;
    for (question, rounds) in questions.iter().zip(&all) {
        let names = rounds.rounds.iter().flat_map(|round| round.samples.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let Some(sample) = results.get(name) else { continue };
            let (low, high) = sample.quartiles();
            let [median, low, high] =
                [sample.median(), low, high].map(|value| amount(sample, value));
            println!("{name:<40} {median:>10} ({low}–{high})");
        }
        if rounds.is_busy() {
            println!(
                "{}: only {} of {} rounds were quiet (others with at most {:.0} % of the processors)",
                question.name,
                rounds.quiet(),
                question.rounds,
                QUIET * 100.0
            );
        }
    }
    Ok(())
}

/// Runs the benchmark once, with a target folder of its own to leave its results in, and takes them
/// from there.
fn one_round(question: &Question) -> Result<Round, Box<dyn Error>> {
    let folder = target().join("report").join("round");
    let clear = || match fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    };
    clear()?;
    let output = Command::new(&question.program)
        .args(&question.arguments)
        .env("CARGO_TARGET_DIR", &folder)
        .env_remove("CRITERION_HOME")
        .current_dir(root().join("benches")) // as cargo runs them
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let _ = io::Write::write_all(&mut io::stderr(), &output.stdout);
        let _ = io::Write::write_all(&mut io::stderr(), &output.stderr);
        return Err(format!("{}: {}", question.name, output.status).into());
    }
    let results = Results::read(&folder)?;
    let round = results.into_round();
    if question.name == "curves" {
        fs::rename(
            folder.join("report").join(benches::curves::FILE),
            target().join("report").join(benches::curves::FILE),
        )?;
    }
    clear()?;
    Ok(round)
}
