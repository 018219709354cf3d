//! `async`: a task a connection; a few threads run all tasks.
//!
//! The code of a connection reads like that of a thread: a loop that waits in the middle. But a
//! task that waits is no more than what it has to remember, a few hundred bytes, and the threads go
//! on with others. `tokio` has the event loop that [`epoll`](crate::epoll) spells out.

use crate::{
    Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    log::report,
    places::{Place, Places},
    socket::LATER,
};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    net::TcpListener as StdListener,
    os::fd::AsFd,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    thread,
    time::Duration,
};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream, unix::pipe},
    runtime::{Builder, Runtime},
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How often to look whether all connections have ended.
const LOOK: Duration = Duration::from_millis(5);

/// Serves until `stop`; see [`serve`](crate::serve).
pub(crate) fn serve(
    listener: StdListener,
    site: &Arc<Site>,
    stop: &Stop,
    is_ready: impl FnOnce(),
) -> io::Result<usize> {
    let runtime = runtime(site.workers)?;
    let cut_off = runtime.block_on(async {
        let places = Places::new(site.connections, site.rate);
        let is_stopped = Arc::new(Notify::new());
        let accepting = tokio::spawn(accept(
            TcpListener::from_std(listener)?,
            Arc::clone(site),
            Arc::clone(&places),
            Arc::clone(&is_stopped),
        ));
        let stopped = pipe::Receiver::from_owned_fd(stop.as_fd().try_clone_to_owned()?)?;
        is_ready();
        stopped.readable().await?;
        accepting.abort();
        let _ = accepting.await; // the listener is closed
        is_stopped.notify_waiters();
        let all = async {
            while places.taken() > 0 {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(site.timeouts.grace, all).await;
        Ok::<_, io::Error>(places.taken())
    });
    runtime.shutdown_background();
    cut_off
}

/// A runtime with so many threads, or as many as can be started. `tokio` itself panics if its first
/// thread cannot be started.
fn runtime(workers: usize) -> io::Result<Runtime> {
    match threads(workers) {
        0 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

/// How many of so many threads can be started; if not all, one is left for others.
fn threads(wanted: usize) -> usize {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let mut threads = Vec::new();
    let error = loop {
        if threads.len() == wanted {
            break None;
        }
        let gate = Arc::clone(&gate);
        match thread::Builder::new().stack_size(64 * 1024).spawn(move || drop(gate.lock())) {
            Ok(thread) => threads.push(thread),
            Err(error) => break Some(error),
        }
    };
    drop(closed);
    let started = threads.len();
    threads.into_iter().for_each(|thread| thread.join().expect("it only waits"));
    let Some(error) = error else { return wanted };
    let left = started.saturating_sub(1);
    let why = format!("only {} of {wanted} threads can be started: {error}", left.max(1));
    report("thread", &why);
    thread::sleep(LATER); // the kernel still counts a thread for a moment after its end
    left
}

// ANCHOR: accept
async fn accept(
    listener: TcpListener,
    site: Arc<Site>,
    places: Arc<Places<TcpStream>>,
    is_stopped: Arc<Notify>,
) {
    loop {
        let mut socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                report("accept", &format!("cannot accept a connection: {error}"));
                places.make_room(); // there is no descriptor or no memory for it
                sleep(LATER).await;
                continue;
            }
        };
        let place = loop {
            match places.enter(socket) {
                Ok(place) => break place,
                Err(newcomer) => socket = newcomer,
            }
            sleep(LATER).await;
        };
        let (site, is_stopped) = (Arc::clone(&site), Arc::clone(&is_stopped));
        tokio::spawn(async move { converse(place, &site, &is_stopped).await });
    }
}
// ANCHOR_END: accept

// ANCHOR: converse
/// All of one connection.
async fn converse(place: Place<TcpStream>, site: &Arc<Site>, is_stopped: &Notify) {
    let mut connection = Connection::new(&place);
    let socket = place.socket();
    let mut stopped = pin!(is_stopped.notified());
    let mut alarm = pin!(sleep_until(Instant::from_std(connection.deadline(site))));
    let mut next = Next::Read;
    if site.is_stopping() {
        next = with_worker(site, |worker| connection.advance(worker));
    }
    while next != Next::Close {
        if next == Next::Turn {
            yield_now().await;
        }
        let deadline = Instant::from_std(connection.deadline(site));
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        let woken = poll_fn(|context| {
            let is_ready = match next {
                Next::Read => socket.poll_read_ready(context),
                _ => socket.poll_write_ready(context),
            };
            if is_ready.is_ready() {
                Poll::Ready(Woken::Ready)
            } else if alarm.as_mut().poll(context).is_ready() {
                Poll::Ready(Woken::Late)
            } else {
                stopped.as_mut().poll(context).map(|()| Woken::Stopped)
            }
        });
        let woken = woken.await;
        next = with_worker(site, |worker| match woken {
            Woken::Ready => {
                let interest =
                    if next == Next::Read { Interest::READABLE } else { Interest::WRITABLE };
                let mut after = next;
                // `WouldBlock` makes tokio wait for the kernel's next word. After a turn there
                // would be none: the socket can still take more.
                let _ = socket.try_io(interest, || {
                    after = connection.advance(worker);
                    if after == next && after != Next::Turn {
                        Err(io::ErrorKind::WouldBlock.into())
                    } else {
                        Ok(())
                    }
                });
                after
            }
            Woken::Late if Instant::now() >= deadline => connection.expire(worker),
            Woken::Late => {
                alarm.as_mut().reset(deadline); // it was set for something that is over
                next
            }
            Woken::Stopped => {
                stopped.set(is_stopped.notified()); // never again
                connection.advance(worker)
            }
        });
    }
}
// ANCHOR_END: converse

enum Woken {
    Ready,
    Late,
    Stopped,
}

/// What a thread of the runtime keeps from request to request, whichever task it is at.
fn with_worker<T>(site: &Arc<Site>, serve: impl FnOnce(&mut Worker) -> T) -> T {
    thread_local! {
        static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
    }
    WORKER.with_borrow_mut(|worker| serve(worker.get_or_insert_with(|| Worker::new(site))))
}
