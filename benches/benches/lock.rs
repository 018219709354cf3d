//! The question of `28_11_mutex` and `28_11_1_fine_grained_mutex`: two add to one number and
//! subtract from it, 100,000 times each. What does it cost to share it, and how? Threads, async
//! tasks, processes; and, for scale, one alone that shares nothing (`serial`).
//!
//! Measured: from the start of the two threads until both have ended. Starting them is part of it,
//! and the same for all ways (`start` alone is measured too, so it can be subtracted). The two
//! processes are started before, and told to go. Left out: more than two, work outside the lock,
//! fairness. The result is asserted each time. Without the `black_box`, the compiler would turn
//! 100,000 additions into one multiplication, and the ways that let it would look infinitely fast.

use criterion::{Criterion, Throughput};
use multiproc::Queue;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    hint::black_box,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{self, Runtime};

const ROUNDS: u32 = 100_000;
/// By processes, where one update costs that much more.
const FEWER_ROUNDS: u32 = 5_000;

fn by_two_threads(change: impl Fn(i64) + Sync) {
    thread::scope(|s| {
        s.spawn(|| change(1));
        s.spawn(|| change(-1));
    });
}

fn each_round(mut round: impl FnMut()) {
    (0..ROUNDS).for_each(|_| round());
}

/// Two tasks with tokio's lock, which a task holds across its waiting, and which costs accordingly.
fn by_two_tasks(runtime: &Runtime) -> i64 {
    let sum = Arc::new(tokio::sync::Mutex::new(0));
    runtime.block_on(async {
        let task = |step: i64, sum: Arc<tokio::sync::Mutex<i64>>| async move {
            for _ in 0..ROUNDS {
                *sum.lock().await += step;
            }
        };
        let tasks = [1, -1].map(|step| tokio::spawn(task(step, sum.clone())));
        for task in tasks {
            task.await.unwrap();
        }
        *sum.lock().await
    })
}

/// Two processes that are ready, from the word to go until both have done all their rounds.
fn by_two_processes<N, F>(number: &N, change: F) -> Duration
where
    N: Clone + Serialize + DeserializeOwned,
    F: Fn(N, i64) + Copy + Send + 'static,
{
    let (ready, go) = (Queue::unbounded().unwrap(), Queue::unbounded().unwrap());
    let run = move |(number, ready, go, step): (N, Queue<()>, Queue<()>, i64)| {
        ready.put(&()).unwrap();
        let _ = go.get(); // closed: go
        change(number, step);
    };
    let both = [1, -1].map(|step| {
        multiproc::spawn(run, (number.clone(), ready.clone(), go.clone(), step)).unwrap()
    });
    (0..2).for_each(|_| ready.get().unwrap());
    let started = Instant::now();
    go.close();
    both.iter().for_each(|one| one.join().unwrap());
    started.elapsed()
}

/// The number is the queue's one item: who has taken it owns it, as a guard owns what its mutex
/// guards.
fn change_in_queue(number: Queue<i64>, step: i64) {
    (0..FEWER_ROUNDS).for_each(|_| number.put(&(number.get().unwrap() + step)).unwrap());
}

/// The number is in a file, whose lock the system keeps.
fn change_in_file(path: PathBuf, step: i64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    for _ in 0..FEWER_ROUNDS {
        file.lock().unwrap();
        write_number(&file, read_number(&file) + step);
        file.unlock().unwrap();
    }
}

fn read_number(file: &File) -> i64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).unwrap();
    i64::from_le_bytes(bytes)
}

fn write_number(file: &File, number: i64) {
    file.write_all_at(&number.to_le_bytes(), 0).unwrap();
}

fn lock(c: &mut Criterion) {
    let mut group = c.benchmark_group("lock");
    group.throughput(Throughput::Elements(2 * u64::from(ROUNDS)));

    group.bench_function("serial", |b| {
        b.iter(|| {
            let mut sum = 0;
            for step in [1, -1] {
                each_round(|| sum = black_box(sum + step));
            }
            assert_eq!(sum, 0);
        });
    });

    group.bench_function("start", |b| b.iter(|| by_two_threads(|step| _ = black_box(step))));

    group.bench_function("one_sum_a_thread", |b| {
        b.iter(|| {
            let total = AtomicI64::new(0);
            by_two_threads(|step| {
                let mut sum = 0;
                each_round(|| sum = black_box(sum + step));
                total.fetch_add(sum, Relaxed);
            });
            assert_eq!(total.into_inner(), 0);
        });
    });

    group.bench_function("atomic", |b| {
        b.iter(|| {
            let sum = AtomicI64::new(0);
            by_two_threads(|step| each_round(|| _ = sum.fetch_add(step, Relaxed)));
            assert_eq!(sum.into_inner(), 0);
        });
    });

    group.bench_function("coarse_mutex", |b| {
        b.iter(|| {
            let sum = Mutex::new(0);
            by_two_threads(|step| {
                let mut sum = sum.lock().unwrap();
                each_round(|| *sum = black_box(*sum + step));
            });
            assert_eq!(sum.into_inner().unwrap(), 0);
        });
    });

    group.bench_function("fine_mutex", |b| {
        b.iter(|| {
            let sum = Mutex::new(0);
            by_two_threads(|step| each_round(|| *sum.lock().unwrap() += step));
            assert_eq!(sum.into_inner().unwrap(), 0);
        });
    });

    group.bench_function("fine_parking_lot", |b| {
        b.iter(|| {
            let sum = parking_lot::Mutex::new(0);
            by_two_threads(|step| each_round(|| *sum.lock() += step));
            assert_eq!(sum.into_inner(), 0);
        });
    });

    for (name, mut builder) in [
        ("async_mutex_one_thread", runtime::Builder::new_current_thread()),
        ("async_mutex_threads", runtime::Builder::new_multi_thread()),
    ] {
        let runtime = builder.worker_threads(2).build().unwrap();
        group.bench_function(name, |b| b.iter(|| assert_eq!(by_two_tasks(&runtime), 0)));
    }

    group.throughput(Throughput::Elements(2 * u64::from(FEWER_ROUNDS)));
    group.sample_size(10);
    group.bench_function("process_queue", |b| {
        b.iter_custom(|count| {
            let number = Queue::bounded(1).unwrap();
            number.put(&0_i64).unwrap();
            let took = (0..count).map(|_| by_two_processes(&number, change_in_queue)).sum();
            assert_eq!(number.get().unwrap(), 0);
            took
        });
    });
    group.bench_function("process_file_lock", |b| {
        let path = std::env::temp_dir().join(format!("bench-lock-{}", std::process::id()));
        let file = File::create_new(&path).unwrap();
        write_number(&file, 0);
        b.iter_custom(|count| (0..count).map(|_| by_two_processes(&path, change_in_file)).sum());
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read_number(&file), 0);
    });
    group.finish();
}

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    lock(&mut criterion);
    criterion.final_summary();
}
