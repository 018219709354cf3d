//! The copier where something is in the way: names that are taken, links that lead elsewhere, lists
//! that are inherited, limits, other runs.
#![allow(unsafe_code, reason = "a lease is taken by a call that `nix` has no safe form of")]

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use copier::{CopyError, Model, OnExists, Options, Summary};
use harness::Scratch;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal};
use rustix::fs::{
    CWD, FileType, Mode, XattrFlags, getxattr, lgetxattr, lsetxattr, mknodat, setxattr,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

harness::tests! {
    [
        links_lead_to_nothing_foreign, links_across_directories_and_outside, links_of_what_is_no_file,
        an_earlier_copy_is_linked_to, more_links_than_bits, a_name_that_becomes_another_file,
        three_hundred_named_files, equal_copies_at_once, nothing_is_written_through_a_link,
        a_root_that_is_swapped, inherited_lists_are_removed, attributes_before_the_mode, what_a_change_of_owner_removes,
        a_stop_at_the_end, threads_that_cannot_be_started, few_descriptors, a_lease_is_waited_for,
        files_of_sysfs, a_target_that_may_not_be_listed, a_umask_for_the_owner, a_closed_directory_is_completed,
        a_dry_run_sees_what_is_in_the_way, a_target_that_is_gone, as_somebody_else, on_a_disk,
    ]
    helpers [run_as_nobody, start_no_thread, open_few, mask_all, in_a_gone_directory]
}

const MODELS: [Model; 2] = [Model::Process, Model::Thread];
const ON_EXISTS: [OnExists; 3] = [OnExists::Skip, OnExists::Overwrite, OnExists::Fail];

fn options(model: Model) -> Options {
    // Worker processes from the beginning, however short the work is.
    Options { workers: 2, model, processes_after: Duration::ZERO, ..Options::default() }
}

fn preserving(model: Model) -> Options {
    Options { preserve: true, ..options(model) }
}

fn run(source: &Path, target: &Path, options: &Options) -> Result<Summary, CopyError> {
    copier::copy(&[source.to_owned()], target, options, |_| ControlFlow::Continue(()))
}

fn complete(source: &Path, target: &Path, options: &Options) -> Summary {
    let summary = run(source, target, options).unwrap();
    assert!(summary.is_complete(), "{:?}", summary.failures);
    summary
}

fn inode(path: PathBuf) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn skipped(what: &str) {
    println!("skipped: {what}");
}

/// No temporary name in a directory or below it.
fn assert_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        assert!(!name.to_string_lossy().starts_with(".copy-"), "{:?}", entry.path());
        if entry.file_type().unwrap().is_dir() {
            assert_clean(&entry.path());
        }
    }
}

fn links_lead_to_nothing_foreign() {
    let names = ["a", "b", "c"];
    for model in MODELS {
        for on_exists in ON_EXISTS {
            for taken in 0..names.len() {
                for foreign in ["file", "as long", "link", "dangling", "folder", "linked"] {
                    check_links(model, on_exists, names, taken, foreign);
                }
            }
        }
    }
}

fn check_links(model: Model, on_exists: OnExists, names: [&str; 3], taken: usize, foreign: &str) {
    let scratch = Scratch::new();
    scratch.file("from/a", "shared");
    names[1..].iter().for_each(|name| {
        fs::hard_link(scratch.at("from/a"), scratch.at("from").join(name)).unwrap()
    });
    let (to, outside) = (scratch.folder("to"), scratch.file("outside", "outside"));
    let there = to.join(names[taken]);
    match foreign {
        "file" => fs::write(&there, "somebody's own").unwrap(),
        "as long" => fs::write(&there, "foreig").unwrap(),
        "link" => symlink("../outside", &there).unwrap(),
        "dangling" => symlink("nowhere", &there).unwrap(),
        "folder" => fs::create_dir(&there).unwrap(),
        _ => fs::hard_link(&outside, &there).unwrap(),
    }
    let what = format!("{model:?} {on_exists:?} {foreign} at {}", names[taken]);
    let before = inode(there.clone());
    let options = Options { on_exists, ..options(model) };
    let summary = run(&scratch.at("from"), &to, &options).unwrap();

    let is_replaced = on_exists == OnExists::Overwrite && foreign != "folder";
    let placed: Vec<&str> =
        (0..3).filter(|n| *n != taken || is_replaced).map(|n| names[n]).collect();
    let inodes: BTreeSet<u64> = placed.iter().map(|name| inode(to.join(name))).collect();
    assert_eq!(inodes.len(), 1, "{what}");
    for name in &placed {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), "shared", "{what}");
        assert!(fs::symlink_metadata(to.join(name)).unwrap().is_file(), "{what}");
    }
    assert!(!inodes.contains(&before), "{what}");
    assert_eq!(inode(there) == before, !is_replaced, "{what}");
    assert_eq!(fs::read_to_string(outside).unwrap(), "outside", "{what}");
    assert!(!to.join("nowhere").exists(), "{what}");
    let has_failed =
        on_exists == OnExists::Fail || on_exists == OnExists::Overwrite && foreign == "folder";
    let skips = on_exists == OnExists::Skip;
    let counts = (summary.files, summary.links, summary.skipped, summary.failures.len());
    let links = placed.len() as u64 - 1;
    assert_eq!(counts, (1, links, u64::from(skips), usize::from(has_failed)), "{what}");
    assert_clean(&to);
}

fn links_across_directories_and_outside() {
    for model in MODELS {
        let scratch = Scratch::new();
        scratch.file("outside", "outside");
        for n in 0..300 {
            scratch.file(&format!("from/{}/shared{n}", n % 7), n.to_string());
            for folder in ["x/y", "z"] {
                let name = scratch.folder(&format!("from/{folder}")).join(format!("also{n}"));
                fs::hard_link(scratch.at(&format!("from/{}/shared{n}", n % 7)), name).unwrap();
            }
            fs::hard_link(scratch.at("outside"), scratch.folder("from/o").join(n.to_string()))
                .unwrap();
            // Another name that is not copied.
            fs::hard_link(
                scratch.file(&format!("from/alone/{n}"), "alone"),
                scratch.folder("else").join(n.to_string()),
            )
            .unwrap();
        }
        let to = scratch.at("to");
        let summary = complete(&scratch.at("from"), &to, &options(model));
        assert_eq!((summary.files, summary.links, summary.skipped), (300 + 1 + 300, 600 + 299, 0));
        let all: BTreeSet<u64> =
            (0..300).map(|n| inode(to.join(format!("{}/shared{n}", n % 7)))).collect();
        assert_eq!(all.len(), 300);
        for n in 0..300 {
            let first = inode(to.join(format!("{}/shared{n}", n % 7)));
            assert_eq!(inode(to.join(format!("x/y/also{n}"))), first);
            assert_eq!(inode(to.join(format!("z/also{n}"))), first);
            assert_eq!(fs::read_to_string(to.join(format!("z/also{n}"))).unwrap(), n.to_string());
            assert_eq!(fs::metadata(to.join(format!("alone/{n}"))).unwrap().nlink(), 1);
        }
        assert_eq!(fs::metadata(to.join("o/7")).unwrap().nlink(), 300);
        assert_clean(&to);
    }
}

fn links_of_what_is_no_file() {
    for (model, preserve) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)]) {
        let scratch = Scratch::new();
        let from = scratch.folder("from");
        symlink("nowhere", from.join("link")).unwrap();
        mknodat(CWD, from.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        for name in ["link", "fifo"] {
            fs::hard_link(from.join(name), from.join(format!("{name}2"))).unwrap();
        }
        for on_exists in [OnExists::Skip, OnExists::Overwrite] {
            let to = scratch.at("to");
            complete(&from, &to, &Options { on_exists, preserve, ..options(model) });
            for name in ["link", "fifo"] {
                assert_eq!(inode(to.join(name)), inode(to.join(format!("{name}2"))), "{name}");
            }
            assert_eq!(fs::read_link(to.join("link2")).unwrap(), Path::new("nowhere"));
            assert!(fs::symlink_metadata(to.join("fifo2")).unwrap().file_type().is_fifo());
            assert_clean(&to);
        }
    }
}

fn an_earlier_copy_is_linked_to() {
    for model in MODELS {
        let scratch = Scratch::new();
        scratch.file("from/a", "shared");
        fs::hard_link(scratch.at("from/a"), scratch.at("from/b")).unwrap();
        // The same contents, but with `preserve` another time: somebody's own.
        let to = scratch.at("to");
        let other = scratch.file("to/a", "shared");
        File::open(other).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        complete(&scratch.at("from"), &to, &preserving(model));
        assert_ne!(inode(to.join("a")), inode(to.join("b")));
        fs::remove_file(to.join("a")).unwrap();
        // As an interrupted run has left it.
        complete(&scratch.at("from"), &to, &preserving(model));
        assert_eq!(inode(to.join("a")), inode(to.join("b")));
    }
}

fn more_links_than_bits() {
    let scratch = Scratch::new();
    scratch.file("from/0", "shared");
    (1..1000).for_each(|n| {
        fs::hard_link(scratch.at("from/0"), scratch.at("from").join(n.to_string())).unwrap()
    });
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        // Some are there, some are in the way.
        (0..500).step_by(5).for_each(|n| drop(scratch.file(&format!("{model:?}/{n}"), "own")));
        let summary = complete(&scratch.at("from"), &to, &options(model));
        assert_eq!((summary.files, summary.links, summary.skipped), (1, 899, 100));
        assert_eq!(fs::metadata(to.join("1")).unwrap().nlink(), 900);
        let over = Options { on_exists: OnExists::Overwrite, ..options(model) };
        complete(&scratch.at("from"), &to, &over);
        assert_eq!(fs::metadata(to.join("0")).unwrap().nlink(), 1000);
        assert_clean(&to);
    }
}

/// Between listing and linking a name is given to another file, which may well get the number of
/// one that is gone.
fn a_name_that_becomes_another_file() {
    for model in MODELS {
        let scratch = Scratch::new();
        scratch.file("from/a", "shared");
        fs::hard_link(scratch.at("from/a"), scratch.at("from/b")).unwrap();
        fs::hard_link(scratch.at("from/a"), scratch.at("from/c")).unwrap();
        // Many small files, so that the links are still to come when the first of these are there.
        (0..3000).for_each(|n| drop(scratch.file(&format!("from/d{}/{n}", n % 50), "small")));
        let (to, over) = (scratch.at("to"), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    // Never half-written: another file takes the name.
                    let new = scratch.file("new", format!("other {n}"));
                    fs::rename(new, scratch.at("from/b")).unwrap();
                }
            });
            let summary = run(&scratch.at("from"), &to, &options(model)).unwrap();
            over.store(true, Ordering::Relaxed);
            assert!(summary.failures.iter().all(|it| it.path.ends_with("b")), "{summary:?}");
        });
        let read = |name: &str| fs::read_to_string(to.join(name)).unwrap_or_default();
        assert_eq!((read("a"), read("c")), ("shared".into(), "shared".into()));
        assert_eq!(inode(to.join("a")), inode(to.join("c")));
        let b = read("b");
        assert!(b.is_empty() || b == "shared" || b.starts_with("other "), "{b}");
        assert_eq!(b == "shared", !b.is_empty() && inode(to.join("b")) == inode(to.join("a")));
    }
}

fn three_hundred_named_files() {
    let scratch = Scratch::new();
    let named: Vec<PathBuf> =
        (0..300).map(|n| scratch.file(&format!("from/{n}"), n.to_string())).collect();
    for (time, model) in (0..10).flat_map(|time| MODELS.map(|model| (time, model))) {
        for on_exists in [OnExists::Skip, OnExists::Overwrite] {
            let to = scratch.folder("to");
            let options = Options { on_exists, workers: 4, ..options(model) };
            let summary =
                copier::copy(&named, &to, &options, |_| ControlFlow::Continue(())).unwrap();
            assert!(summary.is_complete(), "{time} {model:?}: {:?}", summary.failures);
            assert_eq!(fs::read_dir(&to).unwrap().count(), 300);
        }
        fs::remove_dir_all(scratch.at("to")).unwrap();
    }
}

fn equal_copies_at_once() {
    let scratch = Scratch::new();
    for n in 0..600 {
        scratch.file(&format!("from/{}/{}/{n}", n % 7, n % 3), n.to_string());
    }
    (0..40).for_each(|n| {
        let name = scratch.at(&format!("from/{}/link{n}", n % 7));
        fs::hard_link(scratch.at("from/0/0/0"), name).unwrap();
        symlink("x", scratch.at(&format!("from/{}/to{n}", n % 7))).unwrap();
    });
    for (n, model) in (0..2).flat_map(|n| MODELS.map(|model| (n, model))) {
        for on_exists in [OnExists::Skip, OnExists::Overwrite] {
            let (from, to) = (scratch.at("from"), scratch.at("to"));
            let options = Options { on_exists, preserve: n % 2 == 1, ..options(model) };
            thread::scope(|scope| {
                let runs = [(); 3].map(|()| scope.spawn(|| run(&from, &to, &options).unwrap()));
                for summary in runs.map(|run| run.join().unwrap()) {
                    assert!(
                        summary.is_complete(),
                        "{model:?} {on_exists:?} {:?}",
                        summary.failures
                    );
                    let all = summary.files + summary.links + summary.others + summary.skipped;
                    assert_eq!(all, 680);
                }
            });
            for n in 0..600 {
                let path = to.join(format!("{}/{}/{n}", n % 7, n % 3));
                assert_eq!(fs::read_to_string(path).unwrap(), n.to_string());
            }
            assert_clean(&to);
            fs::remove_dir_all(&to).unwrap();
        }
    }
}

fn nothing_is_written_through_a_link() {
    for model in MODELS {
        for on_exists in ON_EXISTS {
            for preserve in [false, true] {
                let scratch = Scratch::new();
                scratch.file("from/sub/file", "new");
                scratch.file("from/file", "new");
                let outside = scratch.folder("outside");
                fs::set_permissions(&outside, Permissions::from_mode(0o712)).unwrap();
                scratch.file("outside file", "old");
                let options = Options { on_exists, preserve, ..options(model) };
                let unharmed = |what: &str| {
                    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{what}");
                    assert_eq!(mode(&outside), 0o712, "{what}");
                    let file = fs::read_to_string(scratch.at("outside file")).unwrap();
                    assert_eq!(file, "old", "{what}");
                };
                // What goes into a directory: it and what is in it.
                scratch.folder("to/from");
                symlink("../../outside", scratch.at("to/from/sub")).unwrap();
                symlink("../../outside file", scratch.at("to/from/file")).unwrap();
                let into = |name: &str| {
                    copier::copy(&[scratch.at(name)], &scratch.at("to/"), &options, |_| {
                        ControlFlow::Continue(())
                    })
                };
                let summary = into("from").unwrap();
                assert!(summary.failures.iter().any(|it| it.path.ends_with("sub")), "{summary:?}");
                unharmed("in it");
                let is_new = fs::symlink_metadata(scratch.at("to/from/file")).unwrap().is_file();
                assert_eq!(is_new, on_exists == OnExists::Overwrite);
                fs::remove_dir_all(scratch.at("to/from")).unwrap();
                symlink("../outside", scratch.at("to/from")).unwrap();
                let summary = into("from").unwrap();
                assert!(!summary.is_complete() && summary.files == 0, "{summary:?}");
                unharmed("itself");
                // A file under its own name, and under another one.
                symlink("../outside file", scratch.at("to/file")).unwrap();
                let _ = into("from/file").unwrap();
                symlink("outside file", scratch.at("name")).unwrap();
                let _ = run(&scratch.at("from/file"), &scratch.at("name"), &options).unwrap();
                unharmed("a file");
                // The target itself is the user's choice.
                symlink("chosen", scratch.at("choice")).unwrap();
                scratch.folder("chosen");
                complete(&scratch.at("from"), &scratch.at("choice"), &options);
                assert_eq!(fs::read_to_string(scratch.at("chosen/sub/file")).unwrap(), "new");
                assert!(scratch.at("choice").is_symlink());
            }
        }
    }
}

fn a_root_that_is_swapped() {
    for (model, preserve) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)]) {
        let scratch = Scratch::new();
        for n in 0..2000 {
            scratch.file(&format!("from/{}/{n}", n % 100), "new");
        }
        fs::set_permissions(scratch.at("from"), Permissions::from_mode(0o755)).unwrap();
        let (to, outside) = (scratch.at("to"), scratch.folder("outside"));
        fs::set_permissions(&outside, Permissions::from_mode(0o700)).unwrap();
        let mut is_swapped = false;
        let options = Options { preserve, ..options(model) };
        let summary = copier::copy(&[scratch.at("from")], &to, &options, |_| {
            if !is_swapped && to.exists() {
                fs::rename(&to, scratch.at("moved")).unwrap();
                symlink("outside", &to).unwrap();
                is_swapped = true;
            }
            ControlFlow::Continue(())
        });
        drop(summary.unwrap());
        assert!(is_swapped);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(mode(&outside), 0o700);
        assert_clean(&scratch.at("moved"));
    }
}

/// An access control list that lets user 1234 read and write.
fn list() -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    let entries = [(1, 7, !0), (2, 7, 1234), (4, 5, !0), (16, 7, !0), (32, 5, !0)];
    for (tag, permissions, id) in entries {
        list.extend(u16::to_le_bytes(tag));
        list.extend(u16::to_le_bytes(permissions));
        list.extend(u32::to_le_bytes(id));
    }
    list
}

const LISTS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn inherited_lists_are_removed() {
    for model in MODELS {
        let scratch = Scratch::new();
        scratch.file("from/sub/file", "secret");
        scratch.file("from/file", "secret");
        mknodat(CWD, scratch.at("from/fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        scratch.file("from/listed/file", "shared");
        for name in ["from/file", "from/sub/file", "from/sub", "from"] {
            let closed = if name.ends_with("file") { 0o600 } else { 0o700 };
            fs::set_permissions(scratch.at(name), Permissions::from_mode(closed)).unwrap();
        }
        let to = scratch.folder("to");
        let none = XattrFlags::empty();
        if setxattr(&to, LISTS[1], &list(), none).is_err() {
            return skipped("access control lists: the file system has none");
        }
        setxattr(scratch.at("from/listed"), LISTS[1], &list(), none).unwrap();
        setxattr(scratch.at("from/listed/file"), LISTS[0], &list(), none).unwrap();
        let names = ["from/sub/file", "from/file", "from/sub", "from/fifo", "from"];
        for on_exists in [OnExists::Skip, OnExists::Overwrite] {
            let options = Options { on_exists, ..preserving(model) };
            let copied = |options| {
                copier::copy(&[scratch.at("from")], &to.join(""), options, |_| {
                    ControlFlow::Continue(())
                })
            };
            // A second time over what is there.
            for _ in 0..2 {
                assert!(copied(&options).unwrap().is_complete());
                for name in names {
                    assert!(
                        LISTS.iter().all(|list| attribute(&to.join(name), list).is_none()),
                        "{name}"
                    );
                    assert_eq!(mode(&to.join(name)), mode(&scratch.at(name)), "{name}");
                }
                assert_eq!(attribute(&to.join("from/listed"), LISTS[1]), Some(list()));
                assert_eq!(attribute(&to.join("from/listed/file"), LISTS[0]), Some(list()));
                assert_eq!(
                    mode(&to.join("from/listed/file")),
                    mode(&scratch.at("from/listed/file"))
                );
            }
            fs::remove_dir_all(to.join("from")).unwrap();
            // Without it, what the directory wants is what one gets.
            assert!(copied(&super_options(model, on_exists)).unwrap().is_complete());
            assert!(attribute(&to.join("from/sub"), LISTS[1]).is_some());
            assert!(attribute(&to.join("from/sub/file"), LISTS[0]).is_some());
            fs::remove_dir_all(to.join("from")).unwrap();
        }
    }
}

fn super_options(model: Model, on_exists: OnExists) -> Options {
    Options { on_exists, ..options(model) }
}

fn attributes_before_the_mode() {
    for model in MODELS {
        let scratch = Scratch::new();
        scratch.file("from/sub/file", "contents");
        symlink("nowhere", scratch.at("from/link")).unwrap();
        let (file, folder) = (scratch.at("from/sub/file"), scratch.at("from/sub"));
        let none = XattrFlags::empty();
        if setxattr(&file, "user.note", b"kept", none).is_err() {
            return skipped("extended attributes: the file system has none");
        }
        setxattr(&folder, "user.note", b"kept", none).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
        if is_root() {
            lsetxattr(scratch.at("from/link"), "trusted.note", b"kept", none).unwrap();
            chown(&folder, Some(65534), Some(65534)).unwrap();
            chown(&file, Some(65534), Some(65534)).unwrap();
            // A read-only file is only closed to somebody else.
            assert_eq!(as_nobody(&scratch, model, true, "own"), (Some(0), String::new()));
            complete(&scratch.at("from"), &scratch.at("to"), &preserving(model));
            assert_eq!(attribute(&scratch.at("to/link"), "trusted.note"), Some(b"kept".to_vec()));
        } else {
            complete(&scratch.at("from"), &scratch.at("own"), &preserving(model));
        }
        for name in ["own/sub/file", "own/sub"] {
            let mut value = [0; 8];
            let length = getxattr(scratch.at(name), "user.note", &mut value[..]).unwrap();
            assert_eq!(&value[..length], b"kept", "{name}");
        }
        assert_eq!(
            (mode(&scratch.at("own/sub/file")), mode(&scratch.at("own/sub"))),
            (0o444, 0o555)
        );
    }
}

/// Copies `from` to a new name as another user: the status, and what could not be copied.
fn as_nobody(scratch: &Scratch, model: Model, preserve: bool, name: &str) -> (Option<i32>, String) {
    let mut helper = harness::helper("run_as_nobody");
    helper.env("COPY_FROM", scratch.at("from")).env("COPY_TO", scratch.at(name));
    helper.env("COPY_MODEL", format!("{model:?}").to_lowercase());
    helper.env("COPY_PRESERVE", if preserve { "1" } else { "" });
    let output = helper.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn become_nobody() {
    let (user, group) =
        (rustix::thread::Uid::from_raw(65534), rustix::thread::Gid::from_raw(65534));
    if is_root() {
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    }
}

/// The paths and options of a helper.
fn asked() -> (PathBuf, PathBuf, Options) {
    let [from, to, model] =
        ["COPY_FROM", "COPY_TO", "COPY_MODEL"].map(|name| std::env::var(name).unwrap_or_default());
    let preserve = std::env::var("COPY_PRESERVE").is_ok_and(|it| !it.is_empty());
    let model = model.parse().unwrap_or(Model::Thread);
    (from.into(), to.into(), Options { preserve, ..options(model) })
}

fn copy_and_exit() -> ! {
    let (from, to, options) = asked();
    let status = match run(&from, &to, &options) {
        Ok(summary) => {
            summary.failures.iter().for_each(|failure| println!("{failure}"));
            i32::from(!summary.is_complete())
        }
        Err(error) => {
            println!("{error}");
            2
        }
    };
    std::process::exit(status)
}

fn run_as_nobody() {
    become_nobody();
    copy_and_exit()
}

fn what_a_change_of_owner_removes() {
    if !is_root() {
        return skipped("only root may give a file to somebody else");
    }
    for model in MODELS {
        let scratch = Scratch::new();
        let (suid, capable) = (scratch.file("from/suid", "x"), scratch.file("from/capable", "x"));
        let sticky = scratch.folder("from/sticky");
        for path in [&suid, &capable, &sticky] {
            chown(path, Some(1234), Some(4321)).unwrap();
        }
        fs::set_permissions(&suid, Permissions::from_mode(0o6755)).unwrap();
        fs::set_permissions(&sticky, Permissions::from_mode(0o3777)).unwrap();
        // cap_net_raw, permitted and effective: version 2 of the format.
        let mut value = vec![1, 0, 0, 2, 0, 32, 0, 0];
        value.extend([0; 12]);
        let is_set = setxattr(&capable, "security.capability", &value, XattrFlags::empty()).is_ok();
        let to = scratch.at("to");
        complete(&scratch.at("from"), &to, &preserving(model));
        assert_eq!((mode(&to.join("suid")), mode(&to.join("sticky"))), (0o6755, 0o3777));
        if is_set {
            let kept = attribute(&to.join("capable"), "security.capability");
            assert_eq!(kept, attribute(&capable, "security.capability"));
        }
        // To somebody who may not give it away, it must not become their own.
        if as_nobody(&scratch, model, true, "own").0.is_some() {
            assert_eq!(mode(&scratch.at("own/suid")), 0o755);
        }
    }
}

/// Stopped when all files are there, and only directories are to be finished.
fn a_stop_at_the_end() {
    let scratch = Scratch::new();
    for n in 0..1600 {
        scratch.folder(&format!("from/{}/{n}", n % 40));
    }
    for model in MODELS {
        let (from, to) = (scratch.at("from"), scratch.at(&format!("{model:?}")));
        let mut after = 0;
        let stopped = copier::copy(std::slice::from_ref(&from), &to, &preserving(model), |now| {
            after += u32::from(now.is_listed);
            if after > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = stopped.unwrap();
        assert!(stopped.is_stopped || stopped.is_complete());
        assert_clean(&to);
        complete(&from, &to, &preserving(model));
        for name in ["1/1", "39/1599", "7"] {
            let time = |root: &Path| fs::metadata(root.join(name)).unwrap().modified().unwrap();
            assert_eq!(time(&from), time(&to));
        }
    }
}

fn threads_that_cannot_be_started() {
    let scratch = Scratch::new();
    (0..300).for_each(|n| drop(scratch.file(&format!("from/{}/{n}", n % 20), n.to_string())));
    for model in MODELS {
        let mut helper = harness::helper("start_no_thread");
        helper.env("COPY_FROM", scratch.at("from")).env("COPY_TO", scratch.at("to"));
        helper.env("COPY_MODEL", format!("{model:?}").to_lowercase());
        let output = helper.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        if is_root() {
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("cannot start a thread"), "{said}");
            assert!(!scratch.at("to").exists());
        } else {
            skipped("a limit of threads: it counts all of this user's");
        }
    }
}

fn start_no_thread() {
    if is_root() {
        // Of a user who has no other process.
        let user = rustix::thread::Uid::from_raw(1_234_567);
        setrlimit(Resource::Nproc, Rlimit { current: Some(2), maximum: Some(2) }).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    }
    copy_and_exit()
}

fn few_descriptors() {
    let scratch = Scratch::new();
    (0..300).for_each(|n| drop(scratch.file(&format!("from/{}/{n}", n % 20), n.to_string())));
    for (model, count) in
        MODELS.into_iter().flat_map(|model| [8, 12, 16, 20, 24, 32, 48].map(|count| (model, count)))
    {
        let to = format!("{model:?}-{count}");
        let mut helper = harness::helper("open_few");
        helper.env("COPY_FROM", scratch.at("from")).env("COPY_TO", scratch.at(&to));
        helper.env("COPY_MODEL", format!("{model:?}").to_lowercase());
        let output = helper.env("COPY_OPEN", count.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let copied = (0..300).filter(|n| scratch.at(&format!("{to}/{}/{n}", n % 20)).exists());
        let copied = copied.count();
        match output.status.code() {
            Some(0) => assert_eq!(copied, 300, "{said}"),
            Some(1) => assert!(copied < 300 && said.contains("Too many open files"), "{said}"),
            // Nothing was done.
            Some(2) => assert!(!scratch.at(&to).exists() && said.contains("open files"), "{said}"),
            status => panic!("{status:?}: {said}{}", String::from_utf8_lossy(&output.stderr)),
        }
        if scratch.at(&to).exists() {
            assert_clean(&scratch.at(&to));
            complete(&scratch.at("from"), &scratch.at(&to), &options(model));
        }
    }
}

fn open_few() {
    let count = std::env::var("COPY_OPEN").unwrap().parse().unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), ..limit }).unwrap();
    copy_and_exit()
}

fn a_lease_is_waited_for() {
    // The kernel tells its holder by a signal, which would end it.
    // SAFETY: a signal that is ignored runs nothing.
    unsafe { nix::sys::signal::signal(Signal::SIGIO, SigHandler::SigIgn) }.unwrap();
    let scratch = Scratch::new();
    let path = scratch.file("from/leased", vec![7; 300_000]);
    if is_root() {
        chown(&path, Some(0), Some(0)).unwrap();
    }
    for (model, alone) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)]) {
        let mut leased = Some(File::options().write(true).open(&path).unwrap());
        let file = leased.as_ref().unwrap().as_raw_fd();
        // SAFETY: the call takes a descriptor, which is open, and two numbers.
        if unsafe { libc::fcntl(file, libc::F_SETLEASE, libc::F_WRLCK) } != 0 {
            return skipped("leases: the file system has none");
        }
        let from = if alone { path.clone() } else { scratch.at("from") };
        let to = scratch.at(&format!("{model:?}-{alone}"));
        let mut sizes = Vec::new();
        let copied = copier::copy(&[from], &to, &options(model), |now| {
            sizes.push(now.bytes_found);
            // Its size is found out while it is waited for, also if it was named by the user.
            if now.bytes_found.is_some() {
                leased = None;
            }
            ControlFlow::Continue(())
        });
        let copied = copied.unwrap();
        assert!(copied.is_complete(), "{:?}", copied.failures);
        assert!(sizes.iter().flatten().all(|size| *size == 300_000), "{sizes:?}");
        let copy = if alone { to } else { to.join("leased") };
        assert_eq!(fs::read(copy).unwrap(), vec![7; 300_000]);
        // Stopped meanwhile, it does not wait on.
        let held = File::options().write(true).open(&path).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::fcntl(held.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) }, 0);
        let (to, mut calls) = (scratch.at("stopped"), 0);
        let stopped = copier::copy(&[scratch.at("from")], &to, &options(model), |_| {
            calls += 1;
            if calls > 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(stopped.unwrap().is_stopped);
        drop(held);
        let _ = fs::remove_dir_all(to);
    }
}

fn files_of_sysfs() {
    let from = Path::new("/sys/kernel/mm/transparent_hugepage");
    let scratch = Scratch::new();
    if !from.is_dir() {
        return skipped("there is no such directory in /sys");
    }
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        let summary = run(from, &to, &options(model)).unwrap();
        assert!(
            !summary.failures.iter().any(|failure| failure.reason.contains("changed")),
            "{:?}",
            summary.failures
        );
        assert!(summary.files > 0);
        assert_eq!(fs::read(to.join("enabled")).unwrap(), fs::read(from.join("enabled")).unwrap());
    }
}

fn a_target_that_may_not_be_listed() {
    let scratch = Scratch::new();
    scratch.file("from/sub/file", "contents");
    scratch.file("from/file", "contents");
    for (model, preserve) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)]) {
        let to = scratch.folder("to");
        scratch.folder("to/sub");
        for path in [to.join("sub"), to.clone()] {
            if is_root() {
                chown(&path, Some(65534), Some(65534)).unwrap();
            }
            fs::set_permissions(path, Permissions::from_mode(0o333)).unwrap();
        }
        assert_eq!(as_nobody(&scratch, model, preserve, "to"), (Some(0), String::new()));
        assert_eq!(fs::read(to.join("sub/file")).unwrap(), b"contents");
        if !preserve {
            assert_eq!((mode(&to), mode(&to.join("sub"))), (0o333, 0o333));
        }
        fs::set_permissions(&to, Permissions::from_mode(0o700)).unwrap();
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&to).status();
        fs::remove_dir_all(&to).unwrap();
    }
}

fn a_umask_for_the_owner() {
    let scratch = Scratch::new();
    (0..30).for_each(|n| drop(scratch.file(&format!("from/{}/{n}", n % 4), n.to_string())));
    fs::hard_link(scratch.at("from/1/1"), scratch.at("from/link")).unwrap();
    for model in MODELS {
        for mask in ["777", "277", "700", "077"] {
            let to = format!("{model:?}-{mask}");
            let mut helper = harness::helper("mask_all");
            helper.env("COPY_FROM", scratch.at("from")).env("COPY_TO", scratch.at(&to));
            helper.env("COPY_MODEL", format!("{model:?}").to_lowercase());
            let output = helper.env("COPY_MASK", mask).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            let mask = u32::from_str_radix(mask, 8).unwrap();
            assert_eq!(mode(&scratch.at(&to)), mode(&scratch.at("from")) & !mask);
            let _ = Command::new("chmod").arg("u+rwx").arg(scratch.at(&to)).status();
            assert_clean_top(&scratch.at(&to));
            assert_eq!(mode(&scratch.at(&to).join("1")), mode(&scratch.at("from/1")) & !mask);
            let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(scratch.at(&to)).status();
            assert_eq!(
                mode(&scratch.at(&to).join("1/1")) & 0o77,
                mode(&scratch.at("from/1/1")) & !mask & 0o77
            );
            assert_eq!(fs::read_to_string(scratch.at(&to).join("3/3")).unwrap(), "3");
        }
    }
}

fn assert_clean_top(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with(".copy-"), "{name:?}");
    }
}

fn mask_all() {
    let mask = u32::from_str_radix(&std::env::var("COPY_MASK").unwrap(), 8).unwrap();
    become_nobody();
    rustix::process::umask(Mode::from_raw_mode(mask));
    copy_and_exit()
}

/// A directory that its owner may not write to, half-way when it was interrupted, or with something
/// missing later.
fn a_closed_directory_is_completed() {
    let scratch = Scratch::new();
    (0..20).for_each(|n| drop(scratch.file(&format!("from/closed/inner/{n}"), n.to_string())));
    for name in ["from/closed/inner", "from/closed"] {
        fs::set_permissions(scratch.at(name), Permissions::from_mode(0o555)).unwrap();
    }
    for model in MODELS {
        let to = format!("{model:?}");
        assert_eq!(as_nobody(&scratch, model, false, &to), (Some(0), String::new()));
        let inner = scratch.at(&to).join("closed/inner");
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(inner.join("7")).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o555)).unwrap();
        assert_eq!(as_nobody(&scratch, model, false, &to), (Some(0), String::new()));
        assert_eq!(fs::read_to_string(inner.join("7")).unwrap(), "7");
        assert_eq!((mode(&inner), mode(inner.parent().unwrap())), (0o555, 0o555));
        // Somebody's own mode is theirs.
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(as_nobody(&scratch, model, false, &to), (Some(0), String::new()));
        assert_eq!(mode(&inner), 0o755);
        assert_clean(&scratch.at(&to));
    }
}

fn a_dry_run_sees_what_is_in_the_way() {
    let scratch = Scratch::new();
    scratch.file("from/file", "new");
    scratch.file("from/folder/inner", "new");
    scratch.file("from/linked/inner", "new");
    scratch.file("from/free", "new");
    fs::hard_link(scratch.at("from/free"), scratch.at("from/also")).unwrap();
    for model in MODELS {
        for on_exists in ON_EXISTS {
            let name = format!("{model:?}-{on_exists:?}");
            scratch.folder(&format!("{name}/file"));
            scratch.file(&format!("{name}/folder"), "a file");
            symlink("..", scratch.at(&name).join("linked")).unwrap();
            let options = Options { on_exists, ..options(model) };
            let dry = Options { dry_run: true, ..options.clone() };
            let dry = run(&scratch.at("from"), &scratch.at(&name), &dry).unwrap();
            let real = run(&scratch.at("from"), &scratch.at(&name), &options).unwrap();
            let what = |summary: &Summary| {
                let mut failures: Vec<_> = summary
                    .failures
                    .iter()
                    .map(|failure| (failure.path.clone(), failure.reason.clone()))
                    .collect();
                failures.sort();
                let Summary { files, bytes, folders, links, others, skipped, .. } = *summary;
                ([files, bytes, folders, links, others, skipped], failures)
            };
            assert_eq!(what(&dry), what(&real), "{name}");
            assert!(dry.failures.len() >= 2, "{name}");
        }
    }
}

fn a_target_that_is_gone() {
    let scratch = Scratch::new();
    scratch.file("from/file", "contents");
    for to in ["/proc", "/proc/new"] {
        let refused = run(&scratch.at("from"), Path::new(to), &options(Model::Thread));
        assert!(matches!(refused, Err(CopyError::Target(..))), "{to}: {refused:?}");
    }
    let mut helper = harness::helper("in_a_gone_directory");
    let output = helper.env("COPY_FROM", scratch.at("from")).current_dir(scratch.folder("gone"));
    let output = output.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn in_a_gone_directory() {
    let from = PathBuf::from(std::env::var_os("COPY_FROM").unwrap());
    fs::remove_dir(std::env::current_dir().unwrap()).unwrap();
    for (source, to) in [(from.clone(), "."), (from.clone(), "new"), (from.join("file"), ".")] {
        let refused = run(&source, Path::new(to), &options(Model::Thread));
        assert!(matches!(refused, Err(CopyError::Target(..))), "{to}: {refused:?}");
    }
}

/// Two users into one directory: neither deletes what the other one is making.
fn as_somebody_else() {
    if !is_root() {
        return skipped("only root may become somebody else");
    }
    let scratch = Scratch::new();
    for n in 0..400 {
        scratch.file(&format!("from/{}/{n}", n % 40), n.to_string());
    }
    for model in MODELS {
        let to = scratch.folder("to");
        fs::set_permissions(&to, Permissions::from_mode(0o1777)).unwrap();
        thread::scope(|scope| {
            let other = scope.spawn(|| as_nobody(&scratch, model, false, "to/nobody"));
            for _ in 0..5 {
                let mine = to.join("root");
                complete(&scratch.at("from"), &mine, &options(model));
                complete(&scratch.at("from/1/1"), &to.join("one"), &options(model));
                fs::remove_dir_all(mine).unwrap();
            }
            assert_eq!(other.join().unwrap(), (Some(0), String::new()));
        });
        let copied = (0..400).filter(|n| to.join(format!("nobody/{}/{n}", n % 40)).exists());
        assert_eq!(copied.count(), 400);
        assert_clean(&to);
        fs::remove_dir_all(&to).unwrap();
    }
}

/// The tests that depend on the file system, on ext4; `COPY_DISKS="ext4 xfs btrfs"` names others.
fn on_a_disk() {
    if !is_root() {
        return skipped("a file system on a disk: only root may mount one");
    }
    const TESTS: [&str; 10] = [
        "links_lead_to_nothing_foreign",
        "links_of_what_is_no_file",
        "an_earlier_copy_is_linked_to",
        "equal_copies_at_once",
        "nothing_is_written_through_a_link",
        "inherited_lists_are_removed",
        "attributes_before_the_mode",
        "what_a_change_of_owner_removes",
        "a_target_that_may_not_be_listed",
        "a_closed_directory_is_completed",
    ];
    let scratch = Scratch::new();
    let disks = std::env::var("COPY_DISKS").unwrap_or("ext4".into());
    for kind in disks.split_whitespace() {
        let (image, disk) = (scratch.at(&format!("{kind}.image")), scratch.folder(kind));
        File::create(&image).unwrap().set_len(500 << 20).unwrap();
        let made = Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image).output();
        if !made.is_ok_and(|made| made.status.success()) {
            skipped(&format!("{kind}: it cannot be made"));
            continue;
        }
        // In a mount namespace of its own: it is gone when the last process in it has ended.
        let script = r#"mount -o loop "$IMAGE" "$COPY_DIR" || exit 77
            chmod 777 "$COPY_DIR" && exec "$0" --exact "$@""#;
        let ran = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args(TESTS)
            .env("IMAGE", &image)
            .env("COPY_DIR", &disk)
            .process_group(0) // its tests look for processes that are left in their group
            .output();
        let Ok(ran) = ran else { return skipped("there is no `unshare`") };
        let said = String::from_utf8_lossy(&ran.stdout);
        match ran.status.code() {
            Some(0) => assert!(said.contains("10 passed"), "{kind}: {said}"),
            Some(77) => skipped(&format!("{kind}: it cannot be mounted")),
            status => {
                panic!("{kind}: {status:?} {said}{}", String::from_utf8_lossy(&ran.stderr))
            }
        }
        fs::remove_file(image).unwrap();
    }
}
