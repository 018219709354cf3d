//! The same work for 1, 10, 100, … units, to where it breaks.

use crate::{
    language::{Text, text},
    results::{read_json, target, write_json},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io, path::Path};

/// The file in `report/` that the curves of all questions are in, one beside the other.
pub const FILE: &str = "curves.json";

/// What became of it at one number of units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Seconds for all units, several times.
    Took(Vec<f64>),
    /// It broke, and this is what was said.
    Broke(String),
    /// It was not tried, for this reason.
    NotTried(String),
}

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many units.
    pub units: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// The curves of one question, by way.
pub type Curves = BTreeMap<String, Vec<Point>>;

/// What the units of a question are.
pub const UNITS: &[(&str, Text)] = &[
    (
        "start",
        text(
            "so many alive at the same time: all are started, then all end",
            "同时存活这么多个：先全部启动，再全部结束",
        ),
    ),
    (
        "message",
        text(
            "so many senders to one receiver, at least 10,000 messages together",
            "这么多个发送方对一个接收方，总共至少 10,000 条消息",
        ),
    ),
    (
        "pool",
        text(
            "so many tasks that do nothing, from starting the workers to ending them",
            "这么多个什么也不做的任务，从启动工人到结束工人",
        ),
    ),
    (
        "io_bound",
        text(
            "so many requests at once, each answered after 20 ms",
            "同时发出这么多个请求，每个在 20 毫秒后得到应答",
        ),
    ),
    (
        "serve",
        text(
            "so many connections at once, kept alive, to the web server",
            "与网页服务器同时保持这么多个连接",
        ),
    ),
];

/// All curves, by question.
///
/// # Errors
///
/// If the file is there and cannot be read.
pub fn read(folder: &Path) -> io::Result<BTreeMap<String, Curves>> {
    match read_json(&folder.join("report").join(FILE)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        other => other,
    }
}

/// Writes one question's curves, leaving those of others as they are.
///
/// # Errors
///
/// If the file cannot be read or written.
pub fn write(question: &str, curves: Curves) -> io::Result<()> {
    let mut all = read(&target())?;
    all.insert(question.into(), curves);
    write_json(&target().join("report").join(FILE), &all)
}

/// Why it broke: what the system said, with the limit of this machine that is behind it.
pub fn explain(said: &str) -> String {
    let limit = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let reason = if said.contains("os error 24") {
        format!("descriptors: a process may have {} open", open_files().unwrap_or("so many".into()))
    } else if said.contains("os error 23") {
        format!(
            "descriptors of the whole system: {}",
            limit("/proc/sys/fs/file-max").unwrap_or_default()
        )
    } else if said.contains("os error 11") {
        format!(
            "threads: kernel.pid_max is {}, kernel.threads-max {}, and vm.max_map_count {}; a container's limit may be lower",
            limit("/proc/sys/kernel/pid_max").unwrap_or_default(),
            limit("/proc/sys/kernel/threads-max").unwrap_or_default(),
            limit("/proc/sys/vm/max_map_count").unwrap_or_default()
        )
    } else if said.contains("os error 12") || said.contains("signal: 9") {
        format!(
            "memory, or mappings: vm.max_map_count is {}",
            limit("/proc/sys/vm/max_map_count").unwrap_or_default()
        )
    } else if said.contains("os error 99") {
        let range = limit("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        format!("ports: a client has those from {}", range.replace(char::is_whitespace, " to "))
    } else {
        return said.into();
    };
    format!("{said} ({reason})")
}

/// The soft limit of open descriptors of this process.
pub fn open_files() -> Option<String> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_is_explained_with_this_machines_limit() {
        let said = "Too many open files (os error 24) after 7 of them";
        let why = explain(said);
        assert!(why.starts_with(said) && why.contains(&open_files().unwrap()), "{why}");
        let pid_max = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
        assert!(explain("Resource temporarily unavailable (os error 11)").contains(pid_max.trim()));
        assert_eq!(explain("it took too long"), "it took too long");
    }

    #[test]
    fn a_curve_comes_back_from_its_json() {
        let curve = vec![
            Point { units: 1, outcome: Outcome::Took(vec![0.5]) },
            Point { units: 10, outcome: Outcome::Broke("no more".into()) },
        ];
        let text = serde_json::to_string(&curve).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Point>>(&text).unwrap(), curve);
    }
}
