//! Mistake: the guard of std's mutex is held across an `await`, in a task that may move to another
//! thread. Right: drop the guard before it, or use tokio's mutex, as in 4_5_7_async_mutex.
//@ extern: tokio

use std::sync::{Arc, Mutex};

async fn save(_sum: u32) {}

fn count(sum: Arc<Mutex<u32>>) {
    // ANCHOR: mistake
    tokio::spawn(async move { //~ future cannot be sent between threads safely
        let mut sum = sum.lock().unwrap();
        *sum += 1;
        save(*sum).await; // the mutex must be unlocked by the thread that has locked it
    });
    // ANCHOR_END: mistake
}

fn main() {
    count(Arc::default());
}
