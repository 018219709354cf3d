//! What `/proc` says of processes. Any of them may end while it is read.

use std::{collections::BTreeSet, fs, time::Duration};

use crate::wait::wait_until;

/// What `/proc` says of a process.
pub struct Stat {
    /// The name of its program, cut off after 15 bytes.
    pub name: String,
    /// `R` for running, `S` for sleeping, `T` for stopped, `Z` for a zombie, and so on.
    pub state: char,
    /// The id of its parent.
    pub parent: u32,
    /// The id of its process group.
    pub group: i32,
}

impl Stat {
    /// `None` if there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = text.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        Some(Self {
            name: before.split_once('(')?.1.to_owned(),
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

/// Whether the process has ended. A zombie that another process has to reap has ended.
pub fn is_gone(pid: u32) -> bool {
    Stat::of(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// The processes of this test that are still there after `grace`: its children, zombies among them,
/// and any other process of this group that runs this very program.
pub fn left_over(grace: Duration) -> Vec<String> {
    let mut left = Vec::new();
    wait_until(grace, || {
        left = list_left_over();
        left.is_empty()
    });
    left
}

fn list_left_over() -> Vec<String> {
    let me = std::process::id();
    let program = fs::read_link("/proc/self/exe").expect("/proc is there");
    let group = Stat::of(me).expect("/proc is there").group;
    fs::read_dir("/proc")
        .expect("/proc is there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != me)
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .filter(|(pid, stat)| {
            let runs_this =
                fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
            stat.parent == me || (runs_this && stat.group == group)
        })
        .map(|(pid, stat)| format!("{pid} {} {}", stat.name, stat.state))
        .collect()
}

/// The descriptors that this process has open, with what they lead to.
pub fn open_descriptors() -> BTreeSet<String> {
    let list = fs::read_dir("/proc/self/fd").expect("/proc is there");
    list.filter_map(|entry| {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        // Sockets and pipes by kind: their numbers differ from process to process.
        let target = target.to_str()?.split(":[").next()?.to_owned();
        // The directory being read is open too.
        (!target.contains("/proc/") && !target.ends_with("/fd"))
            .then(|| format!("{} {target}", entry.file_name().display()))
    })
    .collect()
}
