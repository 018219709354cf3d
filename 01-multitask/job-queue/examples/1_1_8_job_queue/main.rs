//! 1.1.8 · 任务队列 · Job queue: workers on many machines take jobs from one store; one that is killed loses none.
//!
//! Python: RQ, a queue of jobs on Redis. A job whose worker was killed stays in a registry until a timer of minutes finds it there.
//! Rust: `apalis` over a SQLite file or over Redis, by the same code. A job runs at least once, elsewhere if its worker dies; its effect is
//! there once, because it is written whole, under the job's own name. A job that fails is tried again later, then kept with its reason.
//!
//! Run: `cargo run --example 1_1_8_job_queue` shows all of this (`TIMELINE=1` draws it); `-- --help` tells how to use it in earnest
//! Notes: `notes/en/01-multitask.md#job-queue` · `notes/zh-CN/01-multitask.md#job-queue`
//!
//! ```output
//! produced 7 jobs; produced again: 0 new
//! anna was killed in the middle of a job
//! bela did that job over, as run 2
//! 6 checksums, each there once, each right
//! the 7th kept as failed after 3 runs: [..]/missing: No such file or directory[..]
//! bela was told to stop, and did
//! ```

mod checksum;
mod demonstration;

use job_queue::{Entry, MOST_RUNS, Place, Settings, State, Store};
use std::{env, error::Error, path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};
use util::{args::Args, timeline};

const HELP: &str = "\
Checksums of the files in a folder, by workers that take the files from a queue.

Usage: 1_1_8_job_queue                                      a demonstration, in a folder of its own
       1_1_8_job_queue produce --folder DIR --results DIR   a job for each file below the one, its result into the other
       1_1_8_job_queue work                                 takes jobs and does them, until Ctrl-C or SIGTERM
       1_1_8_job_queue status                               counts the jobs
       1_1_8_job_queue results [--wait]                     tells each job's result; exit status 1 if one has failed

  --store FILE    the queue is in this SQLite file (job-queue.sqlite); workers on one machine
  --queue NAME    one of several queues in the same store (checksums)
  --name NAME     work: what it calls itself (worker)
  --jobs N        work: so many jobs at once (1)
  --dead-after S  work: one that is silent for S seconds is dead, and others do its jobs (5; at least 2; the same for all)
  --runs N        work: a job that has failed N times is kept as failed (4; at most 24); the 2nd run comes a second
                  after the first has failed, the 3rd two seconds after the second, and so on
  --slow MS       work: rest so long in the middle of each job, to have time to kill it
  --wait          results: first wait until all jobs are over

With REDIS_URL=redis://HOST:6379 in the environment the queue is in Redis, and the workers may be on many machines. The
folders must then have the same names on all of them, and the clocks agree to a second.";

fn main() -> ExitCode {
    let _output = util::output::start();
    let mut args = Args::new(HELP);
    let role = ["produce", "work", "status", "results"].into_iter().find(|role| args.flag(role));
    let _timeline = timeline::start();
    let done = match role {
        None => {
            args.finish();
            demonstration::run()
        }
        Some(role) => serve(role, args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

type Done = Result<ExitCode, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn serve(role: &str, mut args: Args) -> Done {
    let file: Option<String> = args.value("--store");
    let queue = args.value("--queue").unwrap_or_else(|| String::from("checksums"));
    let place = match (file, env::var("REDIS_URL").ok().filter(|url| !url.is_empty())) {
        (Some(_), Some(_)) => args.refuse("--store and REDIS_URL: which of the two?"),
        (file, None) => Place::Sqlite(file.unwrap_or_else(|| "job-queue.sqlite".into()).into()),
        (None, Some(url)) => Place::Redis(url),
    };
    let opened = async |create| {
        let store = Store::open(&place, &queue, create).await;
        store.map_err(|error| format!("{place}: {error}"))
    };
    match role {
        "produce" => {
            let [folder, results] = ["--folder", "--results"].map(|flag| {
                let given: Option<PathBuf> = args.value(flag);
                given.unwrap_or_else(|| args.refuse(&format!("produce needs {flag} DIR")))
            });
            args.finish();
            let jobs = checksum::jobs(&folder, &results)?;
            produce(&opened(true).await?, &jobs).await
        }
        "work" => {
            let settings = settings(&mut args);
            let slow = Duration::from_millis(args.value("--slow").unwrap_or(0));
            args.finish();
            work(&opened(true).await?, &settings, slow).await
        }
        "status" => {
            args.finish();
            status(&opened(false).await?).await
        }
        _ => {
            let wait = args.flag("--wait");
            args.finish();
            results(&opened(false).await?, wait).await
        }
    }
}

async fn produce(store: &Store, jobs: &[job_queue::Job]) -> Done {
    let before = store.entries().await?.len();
    store.push(jobs).await?;
    let new = store.entries().await?.len() - before;
    println!("{} jobs, {new} of them new", jobs.len());
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &mut Args) -> Settings {
    let settings = Settings {
        name: args.value("--name").unwrap_or_else(|| "worker".into()),
        jobs: args.value("--jobs").unwrap_or(1),
        dead_after: Duration::from_secs(args.value("--dead-after").unwrap_or(5)),
        runs: args.value("--runs").unwrap_or(4),
    };
    if settings.jobs == 0 {
        args.refuse("--jobs 0: a worker does at least one at a time");
    }
    if !(2..=86_400).contains(&settings.dead_after.as_secs()) {
        args.refuse("--dead-after: from 2 seconds to a day (86400)");
    }
    if !(1..=MOST_RUNS).contains(&settings.runs) {
        args.refuse(&format!("--runs: from 1 to {MOST_RUNS}"));
    }
    settings
}

// ANCHOR: work
async fn work(store: &Store, settings: &Settings, slow: Duration) -> Done {
    let (stop, stopped) = watch::channel(false);
    let [mut interrupt, mut terminate] =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let told = async {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        stop.send_replace(true);
        eprintln!("finishing what is in hand (Ctrl-C: leaving it to others)");
        interrupt.recv().await;
    };
    let name = settings.name.clone();
    let job = move |job: &job_queue::Job, run| checksum::run(&name, job, run, slow);
    tokio::select! {
        () = job_queue::work(store, settings, job, stopped) => Ok(ExitCode::SUCCESS),
        () = told => std::process::exit(1),
    }
}
// ANCHOR_END: work

async fn status(store: &Store) -> Done {
    let entries = store.entries().await?;
    let count = |state| entries.iter().filter(|entry| entry.state == state).count();
    let [waiting, running] = [count(State::Waiting), count(State::Running)];
    let [done, failed] = [count(State::Done), count(State::Failed)];
    println!("{waiting} waiting, {running} running, {done} done, {failed} failed");
    Ok(ExitCode::SUCCESS)
}

async fn results(store: &Store, wait: bool) -> Done {
    let mut entries = store.entries().await?;
    while wait && entries.iter().any(|entry| entry.state < State::Done) {
        sleep(Duration::from_millis(200)).await;
        entries = store.entries().await?;
    }
    for Entry { job, state, runs, result } in &entries {
        let result = match result {
            Some(Ok(result)) => result.clone(),
            Some(Err(reason)) => format!("({reason})"),
            None => "-".into(),
        };
        println!("{state:?}\t{runs}\t{}\t{result}", job.file.display());
    }
    let failed = entries.iter().any(|entry| entry.state == State::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
