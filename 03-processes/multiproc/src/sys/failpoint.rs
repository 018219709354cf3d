//! Places where a test kills its process. In a normal build there is nothing here.

#[cfg(not(test))]
#[inline(always)]
pub(crate) fn failpoint(_name: &'static str) {}

#[cfg(test)]
pub(crate) use armed::{arm, failpoint, on_failpoint, record, recorded};

#[cfg(test)]
mod armed {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::{Mutex, OnceLock};

    static ACTIVE: AtomicBool = AtomicBool::new(false);
    static KILL_AT: Mutex<Option<String>> = Mutex::new(None);
    static HITS_LEFT: AtomicU32 = AtomicU32::new(0);
    static HOOK: OnceLock<Box<dyn Fn(&'static str) + Send + Sync>> = OnceLock::new();
    static SEEN: Mutex<Option<BTreeSet<&'static str>>> = Mutex::new(None);

    /// From now on the process kills itself when it comes to the failpoint `name` for the `hit`th
    /// time.
    pub(crate) fn arm(name: &str, hit: u32) {
        *KILL_AT.lock().unwrap() = Some(name.to_owned());
        HITS_LEFT.store(hit, Ordering::SeqCst);
        ACTIVE.store(true, Ordering::SeqCst);
    }

    /// From now on calls `hook` at each failpoint, before anything else happens there.
    pub(crate) fn on_failpoint(hook: impl Fn(&'static str) + Send + Sync + 'static) {
        assert!(HOOK.set(Box::new(hook)).is_ok(), "one hook");
        ACTIVE.store(true, Ordering::SeqCst);
    }

    /// From now on the names of all failpoints passed are kept.
    pub(crate) fn record() {
        *SEEN.lock().unwrap() = Some(BTreeSet::new());
        ACTIVE.store(true, Ordering::SeqCst);
    }

    pub(crate) fn recorded() -> BTreeSet<&'static str> {
        SEEN.lock().unwrap().take().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn failpoint(name: &'static str) {
        if ACTIVE.load(Ordering::Relaxed) {
            hit(name);
        }
    }

    #[cold]
    fn hit(name: &'static str) {
        if let Some(hook) = HOOK.get() {
            hook(name);
        }
        if let Some(seen) = &mut *SEEN.lock().unwrap() {
            seen.insert(name);
        }
        let here = KILL_AT.lock().unwrap().as_deref() == Some(name);
        if here && HITS_LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL)
                .expect("SIGKILL is ours to send");
        }
    }
}
