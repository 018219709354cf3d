//! What is asked, and in which ways it was answered.

use crate::{
    language::{Language, Text, text},
    results::Results,
    sample::Sample,
};

/// One group of benchmarks.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// As in `cargo bench -- lock`.
    pub name: &'static str,
    /// Over its table.
    pub title: Text,
    /// What one figure is.
    pub one: Text,
    /// The way that the others are compared with, if it was measured.
    pub baseline: &'static str,
    /// Use the fastest of these ways when …; empty: no advice.
    pub when: Text,
    /// The ways one chooses from when one wants that: the others are there for scale.
    pub choices: &'static [&'static str],
}

const fn question(
    name: &'static str,
    title: Text,
    one: Text,
    baseline: &'static str,
    when: Text,
    choices: &'static [&'static str],
) -> Question {
    Question { name, title, one, baseline, when, choices }
}

/// All of them, in the order of the page.
pub const QUESTIONS: &[Question] = &[
    question(
        "start",
        text("Starting one and waiting for its end", "启动一个并等待它结束"),
        text("one that does nothing", "一个什么也不做的"),
        "thread",
        text("work comes in many small pieces", "工作由许多小块组成"),
        &["process", "thread", "async_task", "rayon"],
    ),
    question(
        "switch",
        text("Switching from one to another and back", "从一个切换到另一个再回来"),
        text("one switch", "一次切换"),
        "stackful",
        text("two must take turns very often", "两者必须频繁轮流"),
        &[],
    ),
    question(
        "message/number",
        text("Handing a number over", "传递一个数"),
        text("one message", "一条消息"),
        "threads_mpsc",
        text("small messages go from one to another", "小消息从一方传到另一方"),
        &["queue", "pipe", "ipc_channel", "threads_mpsc", "threads_crossbeam", "async_channel"],
    ),
    question(
        "message/64_bytes",
        text("Handing 64 bytes over", "传递 64 字节"),
        text("one message", "一条消息"),
        "threads_mpsc",
        text("", ""),
        &[],
    ),
    question(
        "message/1_MiB",
        text("Handing 1 MiB over", "传递 1 MiB"),
        text("one message", "一条消息"),
        "threads_mpsc",
        text("large messages go from one to another", "大消息从一方传到另一方"),
        &["queue", "pipe", "ipc_channel", "threads_mpsc", "threads_crossbeam", "async_channel"],
    ),
    question(
        "cpu_bound",
        text("CPU-bound work: counting primes", "计算密集型工作：数素数"),
        text("all of the work", "全部工作"),
        "serial",
        text("the work keeps processors busy", "工作让处理器一直忙碌"),
        &["serial", "threads", "rayon", "processes", "async_one_thread", "async_threads"],
    ),
    question(
        "io_bound",
        text("IO-bound work: requests that wait for their answer", "IO 密集型工作：等待应答的请求"),
        text("one request", "一个请求"),
        "serial",
        text("the work waits for others", "工作在等待别人"),
        &[
            "serial",
            "threads",
            "pool_threads",
            "rayon",
            "processes",
            "async_one_thread",
            "async_threads",
        ],
    ),
    question(
        "pool",
        text("A task that does nothing, done by others", "让别人做一个什么也不做的任务"),
        text("one task", "一个任务"),
        "threads_map",
        text("many short tasks go to workers", "许多短任务交给工人"),
        &["map", "process_each", "threads_map", "thread_each", "async_map"],
    ),
    question(
        "lock",
        text("Two add to one number", "两方对同一个数做加法"),
        text("one update", "一次更新"),
        "serial",
        text("many update one value", "多方更新同一个值"),
        &["one_sum_a_thread", "atomic", "coarse_mutex", "fine_mutex", "fine_parking_lot"],
    ),
    question(
        "iterate",
        text("Going through numbers", "遍历数"),
        text("one number", "一个数"),
        "plain_loop",
        text("", ""),
        &[],
    ),
    question(
        "iterate_send",
        text("Sending numbers in and taking sums out", "送入数并取出和"),
        text("one number", "一个数"),
        "by_hand",
        text("", ""),
        &[],
    ),
    question(
        "copy/small",
        text("Copying 500 files of 4 KiB", "复制 500 个 4 KiB 的文件"),
        text("one file", "一个文件"),
        "serial",
        text("a folder of small files is copied", "复制由小文件组成的文件夹"),
        &["processes", "threads", "serial"],
    ),
    question(
        "copy/large",
        text("Copying four files of 4 MiB", "复制四个 4 MiB 的文件"),
        text("all four", "全部四个"),
        "serial",
        text("large files are copied", "复制大文件"),
        &["processes", "threads", "serial"],
    ),
    question(
        "serve/keep_alive",
        text(
            "Serving a small file over HTTP to 64 connections that are kept",
            "通过 HTTP 向 64 个保持的连接提供一个小文件",
        ),
        text("one request", "一个请求"),
        "thread",
        text("clients keep their connections to a server", "客户端保持与服务器的连接"),
        &["process", "thread", "pool", "async", "epoll"],
    ),
    question(
        "serve/close",
        text(
            "Serving a small file over HTTP, a connection for each request",
            "通过 HTTP 提供一个小文件，每个请求一个连接",
        ),
        text("one request", "一个请求"),
        "thread",
        text(
            "each request to a server has a connection of its own",
            "向服务器的每个请求各用一个连接",
        ),
        &["process", "thread", "pool", "async", "epoll"],
    ),
    question(
        "memory",
        text("Memory held by one", "一个所占的内存"),
        text("one", "一个"),
        "thread",
        text("", ""),
        &[],
    ),
];

/// How a way is called in the tables, and what kind it is.
const WAYS: &[(&str, Text)] = &[
    ("apply", text("processes: one round trip", "进程池：一次往返")),
    ("async", text("async: a task a connection", "异步：每个连接一个任务")),
    ("async_1000_tasks", text("1,000 async tasks, one thread", "1,000 个异步任务，一个线程")),
    ("async_map", text("async tasks, on two threads", "异步任务，两个线程")),
    ("async_channel", text("async: tokio's channel", "异步：tokio 的通道")),
    (
        "async_mutex_one_thread",
        text(
            "async: tokio's lock in the loop, one thread",
            "异步：循环之内用 tokio 的锁，一个线程",
        ),
    ),
    (
        "async_mutex_threads",
        text(
            "async: tokio's lock in the loop, two threads",
            "异步：循环之内用 tokio 的锁，两个线程",
        ),
    ),
    ("async_one_thread", text("async, one thread", "异步，一个线程")),
    ("async_task", text("async task, one thread", "异步任务，一个线程")),
    ("async_task_threads", text("async task, several threads", "异步任务，多个线程")),
    ("async_threads", text("async, a thread a core", "异步，每核一个线程")),
    ("atomic", text("threads: an atomic", "线程：原子变量")),
    ("by_hand", text("written by hand", "手写")),
    ("coarse_mutex", text("threads: a lock around the loop", "线程：循环之外的锁")),
    ("cp", text("`cp -r`", "`cp -r`")),
    ("epoll", text("event loops by hand (epoll)", "手写的事件循环（epoll）")),
    ("fine_mutex", text("threads: a lock in the loop", "线程：循环之内的锁")),
    (
        "fine_parking_lot",
        text("threads: `parking_lot`'s lock in the loop", "线程：循环之内用 `parking_lot` 的锁"),
    ),
    ("generator", text("generator made from `async`", "由 `async` 构成的生成器")),
    ("generator_boxed", text("the same, boxed", "同上，装箱")),
    ("ipc_channel", text("processes: `ipc-channel`", "进程：`ipc-channel`")),
    ("iterator", text("an iterator over a million numbers", "一百万个数的迭代器")),
    ("list", text("a list of a million numbers", "一百万个数的列表")),
    ("map", text("pool of processes", "进程池")),
    ("map_one_by_one", text("pool of processes, a message each", "进程池，每个任务一条消息")),
    ("one_sum_a_thread", text("threads: a sum each", "线程：各自求和")),
    ("pipe", text("processes: our pipe", "进程：我们的管道")),
    ("plain_loop", text("a plain loop", "普通循环")),
    ("pool", text("pool of threads", "线程池")),
    ("pool_threads", text("pool of 16 threads", "16 个线程的池")),
    ("process", text("process", "进程")),
    ("process_each", text("a process each", "每个任务一个进程")),
    ("processes", text("pool of processes", "进程池")),
    (
        "process_queue",
        text("processes: the number in a queue of one", "进程：容量为一的队列里的数"),
    ),
    ("process_file_lock", text("processes: a lock on a file", "进程：文件锁")),
    ("processes_pipe", text("processes, by a pair of pipes", "进程，经由一对管道")),
    ("program_true", text("the program `true`", "程序 `true`")),
    ("queue", text("processes: our queue", "进程：我们的队列")),
    ("rayon", text("rayon", "rayon")),
    ("ring_bytes", text("processes: our ring, bare bytes", "进程：我们的环形缓冲，纯字节")),
    ("serial", text("one after the other", "逐个进行")),
    ("stackful", text("stackful coroutine: resume and yield", "有栈协程：恢复与让出")),
    ("start", text("only starting the two threads", "只启动两个线程")),
    ("symmetric", text("two stackful coroutines, each to the other", "两个有栈协程，互相切换")),
    ("thread", text("thread", "线程")),
    ("thread_each", text("a thread each", "每个任务一个线程")),
    ("thread_scoped", text("scoped thread", "作用域线程")),
    ("threads", text("threads", "线程")),
    ("threads_apply", text("pool of threads: one round trip", "线程池：一次往返")),
    ("threads_crossbeam", text("threads: crossbeam's channel", "线程：crossbeam 的通道")),
    ("threads_map", text("pool of threads (rayon)", "线程池（rayon）")),
    ("threads_mpsc", text("threads: `std`'s channel", "线程：`std` 的通道")),
    ("threads_pinned", text("threads, on one processor", "线程，在同一个处理器上")),
    ("threads_pipe", text("threads: a pipe of the system", "线程：系统的管道")),
    ("threads_socket", text("threads: a Unix socket", "线程：Unix 套接字")),
    (
        "threads_spinning",
        text("threads that spin, on two processors", "自旋的线程，在两个处理器上"),
    ),
    ("threads_tcp", text("threads: TCP on loopback", "线程：环回上的 TCP")),
    ("threads_unpinned", text("threads, not pinned", "线程，不绑定处理器")),
    ("time_slice", text("a busy thread's turn on one processor", "单个处理器上忙碌线程的一轮")),
];

/// One row of a question's table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The name behind `QUESTION/`.
    pub way: &'a str,
    /// What was measured.
    pub sample: &'a Sample,
}

impl Question {
    /// What was measured for it, the fastest first.
    pub fn rows<'a>(&self, results: &'a Results) -> Vec<Row<'a>> {
        let prefix = format!("{}/", self.name);
        let mut rows: Vec<Row<'a>> =
            results.below(&prefix).into_iter().map(|(way, sample)| Row { way, sample }).collect();
        rows.sort_by(|a, b| a.sample.median().total_cmp(&b.sample.median()));
        rows
    }
}

impl Row<'_> {
    /// The way in words; its own name, if it has no other.
    pub fn label(&self, language: Language) -> String {
        match WAYS.iter().find(|(name, _)| *name == self.way) {
            Some((_, label)) => language.say(*label).into(),
            None => format!("`{}`", self.way),
        }
    }
}

/// The questions that nothing was measured for.
pub fn missing(results: &Results) -> Vec<&'static str> {
    let names = QUESTIONS.iter().filter(|question| question.rows(results).is_empty());
    names.map(|question| question.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_fastest_first_and_what_is_missing_is_named() {
        let mut results = Results::default();
        results.insert("lock/atomic", Sample::seconds([2.0]));
        results.insert("lock/new_way", Sample::seconds([1.0]));
        let lock = QUESTIONS.iter().find(|question| question.name == "lock").unwrap();
        let rows = lock.rows(&results);
        assert_eq!(rows.iter().map(|row| row.way).collect::<Vec<_>>(), ["new_way", "atomic"]);
        assert_eq!(rows[0].label(Language::English), "`new_way`");
        assert_eq!(rows[1].label(Language::Chinese), "线程：原子变量");
        let missing = missing(&results);
        assert!(missing.contains(&"serve/close") && !missing.contains(&"lock"));
    }
}
