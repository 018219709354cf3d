//! The notes' claims that can be measured, one a row, and the rule by which each holds or does not.
//!
//! The rule is the same for all that compare two ways, *more* and *less*. They are measured in
//! turns, in rounds ([`crate::rounds`]); a round's ratio is that of the best samples of each: what
//! disturbs makes a sample longer, never shorter, so the best one is what comes back from run to
//! run, where the median depends on which of two processors a thread happened to be woken on. `r`
//! is the median of the rounds' ratios, `low` and `high` are their quartiles.
//!
//! - *holds*: `r` is at least what the claim asks for, and `low` is still above what would refute
//!   it.
//! - *does not hold*: `r` is at most what refutes it, and `high` is still below what it asks for.
//! - *cannot tell here*: neither, or not measured, or too few processors.
//!
//! What a claim asks for and what refutes it stand apart (1.5 and 1.1, say), and between them lies
//! what one run finds and the next one does not. So two runs give the same verdict unless the
//! machine's noise is as large as the difference. Where it may have been, because other programs
//! had the processors while most rounds of a question were measured, a verdict has to be the same
//! for a ratio three times larger and three times smaller ([`BUSY`]): a claim that holds by far
//! still does, the others cannot be told, and none is turned into its contrary.

use crate::{
    language::{Language, Text, digits, text, time},
    python,
    results::Results,
    rounds::Rounds,
    sample::{Sample, Unit},
};

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By the stated rule.
    Holds,
    /// By the stated rule.
    DoesNotHold,
    /// Too noisy, too close, not measured, or not a machine for it.
    CannotTell,
}

impl Verdict {
    /// In words.
    pub fn text(self) -> Text {
        match self {
            Verdict::Holds => text("holds", "成立"),
            Verdict::DoesNotHold => text("does not hold", "不成立"),
            Verdict::CannotTell => text("cannot tell here", "在此无法判断"),
        }
    }

    fn of_the_contrary(self) -> Verdict {
        match self {
            Verdict::Holds => Verdict::DoesNotHold,
            Verdict::DoesNotHold => Verdict::Holds,
            Verdict::CannotTell => Verdict::CannotTell,
        }
    }
}

/// What a claim asks for, and what refutes it: ratios of medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// At least this much: it holds.
    pub holds: f64,
    /// At most this much: it does not.
    pub fails: f64,
}

/// "Costs more", "is slower".
pub const MORE: Bounds = Bounds { holds: 1.5, fails: 1.1 };
/// "Far more", "by far".
pub const FAR_MORE: Bounds = Bounds { holds: 5.0, fails: 2.0 };
/// "Speeds up", by two processors or more.
pub const FASTER: Bounds = Bounds { holds: 1.4, fails: 1.15 };

/// If the machine was busy, a verdict has to be the same for a ratio so many times larger and so
/// many times smaller. Who shares a processor with two others is slowed down that much.
pub const BUSY: f64 = 3.0;

/// How a claim is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// One way costs more than another, of the same unit.
    Ratio {
        /// The way that costs more, if the claim is right.
        more: &'static str,
        /// The other one.
        less: &'static str,
        /// What it asks for.
        bounds: Bounds,
    },
    /// So many a second, within twice as much either way being too close to tell.
    Rate {
        /// What is done.
        way: &'static str,
        /// So often a second: holds from here, fails at half of it.
        a_second: f64,
    },
    /// About so much: holds within a factor of two, fails beyond one of three.
    About {
        /// What is measured.
        way: &'static str,
        /// So many seconds, or bytes.
        value: f64,
    },
    /// It happens at all. That it was not seen proves nothing.
    Ever {
        /// What was counted.
        way: &'static str,
    },
    /// Not at all, for this reason.
    Not(Text),
}

/// One claim of the notes.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// A short name.
    pub id: &'static str,
    /// Of the notes.
    pub section: &'static str,
    /// The notes' own words, where they are quoted; else the case that stands for the section.
    pub words: Words,
    /// What is claimed, as it is put to the test.
    pub claim: Text,
    /// With Python.
    pub python: Measure,
    /// With Rust.
    pub rust: Measure,
    /// The claim says that this is *not* so.
    pub denies: bool,
    /// Below this many processors it cannot be told.
    pub processors: usize,
}

/// The words of the notes.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// Word for word, with a translation.
    Quoted(Text),
    /// In substance: what the case of this name takes from them.
    Case(&'static str, Text),
}

const fn ratio(more: &'static str, less: &'static str, bounds: Bounds) -> Measure {
    Measure::Ratio { more, less, bounds }
}

/// The claims, in the order of the notes.
pub const CLAIMS: &[Claim] = &[
    Claim {
        id: "time slice",
        section: "1.1",
        words: Words::Quoted(text(
            "The answer: the operating system lets the tasks run in turn. Task 1 runs for 0.01 seconds, it switches to task 2, task 2 runs for 0.01 seconds …",
            "答案就是操作系统轮流让各个任务交替执行，任务1执行0.01秒，切换到任务2，任务2执行0.01秒……",
        )),
        claim: text(
            "busy tasks on one processor take turns of about 10 ms",
            "同一个处理器上的忙碌任务每轮运行约 10 毫秒",
        ),
        python: Measure::Not(text(
            "the system gives the turns, whatever the language",
            "时间片由操作系统分配，与语言无关",
        )),
        rust: Measure::About { way: "scheduler/time_slice", value: 0.01 },
        denies: false,
        processors: 1,
    },
    Claim {
        id: "threads, CPU-bound",
        section: "1.1",
        words: Words::Quoted(text(
            "Threads: because there is the GIL, in essence only one thread runs at a time … they cannot use several cores.",
            "多线程：多个代码片段同时执行，由于存在GIL，本质上，同时只有一个线程再执行……并不能发挥多核性能",
        )),
        claim: text("threads do not speed up CPU-bound work", "线程不能加快计算密集型工作"),
        python: ratio("python/cpu_bound/serial", "python/cpu_bound/thread", FASTER),
        rust: ratio("cpu_bound/serial", "cpu_bound/threads", FASTER),
        denies: true,
        processors: 2,
    },
    Claim {
        id: "processes, CPU-bound",
        section: "1.1",
        words: Words::Quoted(text(
            "Only with several processes can Python use the CPU's cores.",
            "Python使用多进程才能利用CPU的多核资源",
        )),
        claim: text("processes speed up CPU-bound work", "进程能加快计算密集型工作"),
        python: ratio("python/cpu_bound/serial", "python/cpu_bound/process", FASTER),
        rust: ratio("cpu_bound/serial", "cpu_bound/processes", FASTER),
        denies: false,
        processors: 2,
    },
    Claim {
        id: "processes before threads, CPU-bound",
        section: "1.1",
        words: Words::Quoted(text(
            "If your code is CPU-bound, several processes are clearly the better choice, above all on a machine with several cores or CPUs.",
            "如果你的代码是CPU密集型的，多进程就明显是更好的选择——特别是所使用的机器是多核或多CPU的。",
        )),
        claim: text(
            "for CPU-bound work, processes are clearly faster than threads",
            "对计算密集型工作，进程明显快于线程",
        ),
        python: ratio("python/cpu_bound/thread", "python/cpu_bound/process", FASTER),
        rust: ratio("cpu_bound/threads", "cpu_bound/processes", FASTER),
        denies: false,
        processors: 2,
    },
    Claim {
        id: "threads, IO-bound",
        section: "1.1",
        words: Words::Quoted(text(
            "If your code is IO-bound, threads and processes can help you.",
            "如果你的代码是IO密集型的，线程和多进程可以帮到你。",
        )),
        claim: text("threads speed up IO-bound work", "线程能加快 IO 密集型工作"),
        python: ratio("python/io_bound/serial", "python/io_bound/thread", MORE),
        rust: ratio("io_bound/serial", "io_bound/threads", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "processes, IO-bound",
        section: "1.1",
        words: Words::Quoted(text(
            "If your code is IO-bound, threads and processes can help you.",
            "如果你的代码是IO密集型的，线程和多进程可以帮到你。",
        )),
        claim: text("processes speed up IO-bound work", "进程能加快 IO 密集型工作"),
        python: ratio("python/io_bound/serial", "python/io_bound/process", MORE),
        rust: ratio("io_bound/serial", "io_bound/processes", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "coroutines, IO-bound",
        section: "4.4, 5",
        words: Words::Case(
            "1_1_4_io_bound",
            text("IO-bound work wants threads or coroutines.", "IO 密集型工作适合线程或协程。"),
        ),
        claim: text(
            "coroutines on one thread speed up IO-bound work",
            "单个线程上的协程能加快 IO 密集型工作",
        ),
        python: ratio("python/io_bound/serial", "python/io_bound/asyncio", MORE),
        rust: ratio("io_bound/serial", "io_bound/async_one_thread", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "memory, process and thread",
        section: "1.1, 3.2",
        words: Words::Quoted(text(
            "Processes are easier to use than threads, but take more memory.",
            "多进程比线程更易用，但是消耗更多的内存。",
        )),
        claim: text("a process takes more memory than a thread", "一个进程占用的内存多于一个线程"),
        python: ratio("python/memory/process", "python/memory/thread", MORE),
        rust: ratio("memory/process", "memory/thread", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "memory, thread and coroutine",
        section: "4.4, 5",
        words: Words::Case(
            "1_1_7_cost_of_a_task",
            text(
                "A process costs more than a thread, a thread more than a coroutine, by far.",
                "进程的开销大于线程，线程的开销大于协程，而且相差很多。",
            ),
        ),
        claim: text(
            "a thread takes far more memory than a coroutine",
            "一个线程占用的内存远多于一个协程",
        ),
        python: ratio("python/memory/thread", "python/memory/asyncio", FAR_MORE),
        rust: ratio("memory/thread", "memory/async_task", FAR_MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "race",
        section: "2",
        words: Words::Quoted(text(
            "If several threads work on the same global variable at once, they compete for it, and the result can be wrong.",
            "如果多个线程同时对同一个全局变量操作，会出现资源竞争问题，从而数据结果会不正确",
        )),
        claim: text(
            "two threads that add to one number without a lock lose updates",
            "两个线程不加锁地对同一个数做加法会丢失更新",
        ),
        // `number += 1` alone loses none with today's CPython, which changes threads only at a call
        // and at the end of a loop's round; the row `updates_lost` says so.
        python: Measure::Ever { way: "python/lock/updates_lost_by_call" },
        rust: Measure::Not(text(
            "a program that does this is refused by the compiler (`naive_shared_counter`)",
            "编译器拒绝这样的程序（`naive_shared_counter`）",
        )),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "lock",
        section: "2",
        words: Words::Quoted(text(
            "The code that holds a lock can in fact only run single-threaded, and efficiency falls greatly.",
            "包含锁的某段代码实际上只能以单线程模式执行，效率就大大地下降了",
        )),
        claim: text(
            "with a lock around each update, two threads are slower than one without",
            "每次更新都加锁时，两个线程慢于不加锁的一个线程",
        ),
        python: ratio("python/lock/fine", "python/lock/serial", MORE),
        rust: ratio("lock/fine_mutex", "lock/serial", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "fine and coarse lock",
        section: "2",
        words: Words::Case(
            "28_11_1_fine_grained_mutex",
            text(
                "The lock inside the loop: the two take turns, still one at a time.",
                "锁在循环之内：两个线程轮流执行，仍然一次只有一个。",
            ),
        ),
        claim: text(
            "a lock inside the loop costs more than one around it",
            "循环之内的锁比循环之外的锁代价大",
        ),
        python: ratio("python/lock/fine", "python/lock/coarse", MORE),
        rust: ratio("lock/fine_mutex", "lock/coarse_mutex", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "start, process and thread",
        section: "3.2",
        words: Words::Quoted(text(
            "Each has its strengths: running threads costs little, but they are no good for managing and protecting resources; with processes it is the other way round.",
            "线程和进程在使用上各有优缺点：线程执行开销小，但不利于资源的管理和保护；而进程正相反。",
        )),
        claim: text(
            "starting and ending a process costs more than a thread",
            "启动并结束一个进程的代价大于一个线程",
        ),
        python: ratio("python/start/process", "python/start/thread", MORE),
        rust: ratio("start/process", "start/thread", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "start, thread and coroutine",
        section: "4.4, 5",
        words: Words::Case(
            "1_1_7_cost_of_a_task",
            text(
                "A process costs more than a thread, a thread more than a coroutine, by far.",
                "进程的开销大于线程，线程的开销大于协程，而且相差很多。",
            ),
        ),
        claim: text(
            "starting and ending a thread costs far more than a coroutine",
            "启动并结束一个线程的代价远大于一个协程",
        ),
        python: ratio("python/start/thread", "python/start/asyncio", FAR_MORE),
        rust: ratio("start/thread", "start/async_task", FAR_MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "queues",
        section: "3.2",
        words: Words::Quoted(text(
            "While they run, processes have memory of their own, and several threads share theirs, which makes programs run far more efficiently.",
            "进程在执行过程中拥有独立的内存单元，而多个线程共享内存，从而极大地提高了程序的运行效率",
        )),
        claim: text(
            "a queue between processes is slower than one between threads",
            "进程间的队列慢于线程间的队列",
        ),
        python: ratio("python/message/process_queue", "python/message/thread_queue", MORE),
        rust: ratio("message/number/queue", "message/number/threads_mpsc", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "pool",
        section: "3.5",
        words: Words::Quoted(text(
            "With hundreds or even thousands of targets, creating the processes by hand is a huge amount of work; then one uses Pool … A pool's point is that it uses its processes again.",
            "如果是上百甚至上千个目标，手动的去创建进程的工作量巨大，此时就可以用到multiprocessing模块提供的Pool方法……进程池的特点就是会重复利用进程池中的进程",
        )),
        claim: text(
            "a pool beats starting a process for each task",
            "进程池胜过为每个任务启动一个进程",
        ),
        python: ratio("python/pool/process_each", "python/pool/apply", MORE),
        rust: ratio("pool/process_each", "pool/apply", MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "iterator",
        section: "4.2",
        words: Words::Quoted(text(
            "So the data to go through need not all be stored beforehand, which saves a great deal of memory.",
            "也就是说不用再将所有要迭代的数据都一次性缓存下来供后续依次读取，这样可以节省大量的存储（内存）空间",
        )),
        claim: text(
            "an iterator over a million numbers takes far less memory than a list of them",
            "对一百万个数，迭代器占用的内存远少于列表",
        ),
        python: ratio("python/memory/list", "python/memory/iterator", FAR_MORE),
        rust: ratio("memory/list", "memory/iterator", FAR_MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "switch",
        section: "4.4",
        words: Words::Case(
            "1_1_7_cost_of_a_task",
            text(
                "A process costs more than a thread, a thread more than a coroutine, by far: also one switch between two.",
                "进程的开销大于线程，线程的开销大于协程，而且相差很多：两者之间的一次切换也是如此。",
            ),
        ),
        claim: text(
            "a switch between threads costs far more than one between coroutines",
            "线程切换的代价远大于协程切换",
        ),
        python: ratio("python/switch/thread", "python/switch/greenlet", FAR_MORE),
        rust: ratio(SWITCH_THREADS, SWITCH_COROUTINE, FAR_MORE),
        denies: false,
        processors: 1,
    },
    Claim {
        id: "a million switches",
        section: "4.4",
        words: Words::Case(
            "4_4_from_scratch",
            text(
                "A coroutine's switch only saves and restores a little state: a million of them a second are no effort.",
                "协程切换只是保存和恢复少量状态：每秒切换上百万次也毫不费力。",
            ),
        ),
        claim: text("coroutines switch a million times a second", "协程每秒能切换一百万次"),
        python: Measure::Rate { way: "python/switch/greenlet", a_second: 1e6 },
        rust: Measure::Rate { way: SWITCH_COROUTINE, a_second: 1e6 },
        denies: false,
        processors: 1,
    },
];

/// Two threads that hand over to each other, on one processor.
pub const SWITCH_THREADS: &str = "switch/threads_pinned";
/// A stackful coroutine that is resumed and yields.
pub const SWITCH_COROUTINE: &str = "switch/stackful";

/// What became of one claim in one language.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// By the rule.
    pub verdict: Verdict,
    /// The ratio, or what stands for it; `NaN` if nothing was measured.
    pub value: f64,
    /// What was found, in words, English and Chinese.
    pub found: [String; 2],
}

impl Finding {
    fn cannot_tell(english: impl Into<String>, chinese: impl Into<String>) -> Finding {
        let found = [english.into(), chinese.into()];
        Finding { verdict: Verdict::CannotTell, value: f64::NAN, found }
    }

    fn on_a_busy_machine(mut self, is_busy: bool) -> Finding {
        if is_busy {
            self.found[0] += "; the machine was busy";
            self.found[1] += "；当时机器繁忙";
        }
        self
    }

    /// What was found, in `language`.
    pub fn found(&self, language: Language) -> &str {
        language.of(&self.found[0], &self.found[1])
    }
}

/// The rule itself, for a ratio and how far it can be trusted: its `(low, median, high)`.
///
/// ```
/// use benches::claims::{MORE, Verdict, verdict};
///
/// assert_eq!(verdict((1.9, 2.0, 2.1), MORE), Verdict::Holds);
/// assert_eq!(verdict((0.9, 1.0, 1.1), MORE), Verdict::DoesNotHold);
/// assert_eq!(verdict((0.7, 2.0, 4.0), MORE), Verdict::CannotTell); // too noisy
/// assert_eq!(verdict((1.2, 1.3, 1.4), MORE), Verdict::CannotTell); // neither here nor there
/// ```
pub fn verdict((low, median, high): (f64, f64, f64), bounds: Bounds) -> Verdict {
    if median >= bounds.holds && low > bounds.fails {
        Verdict::Holds
    } else if median <= bounds.fails && high < bounds.holds {
        Verdict::DoesNotHold
    } else {
        Verdict::CannotTell
    }
}

/// The same; on a machine that was busy only what noise cannot have done.
///
/// ```
/// use benches::claims::{FAR_MORE, Verdict, judge};
///
/// assert_eq!(judge((90.0, 100.0, 110.0), FAR_MORE, true), Verdict::Holds);
/// assert_eq!(judge((9.0, 10.0, 11.0), FAR_MORE, true), Verdict::CannotTell);
/// assert_eq!(judge((9.0, 10.0, 11.0), FAR_MORE, false), Verdict::Holds);
/// ```
pub fn judge(ratio: (f64, f64, f64), bounds: Bounds, is_busy: bool) -> Verdict {
    let times = |by: f64| verdict((ratio.0 * by, ratio.1 * by, ratio.2 * by), bounds);
    if is_busy && times(BUSY) != times(1.0 / BUSY) {
        return Verdict::CannotTell;
    }
    times(1.0)
}

/// What counts of a way: the best of each round; all samples if it was measured once, by a
/// benchmark alone.
struct Counted {
    sample: Sample,
    in_rounds: bool,
    is_busy: bool,
}

/// What is missing is the error.
fn counted(results: &Results, name: &'static str) -> Result<Counted, &'static str> {
    let all = results.get(name).ok_or(name)?;
    Ok(match results.rounds_of(name) {
        Some(rounds) => {
            let values = rounds.counted().filter_map(|round| Some(round.samples.get(name)?.best()));
            let sample = Sample { unit: all.unit, values: values.collect() };
            Counted { sample, in_rounds: true, is_busy: rounds.is_busy() }
        }
        None => Counted { sample: all.clone(), in_rounds: false, is_busy: false },
    })
}

impl Counted {
    /// `low`, `r` and `high` of [the rule](self).
    fn ratio_to(&self, less: &Counted) -> (f64, f64, f64) {
        let (these, those) = (&self.sample.values, &less.sample.values);
        if !(self.in_rounds && less.in_rounds && these.len() == those.len()) {
            return ratio_of(&self.sample, &less.sample);
        }
        let ratio = |(more, less): (&f64, &f64)| ratio_of_values(*more, *less, self.sample.unit);
        let ratios = Sample::seconds(these.iter().zip(those).map(ratio));
        let (low, high) = ratios.quartiles();
        (low, ratios.median(), high)
    }
}

/// What was measured as nothing counts as the least that could be seen (one byte, a tenth of a
/// nanosecond).
fn ratio_of_values(more: f64, less: f64, unit: Unit) -> f64 {
    let least = if unit == Unit::Seconds { 1e-10 } else { 1.0 };
    more.max(least) / less.max(least)
}

/// `more` by `less`: by the quartiles that bring it down, the medians, the quartiles that bring it
/// up.
pub fn ratio_of(more: &Sample, less: &Sample) -> (f64, f64, f64) {
    let ratio = |a: f64, b: f64| ratio_of_values(a, b, more.unit);
    let (a, b) = (more.quartiles(), less.quartiles());
    (ratio(a.0, b.1), ratio(more.median(), less.median()), ratio(a.1, b.0))
}

impl Claim {
    /// What Python says to it.
    pub fn with_python(&self, results: &Results, processors: usize) -> Finding {
        self.find(&self.python, results, processors)
    }

    /// What Rust says to it.
    pub fn with_rust(&self, results: &Results, processors: usize) -> Finding {
        self.find(&self.rust, results, processors)
    }

    fn find(&self, measure: &Measure, results: &Results, processors: usize) -> Finding {
        if processors < self.processors {
            let n = self.processors;
            return Finding::cannot_tell(
                format!("needs {n} processors, there is {processors}"),
                format!("需要 {n} 个处理器，这里只有 {processors} 个"),
            );
        }
        let mut finding = match measure.find(results) {
            Ok(finding) => finding,
            Err(name) => match results.why_missing(name) {
                Some(why) => Finding::cannot_tell(
                    format!("not measured: {why}"),
                    format!("未测量：{}", python::in_chinese(why)),
                ),
                None => Finding::cannot_tell(
                    format!("not measured: there is no `{name}`"),
                    format!("未测量：没有 `{name}`"),
                ),
            },
        };
        if self.denies {
            finding.verdict = finding.verdict.of_the_contrary();
        }
        finding
    }
}

impl Measure {
    /// The name of what is missing as an error.
    fn find(&self, results: &Results) -> Result<Finding, &'static str> {
        let get = |name| results.get(name).ok_or(name);
        Ok(match *self {
            Measure::Ratio { more, less, bounds } => {
                let (more, less) = (counted(results, more)?, counted(results, less)?);
                let ratio = more.ratio_to(&less);
                let median = |of: &Counted| amount(&of.sample, of.sample.median());
                let is = format!(
                    "{} / {} = {} × ({}–{})",
                    median(&more),
                    median(&less),
                    digits(ratio.1),
                    digits(ratio.0),
                    digits(ratio.2)
                );
                Finding {
                    verdict: judge(ratio, bounds, more.is_busy),
                    value: ratio.1,
                    found: [is.clone(), is],
                }
                .on_a_busy_machine(more.is_busy)
            }
            Measure::Rate { way, a_second } => {
                let way = counted(results, way)?;
                let (low, high) = way.sample.quartiles();
                let seconds = way.sample.median();
                let times = |seconds: f64| 1.0 / seconds / a_second;
                let bounds = Bounds { holds: 1.0, fails: 0.5 };
                let millions = digits(1e-6 / seconds);
                Finding {
                    verdict: judge((times(high), times(seconds), times(low)), bounds, way.is_busy),
                    value: 1.0 / seconds,
                    found: [
                        format!("{}, {millions} million a second", time(seconds)),
                        format!("{}，每秒 {millions} 百万次", time(seconds)),
                    ],
                }
                .on_a_busy_machine(way.is_busy)
            }
            Measure::About { way, value } => {
                let sample = get(way)?;
                let is_busy = results.rounds_of(way).is_some_and(Rounds::is_busy);
                // How far off, whichever way: the farther, the less it holds.
                let off = |is: f64| (is / value).max(value / is);
                let verdict = match off(sample.median()) {
                    _ if is_busy => Verdict::CannotTell,
                    m if m <= 2.0 => Verdict::Holds,
                    m if m >= 3.0 => Verdict::DoesNotHold,
                    _ => Verdict::CannotTell,
                };
                let (low, high) = sample.quartiles();
                let is = format!(
                    "{} ({}–{})",
                    amount(sample, sample.median()),
                    amount(sample, low),
                    amount(sample, high)
                );
                Finding { verdict, value: sample.median(), found: [is.clone(), is] }
                    .on_a_busy_machine(is_busy)
            }
            Measure::Ever { way } => {
                let sample = get(way)?;
                let seen = sample.values.iter().filter(|&&times| times > 0.0).count();
                let of = sample.values.len();
                Finding {
                    verdict: if seen > 0 { Verdict::Holds } else { Verdict::CannotTell },
                    value: seen as f64,
                    found: [
                        format!("seen in {seen} of {of} rounds"),
                        format!("{of} 轮中有 {seen} 轮出现"),
                    ],
                }
            }
            Measure::Not(why) => Finding::cannot_tell(why.en, why.zh),
        })
    }

    /// The rule, in words.
    pub fn rule(&self, denies: bool, language: Language) -> String {
        match *self {
            Measure::Ratio { more, less, bounds } => {
                let (holds, fails) = if denies {
                    (
                        format!("≤ {}, < {}", bounds.fails, bounds.holds),
                        format!("≥ {}, > {}", bounds.holds, bounds.fails),
                    )
                } else {
                    (
                        format!("≥ {}, > {}", bounds.holds, bounds.fails),
                        format!("≤ {}, < {}", bounds.fails, bounds.holds),
                    )
                };
                language.of(
                    format!("`{more}` / `{less}`: holds {holds}; does not {fails}"),
                    format!("`{more}` / `{less}`：{holds} 成立；{fails} 不成立"),
                )
            }
            Measure::Rate { way, a_second } => language.of(
                format!("`{way}`: holds from {} a second, fails at half of it", digits(a_second)),
                format!("`{way}`：每秒 {} 次起成立，不到一半不成立", digits(a_second)),
            ),
            Measure::About { way, value } => language.of(
                format!("`{way}`: holds within 2 × of {}, fails beyond 3 ×", time(value)),
                format!("`{way}`：与 {} 相差 2 倍以内成立，3 倍以上不成立", time(value)),
            ),
            Measure::Ever { way } => language.of(
                format!("`{way}`: holds if ever seen; that it was not seen proves nothing"),
                format!("`{way}`：出现过即成立；没有出现不能说明问题"),
            ),
            Measure::Not(_) => "–".into(),
        }
    }
}

/// A value of this sample, as one reads it.
pub fn amount(sample: &Sample, value: f64) -> String {
    match sample.unit {
        Unit::Seconds => time(value),
        Unit::Bytes => crate::language::bytes(value),
        Unit::Times => digits(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn claim(id: &str) -> &'static Claim {
        CLAIMS.iter().find(|claim| claim.id == id).unwrap()
    }

    fn cpu_bound(serial: f64, threads: f64, noise: f64) -> Results {
        let mut results = Results::default();
        let around = |value: f64| [1.0 - noise, 1.0, 1.0 + noise].map(|by| value * by);
        results.insert("cpu_bound/serial", Sample::seconds(around(serial)));
        results.insert("cpu_bound/threads", Sample::seconds(around(threads)));
        results
    }

    #[test]
    fn a_ratio_beyond_its_bound_and_out_of_the_noise_holds() {
        for (ratio, verdict_) in [
            ((1.5, 1.5, 1.5), Verdict::Holds),
            ((1.1, 1.5, 1.9), Verdict::CannotTell), // its quartiles reach what refutes it
            ((1.49, 1.49, 1.49), Verdict::CannotTell),
            ((1.1, 1.1, 1.1), Verdict::DoesNotHold),
            ((0.1, 0.2, 0.3), Verdict::DoesNotHold),
            ((0.9, 1.0, 1.5), Verdict::CannotTell), // its quartiles reach what it asks for
        ] {
            assert_eq!(verdict(ratio, MORE), verdict_, "{ratio:?}");
        }
    }

    #[test]
    fn a_claim_that_denies_is_judged_the_other_way_round() {
        let threads = claim("threads, CPU-bound");
        let judge = |results: &Results| threads.with_rust(results, 2).verdict;
        assert_eq!(judge(&cpu_bound(2.0, 1.0, 0.01)), Verdict::DoesNotHold);
        assert_eq!(judge(&cpu_bound(2.0, 2.0, 0.01)), Verdict::Holds);
        assert_eq!(judge(&cpu_bound(2.0, 1.0, 0.6)), Verdict::CannotTell);
    }

    #[test]
    fn one_processor_cannot_show_what_needs_two() {
        let finding = claim("threads, CPU-bound").with_rust(&cpu_bound(2.0, 1.0, 0.01), 1);
        assert_eq!(finding.verdict, Verdict::CannotTell);
        assert!(finding.found[0].contains("2 processors"), "{finding:?}");
    }

    #[test]
    fn what_was_not_measured_is_said_with_the_reason() {
        let mut results = Results::default();
        let finding = claim("switch").with_python(&results, 2);
        assert_eq!(finding.found[0], "not measured: there is no `python/switch/thread`");
        results.miss("python", "no python3");
        let finding = claim("switch").with_python(&results, 2);
        assert_eq!(finding.found, ["not measured: no python3", "未测量：没有 python3"]);
        assert_eq!(finding.verdict, Verdict::CannotTell);
    }

    #[test]
    fn a_rate_a_value_and_an_event() {
        let judge = |measure: Measure, sample: Sample| {
            let mut results = Results::default();
            results.insert("x", sample);
            measure.find(&results).unwrap().verdict
        };
        let million = Measure::Rate { way: "x", a_second: 1e6 };
        assert_eq!(judge(million, Sample::seconds([4e-9, 5e-9])), Verdict::Holds);
        assert_eq!(judge(million, Sample::seconds([4e-6, 5e-6])), Verdict::DoesNotHold);
        assert_eq!(judge(million, Sample::seconds([1.4e-6])), Verdict::CannotTell);
        let ten = Measure::About { way: "x", value: 0.01 };
        assert_eq!(judge(ten, Sample::seconds([0.006])), Verdict::Holds);
        assert_eq!(judge(ten, Sample::seconds([0.025])), Verdict::CannotTell);
        assert_eq!(judge(ten, Sample::seconds([0.003])), Verdict::DoesNotHold);
        assert_eq!(judge(ten, Sample::seconds([0.1])), Verdict::DoesNotHold);
        let ever = Measure::Ever { way: "x" };
        let times = |values: &[f64]| Sample { unit: Unit::Times, values: values.to_vec() };
        assert_eq!(judge(ever, times(&[0.0, 0.0, 3.0])), Verdict::Holds);
        assert_eq!(judge(ever, times(&[0.0, 0.0])), Verdict::CannotTell);
    }

    #[test]
    fn nothing_held_is_not_divided_by() {
        let bytes = |value: f64| Sample { unit: Unit::Bytes, values: vec![value] };
        assert_eq!(ratio_of(&bytes(8e6), &bytes(0.0)).1, 8e6);
        assert_eq!(ratio_of(&bytes(0.0), &bytes(-4096.0)).1, 1.0);
    }

    #[test]
    fn every_claim_has_its_own_name_and_bounds_that_stand_apart() {
        let names: BTreeSet<_> = CLAIMS.iter().map(|claim| claim.id).collect();
        assert_eq!(names.len(), CLAIMS.len());
        for claim in CLAIMS {
            for measure in [claim.python, claim.rust] {
                if let Measure::Ratio { bounds, .. } = measure {
                    assert!(bounds.holds > bounds.fails, "{}", claim.id);
                }
            }
        }
    }
}
