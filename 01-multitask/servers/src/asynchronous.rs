//! `async`: a task a connection; a few threads run all tasks.
//!
//! The code of a connection reads like that of a thread: a loop that waits in the middle. But a task that waits is no more than what it has to remember, a few hundred bytes, and the threads
//! go on with others. `tokio` has the event loop that [`epoll`](crate::epoll) spells out.

use crate::{
    Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    socket::LATER,
};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::TcpListener as StdListener,
    os::fd::AsFd,
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream, unix::pipe},
    runtime::Builder,
    sync::{Notify, Semaphore},
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Serves until `stop`; see [`serve`](crate::serve).
pub(crate) fn serve(listener: StdListener, site: &Arc<Site>, stop: &Stop) -> io::Result<usize> {
    let runtime = Builder::new_multi_thread().worker_threads(site.workers).enable_all().build()?;
    let cut_off = runtime.block_on(async {
        let places = Arc::new(Semaphore::new(site.connections));
        let is_stopped = Arc::new(Notify::new());
        let accepting = tokio::spawn(accept(
            TcpListener::from_std(listener)?,
            Arc::clone(site),
            Arc::clone(&places),
            Arc::clone(&is_stopped),
        ));
        pipe::Receiver::from_owned_fd(stop.as_fd().try_clone_to_owned()?)?.readable().await?;
        accepting.abort();
        let _ = accepting.await; // the listener is closed
        is_stopped.notify_waiters();
        let all = places.acquire_many(site.connections as u32);
        let _ = timeout(site.timeouts.grace, all).await;
        Ok::<_, io::Error>(site.connections - places.available_permits())
    });
    runtime.shutdown_background();
    cut_off
}

// ANCHOR: accept
async fn accept(
    listener: TcpListener,
    site: Arc<Site>,
    places: Arc<Semaphore>,
    is_stopped: Arc<Notify>,
) {
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let Ok((socket, _)) = listener.accept().await else {
            sleep(LATER).await; // no descriptor for it, or it has ended already
            continue;
        };
        let (site, is_stopped) = (Arc::clone(&site), Arc::clone(&is_stopped));
        tokio::spawn(async move {
            converse(socket, &site, &is_stopped).await;
            drop(place);
        });
    }
}
// ANCHOR_END: accept

// ANCHOR: converse
/// All of one connection.
async fn converse(socket: TcpStream, site: &Arc<Site>, is_stopped: &Notify) {
    let mut connection = Connection::new(&socket);
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
                // `WouldBlock` makes tokio wait for the kernel's next word. After a turn there would be none: the socket can still take more.
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
