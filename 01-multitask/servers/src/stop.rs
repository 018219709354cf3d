//! Asking a server to stop: by a signal, or by whoever started it.

use signal_hook::{consts, flag, low_level::pipe};
use std::{
    io::{self, PipeReader, PipeWriter, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

const SIGNALS: [i32; 2] = [consts::SIGTERM, consts::SIGINT];

/// Whether a server is to stop. One flag to look at, and one descriptor to wait for: the reading
/// end of a pipe, which is readable for everybody from then on, because nobody reads it.
#[derive(Debug)]
pub struct Stop {
    stopped: Arc<AtomicBool>,
    reader: PipeReader,
    writer: PipeWriter,
}

impl Stop {
    /// Not stopped yet.
    ///
    /// # Errors
    ///
    /// Too many open files.
    pub fn new() -> io::Result<Stop> {
        let (reader, writer) = io::pipe()?;
        Ok(Stop { stopped: Arc::default(), reader, writer })
    }

    /// Stops on SIGTERM and on SIGINT (Ctrl-C).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in SIGNALS {
            // first: whoever is woken looks at it
            flag::register(signal, Arc::clone(&self.stopped))?;
            pipe::register(signal, self.writer.try_clone()?)?;
        }
        Ok(())
    }

    /// Before [`on_signals`](Self::on_signals): one of its signals that comes when it is to stop
    /// already ends the program at once, with 128 and the signal's number as its status.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn at_once_on_second_signal(&self) -> io::Result<()> {
        for signal in SIGNALS {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.stopped))?;
        }
        Ok(())
    }

    /// Stops.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        let _ = (&self.writer).write(&[0]); // full: then it is readable anyway
    }

    /// Whether it is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }
}

impl AsFd for Stop {
    /// Readable once it is to stop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
