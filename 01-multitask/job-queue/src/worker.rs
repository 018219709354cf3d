//! A worker: it takes jobs from a store and runs them.

use crate::{Error, Job, Store, job::Undecoded, store::either};
use apalis::prelude::{
    AbortError, Attempt, BackendExt, BoxDynError, Data, TaskId, WorkerBuilder, WorkerBuilderExt,
};
use std::{
    any::Any,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{RwLock, watch},
    task::{JoinError, spawn_blocking},
    time::{sleep, timeout},
};
use util::text::{visible, visible_bytes};

/// How often a worker with nothing to do asks for a job.
const ASK: Duration = Duration::from_millis(200);

/// After an error, it tries again after this long.
const PAUSE: Duration = Duration::from_millis(500);

/// A worker is dead when it was silent for this many of its heartbeats.
const BEATS: u32 = 4;

/// The most that [`Settings::runs`] can be. apalis: Redis gives up after 25, whatever the job says.
pub const MOST_RUNS: u32 = 24;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called in the store, where a random number is added.
    pub name: String,
    /// How many jobs it runs at once.
    pub jobs: usize,
    /// A worker that was silent for so long is taken for dead, and its jobs are for others. Whole
    /// seconds, at least two, and the same for all workers.
    pub dead_after: Duration,
    /// How often a job is begun at most, [`MOST_RUNS`] at the most.
    pub runs: u32,
}

/// What [`work()`] is told to do with a job.
type Work = Arc<dyn Fn(&Job, u32) -> Result<String, String> + Send + Sync>;

/// What a job that is being run needs.
#[derive(Clone)]
struct Context {
    store: Store,
    worker: String,
    work: Work,
    runs: u32,
    /// Each job in hand holds it for reading.
    in_hand: Arc<RwLock<()>>,
}

/// Takes jobs from `store` and runs them with `work`, until `stop` is true: then the jobs in hand
/// are finished.
///
/// `work` gets the job and the number of this run, from 1; what it returns, or why it failed, is
/// stored. It may be called twice for a job, even at the same time, namely if the first worker was
/// silent for long without being dead.
///
/// An error of the store is said on standard error, and the worker comes back under a new name
/// as soon as the store does.
pub async fn work<F>(store: &Store, settings: &Settings, work: F, mut stop: watch::Receiver<bool>)
where
    F: Fn(&Job, u32) -> Result<String, String> + Send + Sync + 'static,
{
    let work: Work = Arc::new(work);
    let mut said = String::new();
    loop {
        // apalis: a name that was alive a moment ago is refused; so each life has a new one. A
        // process's number would not do: in containers it is often 1. These 64 bits are random.
        let name = format!("{}:{:016x}", settings.name, RandomState::new().build_hasher().finish());
        let mut trouble = live(store, settings, &name, Arc::clone(&work), stop.clone()).await.err();
        let failed = trouble.is_some();
        // What it still holds is given back before there is a next life: nobody else would know,
        // unless by its silence.
        loop {
            if let Some(error) =
                trouble.map(|error| error.to_string()).filter(|error| *error != said)
            {
                complain(&settings.name, &format!("{}; trying again", visible(&error)));
                said = error;
            }
            let given_back = timeout(settings.dead_after, store.give_back(&name, failed)).await;
            trouble = match given_back.unwrap_or_else(|_| Err("no answer".into())) {
                Ok(aside) => {
                    for (id, reason) in aside {
                        set_aside(&settings.name, &id, &reason);
                    }
                    None
                }
                Err(error) => Some(error),
            };
            if trouble.is_none() || *stop.borrow() {
                break;
            }
            _ = timeout(PAUSE, stop.wait_for(|stop| *stop)).await;
        }
        if *stop.borrow() {
            if let Some(error) = trouble {
                let error = visible(&error.to_string()).to_string();
                let when = settings.dead_after;
                complain(&settings.name, &format!("{error}; others find its jobs in {when:?}"));
            }
            break;
        }
        _ = timeout(PAUSE, stop.wait_for(|stop| *stop)).await;
    }
}

/// Prints a line on standard error. That nobody reads it is not a reason to stop working.
fn complain(worker: &str, what: &str) {
    _ = writeln!(io::stderr(), "{}: {what}", visible(worker));
}

fn set_aside(worker: &str, id: &[u8], reason: &str) {
    let (id, reason) = (visible_bytes(id), visible(reason));
    complain(worker, &format!("job {id} {reason}; it is set aside as failed"));
}

/// From the first job to `stop`, or to the first error of the store.
async fn live(
    store: &Store,
    settings: &Settings,
    name: &str,
    work: Work,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    store.promote().await?;
    let in_hand = Arc::default();
    let context = Context {
        store: store.clone(),
        worker: settings.name.clone(),
        work,
        runs: settings.runs,
        in_hand: Arc::clone(&in_hand),
    };
    let every = settings.dead_after / BEATS;
    let stopped = async move {
        _ = stop.wait_for(|stop| *stop).await; // an error: nobody is left to say it
        io::Result::Ok(())
    };
    // apalis: it beats only while it also takes jobs. So that one who finishes his last job is not
    // taken for dead, this beats as well.
    let beats = async {
        loop {
            sleep(every).await;
            _ = store.beat(name).await; // if this fails, the worker's own will, and end it
        }
    };
    let worker = async {
        // apalis: more than one job at a time, and those behind the first wait for it while others
        // idle; and no heart beats.
        let worked = either!(store, store => {
            let config = store.config().batch_size(1).heartbeat_interval(every);
            let storage = store.storage(config.missed_heartbeats(BEATS as usize));
            WorkerBuilder::new(name)
                .backend(storage.with_codec(Undecoded).poll_with_interval(ASK))
                .concurrency(settings.jobs)
                .data(context)
                .build(run)
                .run_until(stopped)
                .await
        });
        // After an error: its jobs are not cancelled, only nobody waits for them.
        let _all_over = in_hand.write().await;
        worked
    };
    tokio::select! {
        worked = worker => Ok(worked?),
        () = beats => unreachable!("a loop without end"),
    }
}

/// One run of one job, around the function that does it.
async fn run(
    stored: Vec<u8>,
    number: Attempt,
    id: TaskId,
    context: Data<Context>,
) -> Result<String, BoxDynError> {
    let Context { store, worker, work, runs, in_hand } = (*context).clone();
    let id = id.to_string();
    let job = match Job::decode(&stored) {
        Ok(job) => job,
        Err(reason) => {
            set_aside(&worker, id.as_bytes(), &reason);
            return Err(AbortError::new(reason).into());
        }
    };
    let number = u32::try_from(number.current())?;
    if number > runs {
        return Err(AbortError::new("its worker died each time").into());
    }
    // If the store fails now it will soon fail its worker too. The count is all that is lost.
    _ = store.begin(&id, number).await;
    let in_hand = in_hand.read_owned().await;
    // On a thread of its own: hearts beat on this one.
    let done = spawn_blocking(move || {
        let _in_hand = in_hand;
        work(&job, number)
    });
    let reason = match done.await {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(reason)) => reason,
        Err(error) => format!("it panicked: {}", message(error)),
    };
    if number == runs {
        return Err(AbortError::new(reason).into()); // and is kept, with this reason
    }
    _ = store.back_off(&id, number).await; // if this fails, the next run only comes too early
    Err(reason.into())
}

fn message(error: JoinError) -> String {
    let panic: Box<dyn Any + Send> = match error.try_into_panic() {
        Ok(panic) => panic,
        Err(error) => return error.to_string(),
    };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"without a word").to_string(),
    }
}
