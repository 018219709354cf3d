//! How much work the copier does for each entry, whatever the tree looks like: counted in system
//! calls, which are the same on a busy machine.
//!
//! Each test copies a tree and one of four times the size under `strace`. Work that is proportional
//! to the size takes at most four times as many calls.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use copier::{Model, Options, Summary};
use harness::Scratch;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

harness::tests! {
    [
        named_files, named_directories, fifty_thousand_named_files, a_deep_tree, a_deep_tree_in_little_memory,
        directories_beside_a_deep_one, a_wide_directory, files_in_one_directory, empty_files, long_names, links_of_one_file,
        files_of_two_names, linked_files_are_not_read_again, what_is_there_already, failures, links_and_special_files, holes,
        names_that_begin_as_temporary_ones,
    ]
    helpers [copy_here]
}

/// What to do in the process that is traced.
#[derive(Clone)]
struct Copy {
    sources: Vec<PathBuf>,
    target: PathBuf,
    settings: String,
}

fn copying(sources: &[PathBuf], target: &Path, settings: &str) -> Copy {
    Copy { sources: sources.to_vec(), target: target.into(), settings: settings.into() }
}

/// Copies as the environment says.
fn copy_here() {
    let variable = |name| std::env::var_os(name).unwrap();
    let list = fs::read(variable("COPY_SOURCES")).unwrap();
    let path = |name: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(name));
    let sources: Vec<PathBuf> =
        list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(path).collect();
    let settings = variable("COPY_SETTINGS").into_string().unwrap();
    let processes_after = std::time::Duration::ZERO;
    let mut options = Options { workers: 2, processes_after, ..Options::default() };
    for word in settings.split_whitespace() {
        match word {
            "preserve" => options.preserve = true,
            "dry-run" => options.dry_run = true,
            "thread" | "process" => options.model = word.parse().unwrap(),
            _ => options.on_exists = word.parse().unwrap(),
        }
    }
    let target = PathBuf::from(variable("COPY_TO"));
    let copied = copier::copy(&sources, &target, &options, |_| ControlFlow::Continue(())).unwrap();
    print!("{}", copied.failures.len());
}

impl Copy {
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let list = self.target.with_extension("sources");
        let names: Vec<&[u8]> =
            self.sources.iter().map(|path| path.as_os_str().as_bytes()).collect();
        fs::write(&list, names.join(&0)).unwrap();
        let helper = harness::helper("copy_here");
        let mut command = Command::new(program);
        command.args(arguments).arg(std::env::current_exe().unwrap()).stdin(Stdio::null());
        for (name, value) in helper.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("COPY_SOURCES", list).env("COPY_TO", &self.target);
        command.env("COPY_SETTINGS", &self.settings);
        command
    }

    /// How many names it could not copy, and how often it made each system call that has to do with
    /// files.
    fn calls(&self) -> (usize, BTreeMap<String, u64>) {
        let report = self.target.with_extension("calls");
        let to = report.to_str().unwrap();
        let trace = "trace=%file,%desc";
        let arguments = ["-f", "-qq", "-c", "-U", "calls,name", "-o", to, "-e", trace];
        let output = self.command("strace", &arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", output.status);
        let mut calls = BTreeMap::new();
        for line in fs::read_to_string(&report).unwrap().lines() {
            let mut words = line.split_whitespace();
            if let (Some(Ok(count)), Some(name)) = (words.next().map(str::parse), words.next()) {
                // Those that wait are repeated for as long as it takes.
                if !["total", "poll", "ppoll", "epoll_wait", "epoll_pwait"].contains(&name) {
                    calls.insert(name.to_owned(), count);
                }
            }
        }
        let failures = String::from_utf8_lossy(&output.stdout).parse().unwrap();
        (failures, calls)
    }
}

/// Whether system calls can be counted here. If not, that is printed.
fn can_count() -> bool {
    let traced = Command::new("strace").args(["-qq", "-c", "-o", "/dev/null", "true"]).output();
    let trouble = match traced {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!(
        "SKIPPED: system calls are not counted, since strace cannot be used: {}",
        trouble.trim()
    );
    false
}

/// So many calls, at most, belong to the start of the worker processes.
const WORKERS_START: u64 = 1000;

const MODELS: [&str; 2] = ["thread", "process"];

/// Copies something of size `small` and of four times that size, and compares the calls.
fn is_proportional(what: &str, small: usize, prepare: impl Fn(&Scratch, usize) -> Copy) {
    if !can_count() {
        return;
    }
    for model in MODELS {
        let total = |size| {
            let scratch = Scratch::new();
            let mut copy = prepare(&scratch, size);
            copy.settings += &format!(" {model}");
            let (_, calls) = copy.calls();
            (calls.values().sum::<u64>(), calls)
        };
        let ((few, _), (many, calls)) = (total(small), total(4 * small));
        println!("  {what}, {model}: {few} calls for {small}, {many} for {}", 4 * small);
        // A little more: how work is divided among workers is not always the same. And the smaller
        // copy may be over before a worker process is needed.
        let starts = if model == "process" { WORKERS_START } else { 0 };
        let most = few * 4 + few / 2 + starts;
        assert!(many <= most, "{what}, {model}: {few} calls, then {many}: {calls:?}");
    }
}

/// `count` files in a new directory.
fn make_files(directory: &Path, count: usize) -> Vec<PathBuf> {
    fs::create_dir_all(directory).unwrap();
    let names = (0..count).map(|number| directory.join(format!("file{number}")));
    names.inspect(|path| fs::write(path, "contents").unwrap()).collect()
}

fn named_files() {
    is_proportional("named files", 150, |scratch, count| {
        let sources = make_files(&scratch.at("from"), count);
        fs::create_dir(scratch.at("to")).unwrap();
        copying(&sources, &scratch.at("to"), "")
    });
    // Nor is the target listed for each of them.
    if can_count() {
        let scratch = Scratch::new();
        let sources = make_files(&scratch.at("from"), 1000);
        make_files(&scratch.at("to"), 3000);
        let (_, calls) = copying(&sources, &scratch.at("to"), "thread").calls();
        assert!(calls["getdents64"] < 100, "{calls:?}");
    }
}

fn named_directories() {
    is_proportional("named directories", 50, |scratch, count| {
        let sources: Vec<PathBuf> = (0..count).map(|n| scratch.at(&format!("from/{n}"))).collect();
        sources.iter().for_each(|directory| drop(make_files(directory, 2)));
        fs::create_dir(scratch.at("to")).unwrap();
        copying(&sources, &scratch.at("to"), "preserve")
    });
}

/// Comparing each name with each other would take more than the time a test has.
fn fifty_thousand_named_files() {
    const COUNT: usize = 50_000;
    let scratch = Scratch::new();
    let sources = make_files(&scratch.at("from"), COUNT);
    fs::create_dir(scratch.at("to")).unwrap();
    let options = Options { model: Model::Thread, ..Options::default() };
    let copied: Summary =
        copier::copy(&sources, &scratch.at("to"), &options, |_| ControlFlow::Continue(())).unwrap();
    assert!(copied.is_complete(), "{:?}", copied.failures);
    assert_eq!(
        (copied.files, fs::read_dir(scratch.at("to")).unwrap().count()),
        (COUNT as u64, COUNT)
    );
}

/// A chain of directories; `fill` puts something into each.
fn make_deep(root: &Path, name: &str, depth: usize, fill: impl Fn(&OwnedFd)) {
    fs::create_dir_all(root).unwrap();
    let open = |above: &OwnedFd, name: &str| {
        openat(above, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    };
    let mut at = openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    for _ in 0..depth {
        fill(&at);
        mkdirat(&at, name, Mode::RWXU).unwrap();
        at = open(&at, name);
    }
    fill(&at);
}

fn make_file(directory: &OwnedFd, name: &str) {
    openat(directory, name, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU).unwrap();
}

/// Most of these paths are longer than what the kernel takes.
fn a_deep_tree() {
    let name = "n".repeat(250);
    for (settings, roots) in [
        ("", &["from"][..]),
        ("preserve", &["from"]),
        ("preserve", &["from", "to"]), // and once more: everything is there
        ("dry-run", &["from"]),
    ] {
        is_proportional(&format!("levels ({settings}) of {roots:?}"), 50, |scratch, depth| {
            for root in roots {
                make_deep(&scratch.at(root), &name, depth, |directory| {
                    make_file(directory, "file")
                });
            }
            copying(&[scratch.at("from")], &scratch.at("to"), settings)
        });
    }
}

/// Three thousand names of 250 bytes: all paths of the directories together have more than a
/// gigabyte.
fn a_deep_tree_in_little_memory() {
    let scratch = Scratch::new();
    let name = "n".repeat(250);
    make_deep(&scratch.at("from"), &name, 3000, |directory| make_file(directory, "file"));
    for model in MODELS {
        let target = scratch.at(model);
        let copy = copying(&[scratch.at("from")], &target, &format!("preserve {model}"));
        // In kilobytes: without the stacks of the threads, which are only reserved.
        let limited = copy.command("bash", &["-c", "ulimit -d 200000; exec \"$0\" \"$@\""]);
        let output = { limited }.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout == b"0", "{model}: {output:?} {said}");
        let counted = |root: &Path| {
            let output = Command::new("find").arg(root).arg("-printf").arg(".").output().unwrap();
            output.stdout.len()
        };
        assert_eq!(counted(&target), counted(&scratch.at("from")));
    }
}

fn directories_beside_a_deep_one() {
    // Whatever the order is in which they are listed, some come after what is inside another one.
    let fill = |directory: &OwnedFd| {
        for side in ["a", "m", "z"] {
            mkdirat(directory, side, Mode::RWXU).unwrap();
            make_file(directory, &format!("{side}/one"));
        }
        // One that is not left to the worker that fills it.
        mkdirat(directory, "a/inner", Mode::RWXU).unwrap();
        symlink_in(directory, "link");
    };
    for settings in ["", "preserve", "dry-run"] {
        is_proportional(
            &format!("directories beside a deep one ({settings})"),
            25,
            |scratch, depth| {
                make_deep(&scratch.at("from"), "d", depth, fill);
                copying(&[scratch.at("from")], &scratch.at("to"), settings)
            },
        );
    }
}

fn symlink_in(directory: &OwnedFd, name: &str) {
    rustix::fs::symlinkat("nowhere", directory, name).unwrap();
}

fn a_wide_directory() {
    for settings in ["", "preserve", "dry-run"] {
        is_proportional(&format!("wide ({settings})"), 100, |scratch, count| {
            (0..count).for_each(|n| drop(make_files(&scratch.at(&format!("from/{n}")), 1)));
            copying(&[scratch.at("from")], &scratch.at("to"), settings)
        });
    }
}

fn files_in_one_directory() {
    for settings in ["", "preserve", "overwrite", "dry-run"] {
        is_proportional(&format!("files in one directory ({settings})"), 250, |scratch, count| {
            make_files(&scratch.at("from"), count);
            if settings == "overwrite" {
                make_files(&scratch.at("to"), count);
            }
            copying(&[scratch.at("from")], &scratch.at("to"), settings)
        });
    }
}

/// An empty file needs no temporary one.
fn empty_files() {
    const COUNT: u64 = 1000;
    if !can_count() {
        return;
    }
    for model in MODELS {
        let scratch = Scratch::new();
        (0..COUNT).for_each(|n| drop(scratch.file(&format!("from/{n}"), "")));
        let (_, calls) = copying(&[scratch.at("from")], &scratch.at("to"), model).calls();
        // A debug build looks at each descriptor before it is closed. On a busy machine the copy
        // takes long enough for sizes to be looked up, once for each file.
        let is_counted = |(name, _): &(&String, _)| !["fcntl", "newfstatat"].contains(&&name[..]);
        let total: u64 = calls.iter().filter(is_counted).map(|(_, count)| *count).sum();
        assert!(calls["newfstatat"] < COUNT + 500, "{calls:?}");
        assert!(!calls.contains_key("linkat"), "{calls:?}");
        assert!(total < 6 * COUNT + 1500, "{model}: {total} calls: {calls:?}");
        assert_eq!(fs::read_dir(scratch.at("to")).unwrap().count(), COUNT as usize);
    }
}

/// As many files, with longer names.
fn long_names() {
    is_proportional("long names", 60, |scratch, length| {
        let directory = scratch.at("from").join("d".repeat(length)).join("e".repeat(length));
        fs::create_dir_all(&directory).unwrap();
        (0..500).for_each(|n| {
            fs::write(directory.join(format!("{n:0>length$}")), "contents").unwrap();
        });
        copying(&[scratch.at("from")], &scratch.at("to"), "")
    });
}

fn links_of_one_file() {
    for again in [false, true] {
        is_proportional(&format!("links of one file (again: {again})"), 200, |scratch, count| {
            for root in if again { &["from", "to"][..] } else { &["from"] } {
                make_files(&scratch.at(root), 1);
                (1..count).for_each(|n| {
                    let inner = scratch.at(&format!("{root}/{}", n % 7));
                    fs::create_dir_all(&inner).unwrap();
                    fs::hard_link(scratch.at(root).join("file0"), inner.join(n.to_string()))
                        .unwrap();
                });
            }
            copying(&[scratch.at("from")], &scratch.at("to"), "")
        });
    }
}

/// In two trees that are deep, each file has a name in both.
fn files_of_two_names() {
    is_proportional("files of two names", 50, |scratch, depth| {
        make_deep(&scratch.at("from/a"), "d", depth, |directory| make_file(directory, "file"));
        let open = |path: &Path| {
            openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
        };
        let at = std::cell::RefCell::new(open(&scratch.at("from/a")));
        make_deep(&scratch.at("from/b"), "d", depth, |directory| {
            let here = &mut *at.borrow_mut();
            rustix::fs::linkat(&*here, "file", directory, "file", rustix::fs::AtFlags::empty())
                .unwrap();
            if let Ok(next) =
                openat(&*here, "d", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            {
                *here = next;
            }
        });
        copying(&[scratch.at("from")], &scratch.at("to"), "")
    });
}

/// What an earlier run has linked is recognized without its contents.
fn linked_files_are_not_read_again() {
    if !can_count() {
        return;
    }
    for model in MODELS {
        let reads = |size: usize| {
            let scratch = Scratch::new();
            for n in 0..5 {
                fs::create_dir_all(scratch.at("from/inner")).unwrap();
                fs::write(scratch.at(&format!("from/{n}")), vec![1; size]).unwrap();
                let other = scratch.at(&format!("from/inner/{n}"));
                fs::hard_link(scratch.at(&format!("from/{n}")), other).unwrap();
            }
            let copy = copying(&[scratch.at("from")], &scratch.at("to"), model);
            assert_eq!(copy.calls().0, 0);
            let (failures, calls) = copy.calls();
            assert_eq!(failures, 0);
            let inode = |path: &str| fs::metadata(scratch.at(path)).unwrap().ino();
            assert_eq!(inode("to/3"), inode("to/inner/3"));
            let reading = ["read", "pread64", "copy_file_range", "sendfile", "splice"];
            reading.iter().filter_map(|name| calls.get(*name)).sum::<u64>()
        };
        let (small, large) = (reads(1 << 10), reads(8 << 20));
        // Messages to the workers and from them are among these calls.
        assert!(
            large < small + 20,
            "{model}: {small} reads for short files, {large} for long ones"
        );
    }
}

fn what_is_there_already() {
    for settings in ["skip", "fail", "overwrite"] {
        is_proportional(&format!("there already ({settings})"), 150, |scratch, count| {
            for root in ["from", "to"] {
                (0..count).for_each(|n| {
                    drop(make_files(&scratch.at(&format!("{root}/{}", n / 10)), n % 10 + 1));
                });
            }
            copying(&[scratch.at("from")], &scratch.at("to"), settings)
        });
    }
}

/// Each name fails: a directory stands in its place.
fn failures() {
    is_proportional("failures", 300, |scratch, count| {
        make_files(&scratch.at("from"), count);
        (0..count).for_each(|n| fs::create_dir_all(scratch.at(&format!("to/file{n}"))).unwrap());
        copying(&[scratch.at("from")], &scratch.at("to"), "overwrite")
    });
}

fn links_and_special_files() {
    for settings in ["", "preserve", "overwrite"] {
        is_proportional(&format!("links and special files ({settings})"), 100, |scratch, count| {
            let from = scratch.at("from");
            fs::create_dir_all(&from).unwrap();
            for n in 0..count {
                symlink("nowhere", from.join(format!("link{n}"))).unwrap();
                let fifo = from.join(format!("fifo{n}"));
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(CWD, fifo, kind, Mode::RUSR, 0).unwrap();
            }
            copying(&[from], &scratch.at("to"), settings)
        });
    }
}

/// A file with a number of holes.
fn holes() {
    is_proportional("holes", 100, |scratch, count| {
        use std::os::unix::fs::FileExt;
        let file = fs::File::create(scratch.at("from")).unwrap();
        (0..count as u64).for_each(|n| file.write_all_at(b"data", n << 17).unwrap());
        file.set_len((count as u64) << 17).unwrap();
        copying(&[scratch.at("from")], &scratch.at("to"), "")
    });
}

/// In the target there are names that look like those of a run that was killed.
fn names_that_begin_as_temporary_ones() {
    is_proportional("names like temporary ones", 200, |scratch, count| {
        make_files(&scratch.at("from"), 10);
        for n in 0..count {
            fs::create_dir_all(scratch.at(&format!("to/.copy-{n:032x}.part"))).unwrap();
            fs::write(scratch.at(&format!("to/.copy-{n:016x}-1-2.part")), "mine").unwrap();
        }
        copying(&[scratch.at("from")], &scratch.at("to"), "")
    });
}
