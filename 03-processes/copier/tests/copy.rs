//! The copier, by what it copies: whatever a tree holds, both kinds of workers make the same of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use copier::{CopyError, Model, OnExists, Options, Summary};
use harness::Scratch;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat};

harness::tests! {
    [
        an_empty_folder_and_an_empty_file, fifty_thousand_files_in_one_folder, two_hundred_levels_deep,
        names_are_bytes, symbolic_links_stay_links, hard_links_stay_one_file, hard_links_are_completed,
        holes_stay_holes, a_fifo_and_a_socket_are_made_anew, a_device_node, one_of_many_may_not_be_read,
        a_read_only_folder, to_another_file_system, the_target_is_inside_the_source,
        the_source_is_the_target_by_any_name, what_is_there_already, something_else_is_there,
        a_source_that_changes, a_source_that_goes, a_full_target, everything_is_preserved, a_preserved_owner,
        what_one_source_becomes_and_what_many, a_dry_run_touches_nothing, to_disk, what_proc_says_is_empty,
        progress_is_honest, stopped_and_completed, large_files_are_shared_out, left_overs_are_deleted_and_nothing_else,
    ]
    helpers [fill_a_small_disk, copy_as_nobody, copy_until_killed]
}

const MODELS: [Model; 2] = [Model::Process, Model::Thread];

fn options(model: Model) -> Options {
    // Worker processes from the beginning, however short the work is.
    Options { workers: 2, model, processes_after: Duration::ZERO, ..Options::default() }
}

fn run(source: &Path, target: &Path, options: &Options) -> Result<Summary, CopyError> {
    copier::copy(&[source.to_owned()], target, options, |_| ControlFlow::Continue(()))
}

/// Copies, and finds the same in both.
fn same(source: &Path, target: &Path, options: &Options) -> Summary {
    let summary = run(source, target, options).unwrap();
    assert!(summary.is_complete(), "{:?}", summary.failures);
    assert_same(source, target);
    summary
}

/// Everything below a folder: what it is and what is in it.
fn tree(root: &Path) -> BTreeMap<Vec<u8>, (String, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let (kind, name) = (metadata.file_type(), path.strip_prefix(root).unwrap());
            let contents = if kind.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else if kind.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            found.insert(name.as_os_str().as_bytes().to_vec(), (format!("{kind:?}"), contents));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

fn assert_same(source: &Path, target: &Path) {
    let (source, target) = (tree(source), tree(target));
    assert!(source.keys().eq(target.keys()), "{} names became {}", source.len(), target.len());
    for (name, original) in &source {
        assert!(target[name] == *original, "{} differs", String::from_utf8_lossy(name));
    }
}

/// No temporary name anywhere.
fn assert_clean(root: &Path) {
    let left: Vec<_> = tree(root)
        .into_keys()
        .filter(|name| name.windows(6).any(|part| part == b".copy-"))
        .collect();
    assert!(
        left.is_empty(),
        "{:?}",
        left.iter().map(|name| OsStr::from_bytes(name)).collect::<Vec<_>>()
    );
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn skipped(what: &str) {
    println!("skipped: {what}");
}

fn an_empty_folder_and_an_empty_file() {
    let scratch = Scratch::new();
    scratch.folder("from/empty");
    scratch.file("from/file", "");
    let alone = scratch.file("alone", "");
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        let summary = same(&scratch.at("from"), &to, &options(model));
        assert_eq!((summary.files, summary.folders, summary.bytes), (1, 2, 0));
        let summary =
            run(&alone, &scratch.at(&format!("{model:?}-alone")), &options(model)).unwrap();
        assert_eq!((summary.files, summary.folders), (1, 0));
        same(&scratch.at("from/empty"), &scratch.at(&format!("{model:?}-empty")), &options(model));
    }
}

fn fifty_thousand_files_in_one_folder() {
    let scratch = Scratch::new();
    let from = scratch.folder("from");
    (0..50_000).for_each(|n| fs::write(from.join(n.to_string()), n.to_string()).unwrap());
    for model in MODELS {
        let summary = same(&from, &scratch.at(&format!("{model:?}")), &options(model));
        assert_eq!(summary.files, 50_000);
    }
}

fn two_hundred_levels_deep() {
    let scratch = Scratch::new();
    let mut names = scratch.folder("from");
    for level in 0..200 {
        names.push(format!("level {level}"));
        fs::create_dir(&names).unwrap();
        fs::write(names.join("file"), level.to_string()).unwrap();
    }
    for model in MODELS {
        let summary =
            same(&scratch.at("from"), &scratch.at(&format!("{model:?}")), &options(model));
        assert_eq!((summary.files, summary.folders), (200, 201));
    }
}

fn names_are_bytes() {
    let scratch = Scratch::new();
    let from = scratch.folder("from");
    let long = "x".repeat(255);
    let chinese = "长".repeat(85); // 255 bytes
    let names: [&[u8]; 9] = [
        b"with spaces",
        b"new\nline",
        "中文 名字".as_bytes(),
        b"\xff\xfe no UTF-8",
        long.as_bytes(),
        chinese.as_bytes(),
        b"-rf",
        b"--",
        b" \t'\"\\*?",
    ];
    for name in names {
        let folder = from.join("folders").join(OsStr::from_bytes(name));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
        fs::write(from.join(OsStr::from_bytes(name)), name).unwrap();
    }
    for model in MODELS {
        assert_eq!(same(&from, &scratch.at(&format!("{model:?}")), &options(model)).files, 18);
    }
}

fn symbolic_links_stay_links() {
    let scratch = Scratch::new();
    scratch.file("from/file", "contents");
    scratch.file("from/folder/inner", "contents");
    for (target, name) in [
        ("file", "to a file"),
        ("folder", "to a folder"),
        ("nowhere", "to nothing"),
        ("loop", "loop"),
        ("..", "up"),
    ] {
        symlink(target, scratch.at("from").join(name)).unwrap();
    }
    symlink("from", scratch.at("link")).unwrap();
    for model in MODELS {
        let summary =
            same(&scratch.at("from"), &scratch.at(&format!("{model:?}")), &options(model));
        assert_eq!((summary.files, summary.others), (2, 5));
        // A link as the source is copied as one; with a slash, what it leads to.
        let link = scratch.at(&format!("{model:?}-link"));
        run(&scratch.at("link"), &link, &options(model)).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("from"));
        same(&scratch.at("link/"), &scratch.at(&format!("{model:?}-followed")), &options(model));
    }
}

fn inode(path: PathBuf) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn hard_links_stay_one_file() {
    let scratch = Scratch::new();
    scratch.file("from/one", "shared");
    scratch.file("from/other", "its own");
    scratch.folder("from/deep/er");
    for name in ["from/two", "from/deep/three", "from/deep/er/four"] {
        fs::hard_link(scratch.at("from/one"), scratch.at(name)).unwrap();
    }
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        let summary = same(&scratch.at("from"), &to, &options(model));
        assert_eq!((summary.files, summary.links), (2, 3));
        let names = ["one", "two", "deep/three", "deep/er/four"];
        assert!(names.iter().all(|name| inode(to.join(name)) == inode(to.join("one"))));
        assert_ne!(inode(to.join("other")), inode(to.join("one")));
        // Once more, and over it.
        let again = same(&scratch.at("from"), &to, &options(model));
        assert_eq!((again.files, again.links, again.skipped), (0, 0, 5));
        let over = Options { on_exists: OnExists::Overwrite, ..options(model) };
        same(&scratch.at("from"), &to, &over);
        assert!(names.iter().all(|name| inode(to.join(name)) == inode(to.join("one"))));
        assert_clean(&to);
    }
}

fn hard_links_are_completed() {
    let scratch = Scratch::new();
    let names = ["a", "b", "c", "d", "e"];
    scratch.file("from/a", "shared");
    names[1..].iter().for_each(|name| {
        fs::hard_link(scratch.at("from/a"), scratch.at("from").join(name)).unwrap()
    });
    for model in MODELS {
        for kept in names {
            let to = scratch.at(&format!("{model:?}-{kept}"));
            same(&scratch.at("from"), &to, &options(model));
            names
                .iter()
                .filter(|name| **name != kept)
                .for_each(|name| fs::remove_file(to.join(name)).unwrap());
            same(&scratch.at("from"), &to, &options(model));
            assert!(names.iter().all(|name| inode(to.join(name)) == inode(to.join(kept))));
        }
    }
}

fn holes_stay_holes() {
    let scratch = Scratch::new();
    let from = scratch.folder("from");
    for (name, at) in [("begin", 0), ("middle", 40 << 20), ("end", (64 << 20) - 4096)] {
        let mut file = File::create(from.join(name)).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[7; 4096]).unwrap();
        file.set_len(64 << 20).unwrap();
    }
    File::create(from.join("nothing but a hole")).unwrap().set_len(64 << 20).unwrap();
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        same(&from, &to, &options(model));
        for name in ["begin", "middle", "end", "nothing but a hole"] {
            let blocks = |folder: &Path| fs::metadata(folder.join(name)).unwrap().blocks();
            assert!(
                blocks(&to) <= blocks(&from) + 64,
                "{name}: {} became {}",
                blocks(&from),
                blocks(&to)
            );
        }
    }
}

fn a_fifo_and_a_socket_are_made_anew() {
    let scratch = Scratch::new();
    let from = scratch.folder("from");
    mknodat(CWD, from.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let _listener = UnixListener::bind(from.join("socket")).unwrap();
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        assert_eq!(same(&from, &to, &options(model)).others, 2);
        let kind = |name| fs::symlink_metadata(to.join(name)).unwrap().file_type();
        assert!(kind("fifo").is_fifo() && kind("socket").is_socket());
        // Over what is there, too: nothing temporary is left.
        let over = Options { on_exists: OnExists::Overwrite, ..options(model) };
        assert_eq!(same(&from, &to, &over).others, 2);
        assert_clean(&to);
    }
}

fn a_device_node() {
    let scratch = Scratch::new();
    let from = scratch.folder("from");
    fs::write(from.join("file"), "contents").unwrap();
    let null = rustix::fs::makedev(1, 3);
    if mknodat(CWD, from.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), null)
        .is_err()
    {
        return skipped("a device node may only be made by root");
    }
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        assert_eq!(same(&from, &to, &options(model)).others, 1);
        assert_eq!(fs::metadata(to.join("null")).unwrap().rdev(), null);
    }
    // Whoever may not make one is told so, and gets the rest.
    let (status, said) = as_nobody(&scratch, &from, "nobody");
    assert!(!status && said.contains("null") && said.contains("skipped: a device node"), "{said}");
    assert!(scratch.at("open/nobody/file").exists() && !scratch.at("open/nobody/null").exists());
}

/// Copies as a user who may do nothing, into the folder `open`: whether all was copied, and what
/// was not.
fn as_nobody(scratch: &Scratch, from: &Path, name: &str) -> (bool, String) {
    let open = scratch.folder("open");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let mut helper = harness::helper("copy_as_nobody");
    let output = helper.env("COPY_FROM", from).env("COPY_TO", open.join(name)).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn copy_as_nobody() {
    let nobody = rustix::thread::Uid::from_raw(65534);
    if is_root() {
        // The whole process, and all it starts: there is one thread.
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
    }
    let [from, to] =
        ["COPY_FROM", "COPY_TO"].map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let summary = run(&from, &to, &options(Model::Thread)).unwrap();
    summary.failures.iter().for_each(|failure| println!("{failure}"));
    std::process::exit(i32::from(!summary.is_complete()));
}

fn one_of_many_may_not_be_read() {
    let scratch = Scratch::new();
    (0..300).for_each(|n| drop(scratch.file(&format!("from/{n}"), n.to_string())));
    scratch.file("from/closed/inner", "");
    for name in ["from/7", "from/closed"] {
        fs::set_permissions(scratch.at(name), Permissions::from_mode(0o0)).unwrap();
    }
    let (complete, said) = as_nobody(&scratch, &scratch.at("from"), "nobody");
    assert!(!complete);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.lines().any(|line| line.contains("/7\": it cannot be read: Permission denied")),
        "{said}"
    );
    assert!(
        said.lines().any(|line| line.contains("/closed\": it cannot be listed: Permission denied")),
        "{said}"
    );
    let there = (0..300).filter(|n| scratch.at(&format!("open/nobody/{n}")).exists());
    assert_eq!(there.count(), 299);
    assert_clean(&scratch.at("open"));
}

fn a_read_only_folder() {
    let scratch = Scratch::new();
    scratch.file("from/closed/inner/file", "contents");
    for name in ["from/closed/inner/file", "from/closed/inner", "from/closed"] {
        let mode = if name.ends_with("file") { 0o444 } else { 0o555 };
        fs::set_permissions(scratch.at(name), Permissions::from_mode(mode)).unwrap();
    }
    let (complete, said) = as_nobody(&scratch, &scratch.at("from"), "nobody");
    assert!(complete, "{said}");
    for model in MODELS {
        same(&scratch.at("from"), &scratch.at(&format!("{model:?}")), &options(model));
    }
    for name in ["open/nobody", "Process", "Thread"] {
        assert_same(&scratch.at("from"), &scratch.at(name));
        let mode = |inner: &str| fs::metadata(scratch.at(name).join(inner)).unwrap().mode() & 0o777;
        assert_eq!(
            (mode("closed"), mode("closed/inner"), mode("closed/inner/file")),
            (0o555, 0o555, 0o444)
        );
    }
}

fn to_another_file_system() {
    let elsewhere = std::env::temp_dir();
    let scratch = Scratch::new();
    if fs::metadata(&elsewhere).map(|there| there.dev()).ok()
        == Some(fs::metadata(&scratch.0).unwrap().dev())
    {
        return skipped("the temporary folder and /dev/shm are one file system here");
    }
    (0..200).for_each(|n| drop(scratch.file(&format!("from/{n}"), vec![n as u8; n * 100])));
    scratch.file("from/large", vec![3; 3 << 20]);
    let mut holes = File::create(scratch.at("from/holes")).unwrap();
    holes.set_len(1 << 20).unwrap();
    holes.write_all(b"begin").unwrap();
    for model in MODELS {
        let to = elsewhere.join(format!("copy-test-{}-{model:?}", std::process::id()));
        let same = std::panic::catch_unwind(|| same(&scratch.at("from"), &to, &options(model)));
        let _ = fs::remove_dir_all(&to);
        assert_eq!(same.unwrap().files, 202);
    }
}

fn the_target_is_inside_the_source() {
    let scratch = Scratch::new();
    scratch.file("from/inner/file", "contents");
    symlink("from/inner", scratch.at("elsewhere")).unwrap();
    let before = tree(&scratch.0);
    for model in MODELS {
        for target in [
            "from/new",
            "from/inner",
            "from/inner/new",
            "elsewhere/new",
            "from/inner/../new",
            "from/",
        ] {
            let refused =
                run(&scratch.at("from"), &scratch.at(target), &options(model)).unwrap_err();
            assert!(matches!(refused, CopyError::Inside(_)), "{target}: {refused}");
        }
    }
    assert_eq!(tree(&scratch.0), before);
}

fn the_source_is_the_target_by_any_name() {
    let scratch = Scratch::new();
    scratch.file("folder/file", "contents");
    fs::hard_link(scratch.at("folder/file"), scratch.at("folder/same")).unwrap();
    symlink("folder", scratch.at("link")).unwrap();
    let before = tree(&scratch.0);
    let over = |model| Options { on_exists: OnExists::Overwrite, ..options(model) };
    for model in MODELS {
        for (source, target) in [
            ("folder", "folder"),
            ("folder", "link"),
            ("folder/", "folder/../folder"),
            ("folder/file", "folder/file"),
            ("folder/file", "folder"),
            ("folder/file", "link/file"),
            ("folder/file", "folder/same"),
        ] {
            let refused = run(&scratch.at(source), &scratch.at(target), &over(model)).unwrap_err();
            assert!(matches!(refused, CopyError::SameFile(_)), "{source}, {target}: {refused}");
        }
        // Further down it is only seen on the way.
        scratch.folder("other");
        fs::hard_link(scratch.at("folder/file"), scratch.at("other/file")).unwrap();
        let one = scratch.at("folder/same");
        fs::remove_file(&one).unwrap();
        let summary = run(&scratch.at("folder"), &scratch.at("other"), &over(model)).unwrap();
        assert_eq!(
            fs::read_to_string(scratch.at("folder/file")).unwrap(),
            "contents",
            "{summary:?}"
        );
        assert_eq!(
            fs::read_to_string(scratch.at("other/file")).unwrap(),
            "contents",
            "{summary:?}"
        );
        fs::remove_dir_all(scratch.at("other")).unwrap();
        fs::hard_link(scratch.at("folder/file"), one).unwrap();
    }
    assert_eq!(tree(&scratch.0), before);
}

fn what_is_there_already() {
    let scratch = Scratch::new();
    (0..200).for_each(|n| drop(scratch.file(&format!("from/{n}"), format!("new {n}"))));
    symlink("new", scratch.at("from/link")).unwrap();
    for model in MODELS {
        for on_exists in [OnExists::Skip, OnExists::Fail, OnExists::Overwrite] {
            let name = format!("{model:?}-{on_exists:?}");
            (0..50).for_each(|n| drop(scratch.file(&format!("{name}/{n}"), "old")));
            scratch.file(&format!("{name}/more"), "stays");
            symlink("old", scratch.at(&name).join("link")).unwrap();
            let summary = run(
                &scratch.at("from"),
                &scratch.at(&name),
                &Options { on_exists, ..options(model) },
            )
            .unwrap();
            let counts = (summary.files, summary.others, summary.skipped, summary.failures.len());
            let (link, old) = (
                fs::read_link(scratch.at(&name).join("link")).unwrap(),
                fs::read_to_string(scratch.at(&name).join("7")).unwrap(),
            );
            match on_exists {
                OnExists::Skip => assert_eq!(counts, (150, 0, 51, 0)),
                OnExists::Fail => assert_eq!(counts, (150, 0, 0, 51)),
                OnExists::Overwrite => assert_eq!(counts, (200, 1, 0, 0)),
            }
            if on_exists == OnExists::Overwrite {
                assert_eq!((link.to_str(), old.as_str()), (Some("new"), "new 7"));
            } else {
                assert_eq!((link.to_str(), old.as_str()), (Some("old"), "old"));
            }
            assert_eq!(fs::read_to_string(scratch.at(&name).join("199")).unwrap(), "new 199");
            assert_eq!(fs::read_to_string(scratch.at(&name).join("more")).unwrap(), "stays");
            assert_clean(&scratch.at(&name));
        }
    }
}

fn something_else_is_there() {
    let scratch = Scratch::new();
    scratch.file("from/file", "contents");
    scratch.file("from/folder/inner", "contents");
    scratch.file("from/linked/inner", "contents");
    for model in MODELS {
        let name = format!("{model:?}");
        scratch.folder(&format!("{name}/file"));
        scratch.file(&format!("{name}/folder"), "a file");
        scratch.folder("outside");
        symlink("../outside", scratch.at(&name).join("linked")).unwrap();
        let over = Options { on_exists: OnExists::Overwrite, ..options(model) };
        let summary = run(&scratch.at("from"), &scratch.at(&name), &over).unwrap();
        let mut paths: Vec<_> = summary
            .failures
            .iter()
            .map(|failure| failure.path.file_name().unwrap().to_owned())
            .collect();
        paths.sort();
        assert_eq!(paths, ["file", "folder", "linked"], "{:?}", summary.failures);
        assert_eq!(fs::read_to_string(scratch.at(&name).join("folder")).unwrap(), "a file");
        assert!(tree(&scratch.at("outside")).is_empty(), "nothing is written through a link");
    }
    assert!(run(&scratch.at("from"), &scratch.at("from/file"), &options(Model::Thread)).is_err());
}

fn a_source_that_changes() {
    let scratch = Scratch::new();
    let file = scratch.file("from/file", vec![b'a'; 24 << 20]);
    for model in MODELS {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Always all of one letter, or shorter.
                for letter in (b'a'..=b'z').cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    fs::write(&file, vec![letter; 24 << 20]).unwrap();
                }
            });
            for n in 0..3 {
                let to = scratch.at(&format!("{model:?}-{n}"));
                let summary = run(&scratch.at("from"), &to, &options(model)).unwrap();
                let copy = fs::read(to.join("file"));
                // Reported, and then not there; or there, and then the file at one moment.
                assert_eq!(summary.is_complete(), copy.is_ok(), "{:?}", summary.failures);
                assert!(
                    copy.is_ok() || summary.failures[0].reason.contains("changed"),
                    "{:?}",
                    summary.failures
                );
                assert_clean(&to);
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

fn a_source_that_goes() {
    let scratch = Scratch::new();
    for model in MODELS {
        let from = scratch.folder(&format!("from-{model:?}"));
        (0..3000).for_each(|n| fs::write(from.join(n.to_string()), n.to_string()).unwrap());
        let to = scratch.at(&format!("{model:?}"));
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..3000).rev().for_each(|n| fs::remove_file(from.join(n.to_string())).unwrap())
            });
            let summary = run(&from, &to, &options(model)).unwrap();
            assert!(
                summary.failures.iter().all(|failure| failure.reason.contains("No such file")),
                "{:?}",
                summary.failures
            );
            let copied = tree(&to);
            assert_eq!(copied.len() as u64, summary.files);
            assert!(copied.iter().all(|(name, (_, contents))| name == contents));
        });
    }
}

fn a_full_target() {
    let scratch = Scratch::new();
    if !is_root() {
        return skipped("a full target: only root may mount a small disk");
    }
    (0..300).for_each(|n| drop(scratch.file(&format!("from/{n}"), vec![n as u8; 20_000])));
    scratch.file("from/large", vec![1; 8 << 20]);
    let disk = scratch.folder("disk");
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--mount",
        "sh",
        "-c",
        r#"mount -t tmpfs -o size=4m none "$COPY_TO" && exec "$0""#,
    ]);
    let output = unshare
        .arg(std::env::current_exe().unwrap())
        .env(harness::HELPER, "fill_a_small_disk")
        .envs([("COPY_FROM", scratch.at("from")), ("COPY_TO", disk)])
        .output();
    let Ok(output) = output else { return skipped("there is no `unshare`") };
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    if trouble.contains("unshare") || trouble.contains("mount:") {
        return skipped(&trouble);
    }
    assert!(output.status.success(), "{said}{trouble}");
}

/// In a mount namespace of its own, with 4 MiB in the target.
fn fill_a_small_disk() {
    let [from, disk] =
        ["COPY_FROM", "COPY_TO"].map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    for model in MODELS {
        let to = disk.join("to");
        let summary = run(&from, &to, &options(model)).unwrap();
        assert!(summary.is_full && !summary.is_complete());
        assert!(
            summary
                .failures
                .iter()
                .any(|failure| failure.reason.contains("No space left on device")),
            "{:?}",
            summary.failures
        );
        let copied = tree(&to);
        for (name, (_, contents)) in &copied {
            assert!(
                fs::read(from.join(OsStr::from_bytes(name))).unwrap() == *contents,
                "a part of a file"
            );
        }
        assert_clean(&to);
        // With more room, the same goes on.
        assert!(
            Command::new("mount")
                .args(["-o", "remount,size=64m"])
                .arg(&disk)
                .status()
                .unwrap()
                .success()
        );
        let summary = same(&from, &to, &options(model));
        assert_eq!(summary.skipped, copied.len() as u64);
        fs::remove_dir_all(&to).unwrap();
        assert!(
            Command::new("mount")
                .args(["-o", "remount,size=4m"])
                .arg(&disk)
                .status()
                .unwrap()
                .success()
        );
    }
}

fn everything_is_preserved() {
    let scratch = Scratch::new();
    scratch.file("from/inner/file", "contents");
    scratch.file("from/empty", "");
    symlink("nowhere", scratch.at("from/link")).unwrap();
    mknodat(CWD, scratch.at("from/fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let names = ["", "inner", "inner/file", "empty", "link", "fifo"];
    let attributes = rustix::fs::setxattr(
        scratch.at("from/inner/file"),
        "user.color",
        b"blue",
        XattrFlags::empty(),
    )
    .is_ok()
        && rustix::fs::setxattr(
            scratch.at("from/inner"),
            "user.color",
            b"red",
            XattrFlags::empty(),
        )
        .is_ok();
    if !attributes {
        skipped("extended attributes: the file system has none");
    }
    for (name, mode) in
        [("inner/file", 0o4751), ("empty", 0o404), ("fifo", 0o622), ("inner", 0o2750), ("", 0o711)]
    {
        fs::set_permissions(scratch.at("from").join(name), Permissions::from_mode(mode)).unwrap();
    }
    let touch = |name: &str, text: &str| {
        let path = scratch.at("from").join(name);
        assert!(
            Command::new("touch").args(["-h", "-d", text]).arg(path).status().unwrap().success()
        );
    };
    touch("link", "2001-02-03 04:05:06.123456789");
    touch("fifo", "2002-02-03 04:05:06.987654321");
    for (n, name) in
        [("inner/file", 1), ("empty", 2), ("inner", 3), ("", 4)].map(|(name, n)| (n, name))
    {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + n, 123_456_789);
        let times = FileTimes::new().set_modified(time).set_accessed(time);
        File::open(scratch.at("from").join(name)).unwrap().set_times(times).unwrap();
    }
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        let preserve = Options { preserve: true, ..options(model) };
        let what = |root: &Path, name: &str| {
            let it = fs::symlink_metadata(root.join(name)).unwrap();
            (it.mode(), it.mtime(), it.mtime_nsec(), it.uid(), it.gid())
        };
        let before: Vec<_> = names.map(|name| what(&scratch.at("from"), name)).to_vec();
        assert!(run(&scratch.at("from"), &to, &preserve).unwrap().is_complete());
        let after: Vec<_> = names.map(|name| what(&to, name)).to_vec();
        assert_eq!(before, after);
        assert_same(&scratch.at("from"), &to);
        for (name, color) in
            [("inner/file", "blue"), ("inner", "red")].into_iter().filter(|_| attributes)
        {
            let mut value = [0; 8];
            let length = rustix::fs::getxattr(to.join(name), "user.color", &mut value).unwrap();
            assert_eq!(&value[..length], color.as_bytes());
        }
    }
    // Otherwise the modes stand, as far as the umask allows, without the set-id bits.
    run(&scratch.at("from"), &scratch.at("plain"), &options(Model::Thread)).unwrap();
    let mode = fs::metadata(scratch.at("plain/inner/file")).unwrap().mode();
    assert_eq!((mode & 0o7000, mode & 0o700), (0, 0o700));
}

fn a_preserved_owner() {
    if !is_root() {
        return skipped("only root may give a file to somebody else");
    }
    let scratch = Scratch::new();
    scratch.file("from/file", "contents");
    symlink("file", scratch.at("from/link")).unwrap();
    for name in ["from/file", "from/link", "from"] {
        std::os::unix::fs::lchown(scratch.at(name), Some(1234), Some(4321)).unwrap();
    }
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        same(&scratch.at("from"), &to, &Options { preserve: true, ..options(model) });
        for path in [to.join("file"), to.join("link"), to] {
            let owner = fs::symlink_metadata(path).unwrap();
            assert_eq!((owner.uid(), owner.gid()), (1234, 4321));
        }
    }
}

fn what_one_source_becomes_and_what_many() {
    let scratch = Scratch::new();
    scratch.file("from/file", "contents");
    let file = scratch.file("one", "one");
    for model in MODELS {
        let base = scratch.folder(&format!("{model:?}"));
        let copy = |sources: &[PathBuf], target: PathBuf| {
            copier::copy(sources, &target, &options(model), |_| ControlFlow::Continue(()))
        };
        // One becomes the target, also the second time.
        for _ in 0..2 {
            assert!(copy(&[scratch.at("from")], base.join("to")).unwrap().is_complete());
            assert!(copy(std::slice::from_ref(&file), base.join("two")).unwrap().is_complete());
            assert!(copy(std::slice::from_ref(&file), base.join("to")).unwrap().is_complete());
            // Several, or a slash: into it.
            assert!(
                copy(&[scratch.at("from"), file.clone()], base.join("both")).unwrap().is_complete()
            );
            assert!(copy(&[scratch.at("from")], base.join("slash/")).unwrap().is_complete());
        }
        let names: Vec<_> = tree(&base)
            .into_iter()
            .filter(|(_, (_, contents))| !contents.is_empty())
            .map(|(name, _)| String::from_utf8(name).unwrap())
            .collect();
        assert_eq!(
            names,
            ["both/from/file", "both/one", "slash/from/file", "to/file", "to/one", "two"]
        );
        let refused =
            |sources: &[PathBuf], target: &str| copy(sources, base.join(target)).unwrap_err();
        assert!(matches!(refused(&[], "x"), CopyError::NoSource));
        assert!(matches!(refused(&[scratch.at("none")], "x"), CopyError::Source(..)));
        assert!(matches!(refused(&[scratch.at("from")], "none/x"), CopyError::Target(..)));
        assert!(matches!(refused(&[scratch.at("from")], "two"), CopyError::Target(..)));
        assert!(matches!(
            refused(&[file.clone(), scratch.at("from/../one")], "x"),
            CopyError::SameName(_)
        ));
        assert!(!base.join("x").exists());
    }
}

fn a_dry_run_touches_nothing() {
    let scratch = Scratch::new();
    (0..300).for_each(|n| drop(scratch.file(&format!("from/a/{n}"), "1234")));
    scratch.file("from/b/c/file", "1234");
    symlink("x", scratch.at("from/link")).unwrap();
    scratch.file("old/a/7", "stays");
    let before = tree(&scratch.0);
    let dry = Options { dry_run: true, ..options(Model::Process) };
    let new = run(&scratch.at("from"), &scratch.at("new"), &dry).unwrap();
    assert_eq!((new.files, new.bytes, new.others, new.folders, new.skipped), (301, 1204, 1, 4, 0));
    let old = run(&scratch.at("from"), &scratch.at("old"), &dry).unwrap();
    assert_eq!((old.files, old.bytes, old.others, old.folders, old.skipped), (300, 1200, 1, 2, 1));
    assert_eq!(tree(&scratch.0), before);
}

fn to_disk() {
    let scratch = Scratch::new();
    (0..200).for_each(|n| drop(scratch.file(&format!("from/{n}"), vec![1; 5000])));
    for model in MODELS {
        let mut last = None;
        let sync = Options { sync: true, ..options(model) };
        let copied =
            copier::copy(&[scratch.at("from")], &scratch.at(&format!("{model:?}")), &sync, |now| {
                assert!(now.on_disk.unwrap() <= now.bytes);
                last = Some(*now);
                ControlFlow::Continue(())
            });
        let last = last.unwrap();
        assert!(copied.unwrap().is_complete() && last.is_over);
        assert_eq!((last.bytes, last.on_disk), (1_000_000, Some(1_000_000)));
    }
}

fn what_proc_says_is_empty() {
    let scratch = Scratch::new();
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        run(Path::new("/proc/version"), &to, &options(model)).unwrap();
        assert_eq!(fs::read(to).unwrap(), fs::read("/proc/version").unwrap());
    }
}

fn progress_is_honest() {
    let scratch = Scratch::new();
    for folder in 0..40 {
        (0..100).for_each(|n| drop(scratch.file(&format!("from/{folder}/{n}"), "12345678")));
    }
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        let mut seen = Vec::new();
        let copied = copier::copy(&[scratch.at("from")], &to, &options(model), |now| {
            if now.is_over {
                // Everything has its name by now.
                assert_same(&scratch.at("from"), &to);
            }
            seen.push(*now);
            ControlFlow::Continue(())
        });
        assert!(copied.unwrap().is_complete());
        let (last, before) = seen.split_last().unwrap();
        assert!(last.is_over && before.iter().all(|now| !now.is_over));
        assert_eq!(
            (last.files, last.files_found, last.bytes, last.bytes_found),
            (4000, 4000, 32_000, Some(32_000))
        );
        assert!(seen.iter().all(|now| now.files <= now.files_found));
    }
}

fn stopped_and_completed() {
    let scratch = Scratch::new();
    for folder in 0..20 {
        (0..200)
            .for_each(|n| drop(scratch.file(&format!("from/{folder}/{n}"), vec![n as u8; 3000])));
    }
    scratch.file("from/large", vec![1; 40 << 20]);
    for model in MODELS {
        let to = scratch.at(&format!("{model:?}"));
        // At once: the least that can be copied.
        let stopped =
            copier::copy(&[scratch.at("from")], &to, &options(model), |_| ControlFlow::Break(()))
                .unwrap();
        assert!(
            stopped.is_stopped && !stopped.is_complete() || tree(&to) == tree(&scratch.at("from"))
        );
        assert_clean(&to);
        let original = tree(&scratch.at("from"));
        assert!(tree(&to).iter().all(|(name, contents)| original[name] == *contents));
        same(&scratch.at("from"), &to, &options(model));
    }
}

fn large_files_are_shared_out() {
    let scratch = Scratch::new();
    (0..40).for_each(|n| drop(scratch.file(&format!("from/folder/{n}"), vec![n as u8; 1 << 20])));
    for model in MODELS {
        let summary =
            same(&scratch.at("from"), &scratch.at(&format!("{model:?}")), &options(model));
        assert_eq!((summary.files, summary.bytes, summary.folders), (40, 40 << 20, 2));
    }
}

fn left_overs_are_deleted_and_nothing_else() {
    let scratch = Scratch::new();
    for n in 0..4 {
        scratch.file(&format!("from/{n}/large"), vec![n; 48 << 20]);
    }
    // What looks like one, and is not.
    let others = [
        ".copy-0123456789abcdef-7-1.part",
        ".copy-0123456789abcdef-8.part/half",
        ".copy-of-mine.part",
        ".copy-0123456789abcdef0123456789abcdef.part",
    ];
    for model in MODELS {
        let to = scratch.folder(&format!("{model:?}"));
        let temporary = || {
            let names = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.as_bytes().starts_with(b".copy-")).collect::<Vec<_>>()
        };
        let mut left = Vec::new();
        for _ in 0..100 {
            let mut helper = harness::helper("copy_until_killed");
            let mut helper = helper
                .env("COPY_FROM", scratch.at("from"))
                .env("COPY_TO", &to)
                .env("COPY_MODEL", format!("{model:?}").to_lowercase())
                .spawn()
                .unwrap();
            while temporary().is_empty() && helper.try_wait().unwrap().is_none() {
                thread::yield_now();
            }
            helper.kill().unwrap();
            helper.wait().unwrap();
            left = temporary();
            if !left.is_empty() {
                break;
            }
            fs::remove_dir_all(&to).unwrap();
            fs::create_dir(&to).unwrap();
        }
        assert!(!left.is_empty(), "it was never killed in the middle");
        others.iter().for_each(|name| drop(scratch.file(&format!("{model:?}/{name}"), "mine")));
        let is_gone = || left.iter().all(|name| !to.join(name).exists());
        // A killed run's workers may hold their locks for a moment longer.
        assert!(harness::wait_until(Duration::from_secs(30), || {
            assert!(run(&scratch.at("from"), &to, &options(model)).unwrap().is_complete());
            is_gone()
        }));
        for other in others {
            assert_eq!(fs::read_to_string(to.join(other)).unwrap(), "mine", "{other}");
            let first = other.split('/').next().unwrap();
            fs::remove_dir_all(to.join(first))
                .or_else(|_| fs::remove_file(to.join(first)))
                .unwrap();
        }
        assert_same(&scratch.at("from"), &to);
    }
}

fn copy_until_killed() {
    let [from, to, model] =
        ["COPY_FROM", "COPY_TO", "COPY_MODEL"].map(|name| std::env::var_os(name).unwrap());
    let model = model.to_str().unwrap().parse().unwrap();
    let _ = run(Path::new(&from), Path::new(&to), &options(model));
}
