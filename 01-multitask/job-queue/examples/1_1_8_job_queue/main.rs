//! 1.1.8 · 任务队列 · Job queue: workers on many machines take jobs from one store; one that is killed loses none.
//!
//! Python: RQ, a queue of jobs on Redis. A job whose worker was killed stays in a registry until a
//! timer of minutes finds it there.
//! Rust: `apalis` over a SQLite file or over Redis, by the same code. A job runs at least once,
//! elsewhere if its worker dies; its effect is there once, because it is written whole, under the
//! job's own name. A job that fails is tried again later, then kept with its reason.
//!
//! Run: `cargo run --example 1_1_8_job_queue` shows all of this (`TIMELINE=1` draws it);
//! `-- --help` tells how to use it in earnest
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

use demonstration::Done;
use job_queue::{Entry, MOST_RUNS, Place, Settings, State, Store};
use std::{env, ffi::OsStr, path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};
use util::{
    args::Args,
    eprintln,
    text::{visible, visible_bytes},
    timeline,
};

const HELP: &str = "\
Checksums of the files in a directory, by workers that take the files from a queue.

Usage: 1_1_8_job_queue [OPTIONS]           a demonstration, in a temporary directory
       1_1_8_job_queue produce [OPTIONS]   add a job for each file below --folder
       1_1_8_job_queue work [OPTIONS]      take jobs and run them, until Ctrl-C or SIGTERM
       1_1_8_job_queue status [OPTIONS]    count the jobs
       1_1_8_job_queue results [OPTIONS]   print the result of each job; exit status 1 if a job has failed

Options:
  --store <FILE>     SQLite file with the queue, for workers on one machine [default: job-queue.sqlite]
  --queue <NAME>     name of the queue; a store can have several [default: checksums]
  -h, --help         print this help
  -V, --version      print the version

Options of produce:
  --folder <DIR>     directory with the files, required; the store itself is not one of them
  --results <DIR>    directory that the results are written to, required; not inside --folder

Options of work:
  --name <NAME>      name of the worker [default: worker]
  --jobs <N>         number of concurrent jobs, 1 to 1024 [default: 1]
  --dead-after <S>   silence in seconds after which a worker counts as dead and its jobs run elsewhere, 2 to 86400; the
                     same for all workers [default: 5]
  --runs <N>         number of runs after which a job that still fails is kept as failed, 1 to 24; the second run comes
                     one second after the first has failed, the third two seconds after the second, and so on [default: 4]
  --slow <MS>        pause in the middle of each job, to have time to kill the worker, 0 to 3600000 [default: 0]

Options of results:
  --wait             wait until all jobs are done or have failed

With REDIS_URL=redis://HOST:6379 in the environment, the queue is in Redis and the workers may be on many machines. The
directories must then have the same names on all of them, and their clocks may differ by a second at most.
A job that cannot be decoded is kept as failed, under its name in the store. In what is printed, characters of file names
and messages that could mislead a reader are escaped: a newline as \\n, a backslash as \\\\.";

const ROLES: [&str; 4] = ["produce", "work", "status", "results"];

fn main() -> ExitCode {
    let _output = util::output::start();
    let command = Command::new(Args::new(HELP));
    let _timeline = timeline::start();
    let done = match command {
        None => demonstration::run(),
        Some(command) => serve(command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// What this program is to do, and where.
struct Command {
    place: Place,
    queue: String,
    role: Role,
}

enum Role {
    Produce { folder: PathBuf, results: PathBuf },
    Work { settings: Settings, slow: Duration },
    Status,
    Results { wait: bool },
}

impl Command {
    /// `None` is the demonstration. Ends the program if the arguments are invalid.
    fn new(mut args: Args) -> Option<Command> {
        // All flags and their values first: what remains is the role.
        let (store, queue) = (args.path("--store"), args.value::<String>("--queue"));
        let (folder, results) = (args.path("--folder"), args.path("--results"));
        let (name, jobs) = (args.value::<String>("--name"), args.number("--jobs", 1..=1024_usize));
        let dead_after = args.number("--dead-after", 2..=86_400_u64);
        let runs = args.number("--runs", 1..=MOST_RUNS);
        let slow = args.number("--slow", 0..=3_600_000_u64);
        let wait = args.flag("--wait");
        let given = [
            ("--folder", folder.is_some(), "produce"),
            ("--results", results.is_some(), "produce"),
            ("--name", name.is_some(), "work"),
            ("--jobs", jobs.is_some(), "work"),
            ("--dead-after", dead_after.is_some(), "work"),
            ("--runs", runs.is_some(), "work"),
            ("--slow", slow.is_some(), "work"),
            ("--wait", wait, "results"),
            ("--store", store.is_some(), ""),
            ("--queue", queue.is_some(), ""),
        ];
        let words = args.operands();
        let role = match &words[..] {
            [] => None,
            [word] => match ROLES.into_iter().find(|role| word == OsStr::new(role)) {
                Some(role) => Some(role),
                None => args.refuse(&format!(
                    "{:?} is unknown: expected one of {}",
                    visible(word),
                    ROLES.join(", ")
                )),
            },
            [_, extra, ..] => args.refuse(&format!("unexpected argument {:?}", visible(extra))),
        };
        for (flag, is_given, of) in given {
            if is_given && role.is_none() {
                args.refuse(&format!("{flag} needs one of {}", ROLES.join(", ")));
            } else if is_given && !of.is_empty() && role != Some(of) {
                args.refuse(&format!("{flag} is an option of {of} only"));
            }
        }
        let Some(role) = role else {
            args.finish();
            return None;
        };
        let role = match role {
            "produce" => {
                let needed = |given: Option<PathBuf>, flag| {
                    given.unwrap_or_else(|| args.refuse(&format!("produce needs {flag} DIR")))
                };
                Role::Produce {
                    folder: needed(folder, "--folder"),
                    results: needed(results, "--results"),
                }
            }
            "work" => {
                let name = name.unwrap_or_else(|| "worker".into());
                let dead_after = Duration::from_secs(dead_after.unwrap_or(5));
                let (jobs, runs) = (jobs.unwrap_or(1), runs.unwrap_or(4));
                let slow = Duration::from_millis(slow.unwrap_or(0));
                Role::Work { settings: Settings { name, jobs, dead_after, runs }, slow }
            }
            "status" => Role::Status,
            _ => Role::Results { wait },
        };
        let place = match (store, env::var_os("REDIS_URL").filter(|url| !url.is_empty())) {
            (Some(_), Some(_)) => {
                args.refuse("--store and REDIS_URL exclude each other: give one of them")
            }
            (file, None) => Place::Sqlite(file.unwrap_or_else(|| "job-queue.sqlite".into())),
            (None, Some(url)) => match url.into_string() {
                Ok(url) => Place::Redis(url),
                Err(_) => {
                    args.refuse("REDIS_URL is not UTF-8: expected redis://HOST[:PORT][/DATABASE]")
                }
            },
        };
        args.finish();
        Some(Command { place, queue: queue.unwrap_or_else(|| "checksums".into()), role })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(Command { place, queue, role }: Command) -> Done {
    let at_place = |error: job_queue::Error| format!("{place}: {}", visible(&error.to_string()));
    let open = async || Store::open(&place, &queue).await.map_err(at_place);
    let open_to_list = async || Store::open_to_list(&place, &queue).await.map_err(at_place);
    match role {
        Role::Produce { folder, results } => {
            let store = match &place {
                Place::Sqlite(file) => Some(file.as_path()),
                Place::Redis(_) => None,
            };
            let jobs = checksum::jobs(&folder, &results, store)?;
            let new = open().await?.push(&jobs).await.map_err(at_place)?;
            println!("{} jobs, {new} of them new", jobs.len());
            Ok(ExitCode::SUCCESS)
        }
        Role::Work { settings, slow } => work(&open().await?, &settings, slow).await,
        Role::Status => {
            status(&open_to_list().await?.entries().await.map_err(at_place)?);
            Ok(ExitCode::SUCCESS)
        }
        Role::Results { wait } => {
            let store = open_to_list().await?;
            let mut entries = store.entries().await.map_err(at_place)?;
            while wait && entries.iter().any(|entry| entry.state < State::Done) {
                sleep(Duration::from_millis(200)).await;
                entries = store.entries().await.map_err(at_place)?;
            }
            Ok(results(&entries))
        }
    }
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

fn status(entries: &[Entry]) {
    let count = |state| entries.iter().filter(|entry| entry.state == state).count();
    let [waiting, running] = [count(State::Waiting), count(State::Running)];
    let [done, failed] = [count(State::Done), count(State::Failed)];
    println!("{waiting} waiting, {running} running, {done} done, {failed} failed");
    for entry in entries {
        if let Err(reason) = &entry.job {
            println!("job {} {}", visible_bytes(&entry.id), visible(reason));
        }
    }
}

fn results(entries: &[Entry]) -> ExitCode {
    for Entry { id, job, state, runs, result } in entries {
        let result = match (job, result) {
            (Err(reason), _) | (_, Some(Err(reason))) => format!("({})", visible(reason)),
            (_, Some(Ok(result))) => visible(result).to_string(),
            (_, None) => "-".into(),
        };
        let name = match job {
            Ok(job) => visible(&job.file).to_string(),
            Err(_) => format!("job {}", visible_bytes(id)),
        };
        println!("{state:?}\t{runs}\t{name}\t{result}");
    }
    let failed = entries.iter().any(|entry| entry.state == State::Failed);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
