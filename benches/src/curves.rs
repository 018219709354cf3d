//! The same work for 1, 10, 100, … units, to where it breaks.

use crate::{
    files::{read_json, target, write_json},
    language::{Text, text},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Display, fs, io, path::Path};

/// The file in `report/` that the curves of all questions are in, one beside the other.
pub const FILE: &str = "curves.json";

/// What became of it at one number of units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Seconds for all units, several times.
    Took(Vec<f64>),
    /// It broke, and this is why.
    Broke(Both),
    /// It was not tried, for this reason.
    NotTried(Both),
}

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many units.
    pub units: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// The same words in English and in Chinese.
pub type Both = [String; 2];

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

/// What stands between the system's words and how many there were by then.
const AFTER: &str = ", after ";

/// The system's words, and how many there were when it said them: as [`explain`] expects it.
pub fn after(said: impl Display, done: usize) -> String {
    format!("{said}{AFTER}{done}")
}

/// What the system says by its number, in Chinese; the words of what we say ourselves.
const CHINESE: &[(&str, &str)] = &[
    ("os error 11", "资源暂时不可用"),
    ("os error 12", "无法分配内存"),
    ("os error 23", "系统中打开的文件过多"),
    ("os error 24", "打开的文件过多"),
    ("os error 99", "无法分配所请求的地址"),
    ("os error 104", "连接被对方重置"),
    ("os error 110", "连接超时"),
    ("os error 111", "连接被拒绝"),
    ("signal: 9", "被信号 9 杀死"),
    ("a thread panicked", "有一个线程 panic"),
    ("not answered in time", "未及时应答"),
    ("the server keeps ending connections", "服务器不断关闭连接"),
];

/// Why it broke: what the system said, with the limit of this machine that is behind it, if one is.
pub fn explain(said: &str) -> Both {
    let limit = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join("–")
    };
    let (words, done) = match said.rsplit_once(AFTER) {
        Some((words, done)) if done.parse::<u64>().is_ok() => (words, Some(done)),
        _ => (said, None),
    };
    let is = |what: &str| words.contains(&format!("{what})")) || words.ends_with(what);
    let maps = limit("/proc/sys/vm/max_map_count");
    let reason: Option<Both> = if is("os error 24") {
        let most = open_files().unwrap_or("?".into());
        Some([
            format!("descriptors: a process may have {most} open"),
            format!("描述符：一个进程最多打开 {most} 个"),
        ])
    } else if is("os error 23") {
        let most = limit("/proc/sys/fs/file-max");
        Some([
            format!("descriptors of the whole system: {most}"),
            format!("整个系统的描述符上限：{most}"),
        ])
    } else if is("os error 11") {
        let (pids, threads) =
            (limit("/proc/sys/kernel/pid_max"), limit("/proc/sys/kernel/threads-max"));
        let limits =
            format!("kernel.pid_max {pids}, kernel.threads-max {threads}, vm.max_map_count {maps}");
        Some([
            format!("threads: {limits}; a container's limit may be lower"),
            format!("线程：{limits}；容器的限制可能更低"),
        ])
    } else if is("os error 12") || words.starts_with("signal: 9") {
        Some([
            format!("memory, or mappings: vm.max_map_count {maps}"),
            format!("内存或映射：vm.max_map_count {maps}"),
        ])
    } else if is("os error 99") {
        let range = limit("/proc/sys/net/ipv4/ip_local_port_range");
        Some([
            format!("ports: a client has those from {range}"),
            format!("端口：客户端可用 {range}"),
        ])
    } else {
        None
    };
    let chinese =
        match CHINESE.iter().find(|(english, _)| is(english) || words.starts_with(english)) {
            Some((number, chinese)) if number.starts_with("os") => format!("{chinese}（{number}）"),
            Some((_, chinese)) => (*chinese).to_owned(),
            None => format!("“{words}”"),
        };
    let [mut english, mut chinese] = [words.to_owned(), chinese];
    if let Some(done) = done {
        english += &format!(", after {done} of them");
        chinese += &format!("，此前已有 {done} 个");
    }
    if let Some([in_english, in_chinese]) = reason {
        english += &format!(" ({in_english})");
        chinese += &format!("（{in_chinese}）");
    }
    [english, chinese]
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
        let said = after("Too many open files (os error 24)", 7);
        let [english, chinese] = explain(&said);
        let most = open_files().unwrap();
        assert!(english.starts_with("Too many open files (os error 24), after 7 of them ("));
        assert!(chinese.starts_with("打开的文件过多（os error 24），此前已有 7 个（"), "{chinese}");
        assert!(english.contains(&most) && chinese.contains(&most), "{english} {chinese}");
        let pid_max = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
        for words in explain("Resource temporarily unavailable (os error 11)") {
            assert!(words.contains(pid_max.trim()), "{words}");
        }
        assert_eq!(explain("nobody knows"), ["nobody knows", "“nobody knows”"]);
        assert_eq!(explain("signal: 9 (SIGKILL)")[1].split('（').next(), Some("被信号 9 杀死"));
        assert_eq!(explain("Connection timed out (os error 110)")[1], "连接超时（os error 110）");
    }

    #[test]
    fn a_curve_comes_back_from_its_json() {
        let curve = vec![
            Point { units: 1, outcome: Outcome::Took(vec![0.5]) },
            Point { units: 10, outcome: Outcome::Broke(["no more".into(), "没有了".into()]) },
        ];
        let text = serde_json::to_string(&curve).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Point>>(&text).unwrap(), curve);
    }
}
