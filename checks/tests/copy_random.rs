//! Random trees, copied by 012_copy with random options into targets with random contents,
//! interrupted or not: what is there afterwards is compared with what the program's help states,
//! and, where that is the same, with what `cp` makes.
//!
//! `COPY_TREES=2000` tries so many trees in place of a few, `COPY_SEED=N` begins with another one,
//! and `COPY_DIR=DIR` uses another file system.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::{OsStr, OsString},
    fs::{self, FileTimes, Permissions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, llistxattr, lsetxattr, mknodat},
    process::{Pid, Signal, kill_process},
};

/// Trees in an ordinary run of the tests.
const FEW: u64 = 40;
/// Somebody who may do nothing.
const NOBODY: u32 = 65534;

/// Marsaglia's xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.next(many) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.next(all.len() as u64) as usize]
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    inode: (u64, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
    Fifo,
    Socket,
    Device(u64),
}

type Tree = BTreeMap<Vec<u8>, Entry>;
/// The names of each source file in the target, by the device and inode of the file.
type Links = BTreeMap<(u64, u64), Vec<Vec<u8>>>;

/// A path relative to the root; the root's is empty.
fn look(root: &Path) -> Tree {
    let (mut tree, mut folders) = (Tree::new(), vec![Vec::new()]);
    if let Ok(entry) = entry(root) {
        tree.insert(Vec::new(), entry);
    }
    while let Some(folder) = folders.pop() {
        for inner in fs::read_dir(root.join(OsStr::from_bytes(&folder))).into_iter().flatten() {
            let name = inner.unwrap().file_name();
            let path = join(&folder, name.as_bytes());
            let found = entry(&root.join(OsStr::from_bytes(&path))).unwrap();
            if found.kind == Kind::Folder {
                folders.push(path.clone());
            }
            tree.insert(path, found);
        }
    }
    tree
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}

fn entry(path: &Path) -> std::io::Result<Entry> {
    let it = fs::symlink_metadata(path)?;
    let kind = it.file_type();
    let kind = if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link(fs::read_link(path)?)
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_socket() {
        Kind::Socket
    } else if kind.is_file() {
        Kind::File(fs::read(path)?)
    } else {
        Kind::Device(it.rdev())
    };
    let mut attributes = BTreeMap::new();
    let mut names = vec![0; 4096];
    let length = llistxattr(path, &mut names[..]).unwrap_or(0);
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 4096];
        let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap_or(0);
        attributes.insert(name.to_vec(), value[..length].to_vec());
    }
    Ok(Entry {
        kind,
        mode: it.mode() & 0o7777,
        owner: (it.uid(), it.gid()),
        modified: (it.mtime(), it.mtime_nsec()),
        attributes,
        inode: (it.dev(), it.ino()),
    })
}

/// Makes a tree of up to `most` entries.
fn make(random: &mut Random, root: &Path, most: u64, text: &str, is_root: bool) {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    fs::create_dir(root).unwrap();
    // Few names, so that the same ones are in the source and in the target.
    let long = "长".repeat(85);
    let others = [b"\xff\xfe".to_vec(), b"a\nb".to_vec(), long.into_bytes(), b"-x".to_vec()];
    let names: Vec<OsString> = (0..8)
        .map(|n| format!("n{n}").into_bytes())
        .chain(others)
        .map(OsString::from_vec)
        .collect();
    for number in 0..random.next(most) {
        let path = random.of(&folders).join(random.of(&names));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match random.next(16) {
            0..=3 => {
                fs::create_dir(&path).unwrap();
                folders.push(path);
                continue;
            }
            4 => symlink(random.of(&["nowhere", "n1", "..", "n2/n3"]), &path).unwrap(),
            5 if text == "new" => {
                let mode = Mode::from_raw_mode(0o644);
                let kind = if random.one_in(2) { FileType::Fifo } else { FileType::Socket };
                mknodat(CWD, &path, kind, mode, 0).unwrap();
            }
            6 if is_root && text == "new" => {
                let mode = Mode::from_raw_mode(0o600);
                let null = rustix::fs::makedev(1, 3);
                mknodat(CWD, &path, FileType::CharacterDevice, mode, null).unwrap();
            }
            7..=9 if !files.is_empty() => {
                fs::hard_link(random.of(&files), &path).unwrap();
                continue;
            }
            10 => {
                let mut file = fs::File::create(&path).unwrap();
                file.seek(SeekFrom::Start(random.next(300_000))).unwrap();
                write!(file, "{text} {number}").unwrap();
                file.set_len(random.next(600_000)).unwrap();
            }
            kind => {
                let long = if kind == 11 { 200_000 } else { 5_000 };
                let contents = format!("{text} {number} ").repeat(random.next(long / 8) as usize);
                fs::write(&path, contents).unwrap();
            }
        }
        files.push(path);
    }
    // From below, so that a closed directory closes nothing that is still to be changed.
    for path in files.iter().chain(folders.iter().rev()) {
        let is_link = path.is_symlink();
        let is_folder = !is_link && path.is_dir();
        if is_root && text == "new" && random.one_in(3) {
            let (user, group) = (random.next(3) as u32, random.next(3) as u32);
            std::os::unix::fs::lchown(path, Some(user), Some(group)).unwrap();
        }
        if !is_link && (is_folder || path.is_file()) && random.one_in(4) {
            let _ = lsetxattr(path, "user.note", text.as_bytes(), XattrFlags::empty());
        }
        if is_root && random.one_in(6) {
            let _ = lsetxattr(path, "trusted.note", text.as_bytes(), XattrFlags::empty());
        }
        if !is_link && (text == "new" || is_folder) {
            let modes = if is_folder && text == "old" {
                &[0o755, 0o700, 0o775][..]
            } else if is_folder {
                &[0o755, 0o700, 0o2755, 0o1777, 0o555, 0o500][..]
            } else {
                &[0o644, 0o600, 0o444, 0o4755, 0o2755, 0o640, 0o777][..]
            };
            fs::set_permissions(path, Permissions::from_mode(*random.of(modes))).unwrap();
        }
        let time = Duration::new(1_000_000_000 + random.next(1 << 29), random.next(1 << 29) as u32);
        if path.is_file() && !is_link || is_folder {
            let time = SystemTime::UNIX_EPOCH + time;
            let times = FileTimes::new().set_modified(time).set_accessed(time);
            let _ = fs::File::open(path).and_then(|file| file.set_times(times));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnExists {
    Skip,
    Overwrite,
    Fail,
}

#[derive(Debug)]
struct Options {
    model: &'static str,
    on_exists: OnExists,
    preserve: bool,
    workers: u64,
    as_nobody: bool,
    umask: u32,
}

/// What the help says is in the target afterwards; the names put there, by the inode of their
/// source; and whether all was copied.
fn expected(source: &Tree, before: &Tree, options: &Options) -> (Tree, Links, bool) {
    let (mut after, mut placed, mut complete) = (before.clone(), BTreeMap::new(), true);
    let mut unusable: BTreeSet<Vec<u8>> = BTreeSet::new();
    let keeps_owner = options.preserve && !options.as_nobody;
    let me = if options.as_nobody { (NOBODY, NOBODY) } else { (0, 0) };
    for (path, original) in source {
        if !path.is_empty() && unusable.contains(parent(path)) {
            unusable.insert(path.clone());
            continue;
        }
        let there = before.get(path);
        let is_folder = original.kind == Kind::Folder;
        let is_free = match there {
            None => true,
            Some(there) if is_folder => {
                if there.kind != Kind::Folder {
                    unusable.insert(path.clone());
                    complete = false;
                    continue;
                }
                options.preserve
            }
            Some(there) => match options.on_exists {
                OnExists::Skip => false,
                OnExists::Fail => {
                    complete = false;
                    false
                }
                OnExists::Overwrite => {
                    complete &= there.kind != Kind::Folder;
                    there.kind != Kind::Folder
                }
            },
        };
        if !is_free {
            continue;
        }
        let mut copy = original.clone();
        if !keeps_owner {
            copy.owner = me;
        }
        if !options.preserve {
            copy.attributes.clear();
            copy.mode &= 0o777 & !options.umask;
            copy.modified = (0, 0);
        } else if !keeps_owner && original.owner != me {
            copy.mode &= 0o1777;
        }
        if matches!(copy.kind, Kind::Link(_)) {
            copy.mode = 0o777;
        }
        if let Some(there) = there.filter(|_| is_folder) {
            // What else it has stays.
            let mut attributes = there.attributes.clone();
            attributes.append(&mut copy.attributes);
            copy.attributes = attributes;
        }
        if !is_folder {
            placed.entry(original.inode).or_insert_with(Vec::new).push(path.clone());
        }
        after.insert(path.clone(), copy);
    }
    (after, placed, complete)
}

/// What differs. Times of what was not preserved, and of directories in which something was made,
/// are not looked at.
fn differences(expected: &Tree, found: &Tree, before: &Tree, preserve: bool) -> Vec<String> {
    let paths: BTreeSet<&Vec<u8>> = expected.keys().chain(found.keys()).collect();
    let show = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let mut all = Vec::new();
    for path in paths {
        let (Some(wanted), Some(got)) = (expected.get(path), found.get(path)) else {
            all.push(format!(
                "{:?}: {}",
                show(path),
                if found.contains_key(path) { "is there" } else { "is missing" }
            ));
            continue;
        };
        let is_old = before.get(path).is_some_and(|old| old == wanted);
        let mut say = |what: &str, wanted: String, got: String| {
            if wanted != got {
                all.push(format!("{:?}: {what} {got}, expected {wanted}", show(path)));
            }
        };
        let kind = |kind: &Kind| match kind {
            Kind::File(bytes) => format!(
                "file of {} ({})",
                bytes.len(),
                String::from_utf8_lossy(&bytes[..bytes.len().min(12)])
            ),
            kind => format!("{kind:?}"),
        };
        say("is", kind(&wanted.kind), kind(&got.kind));
        if wanted.kind != got.kind {
            say("has", "its contents".into(), "others".into());
        }
        say("has mode", format!("{:o}", wanted.mode), format!("{:o}", got.mode));
        say("belongs to", format!("{:?}", wanted.owner), format!("{:?}", got.owner));
        say("has attributes", format!("{:?}", wanted.attributes), format!("{:?}", got.attributes));
        let has_time = preserve && !(is_old && wanted.kind == Kind::Folder)
            || is_old && wanted.kind != Kind::Folder;
        if has_time {
            say("has time", format!("{:?}", wanted.modified), format!("{:?}", got.modified));
        }
        if is_old && wanted.kind != Kind::Folder && wanted.inode != got.inode {
            say("is", "what it was".into(), "another file".into());
        }
    }
    all
}

/// The names of one source file are one file, and no other.
fn wrong_links(placed: &Links, found: &Tree) -> Vec<String> {
    let mut owner: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    let mut all = Vec::new();
    let ours: BTreeSet<&Vec<u8>> = placed.values().flatten().collect();
    for (source, names) in placed {
        let inodes: BTreeSet<_> =
            names.iter().filter_map(|name| Some(found.get(name)?.inode)).collect();
        if inodes.len() > 1 {
            all.push(format!("the names {names:?} of one file are {} files", inodes.len()));
        }
        for inode in inodes {
            if owner.insert(inode, *source).is_some_and(|other| other != *source) {
                all.push(format!("{names:?} are linked to the copy of another file"));
            }
        }
    }
    for (path, entry) in found {
        if !ours.contains(path) && entry.kind != Kind::Folder && owner.contains_key(&entry.inode) {
            all.push(format!(
                "a name is linked to {:?}, which was there before",
                String::from_utf8_lossy(path)
            ));
        }
    }
    all
}

fn program(options: &Options, place: &Path) -> Command {
    let mut command = Command::new(checks::program("012_copy"));
    let on_exists = format!("{:?}", options.on_exists).to_lowercase();
    command.args(["--model", options.model, "--on-exists", &on_exists]);
    command.args(["--workers", &options.workers.to_string(), "--processes-after", "0"]);
    if options.preserve {
        command.arg("--preserve");
    }
    as_user(&mut command, options);
    command.args(["from", "to"]).current_dir(place);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn as_user(command: &mut Command, options: &Options) {
    if options.as_nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Runs it to its end, or until it is interrupted: its status, and what it wrote.
fn copy(
    options: &Options,
    place: &Path,
    interrupt: Option<(Duration, Signal)>,
) -> (Option<i32>, String) {
    let mut running = program(options, place).spawn().unwrap();
    if let Some((after, signal)) = interrupt {
        thread::sleep(after);
        let _ = kill_process(Pid::from_child(&running), signal);
    }
    let status = checks::run::ended(&mut running);
    let mut text = Vec::new();
    running.stderr.take().unwrap().read_to_end(&mut text).unwrap();
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn one_tree(seed: u64, base: &Path, is_root: bool) -> Result<(), String> {
    let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..8).for_each(|_| _ = random.next(2));
    let place = base.join(seed.to_string());
    fs::create_dir(&place).unwrap();
    let umask = rustix::process::umask(Mode::empty());
    rustix::process::umask(umask);
    let options = Options {
        model: random.of::<&str>(&["process", "thread"]),
        on_exists: *random.of(&[OnExists::Skip, OnExists::Overwrite, OnExists::Fail]),
        preserve: random.one_in(2),
        workers: 1 + random.next(3),
        as_nobody: is_root && random.one_in(3),
        umask: umask.bits(),
    };
    let (from, to) = (place.join("from"), place.join("to"));
    make(random, &from, 60, "new", is_root && !options.as_nobody);
    let has_conflicts = random.one_in(2);
    if has_conflicts {
        make(random, &to, 25, "old", false);
    }
    if options.as_nobody {
        let all =
            Command::new("chown").args(["-hR", "65534:65534", "."]).current_dir(&place).status();
        assert!(all.unwrap().success());
    } else {
        fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
    }
    let (source, before) = (look(&from), look(&to));
    let (wanted, placed, complete) = expected(&source, &before, &options);

    // What a copy in progress leaves to the next one is a file that is there: with `fail` that is a
    // failure of the next.
    let interrupts = if options.on_exists == OnExists::Fail { 0 } else { random.next(3) };
    for _ in 0..interrupts {
        let signal = *random.of(&[Signal::INT, Signal::TERM, Signal::KILL]);
        copy(&options, &place, Some((Duration::from_micros(random.next(40_000)), signal)));
    }
    // Killed workers hold their locks until they have ended.
    if interrupts > 0 {
        thread::sleep(Duration::from_millis(30));
    }
    let (status, stderr) = copy(&options, &place, None);
    let found = look(&to);
    let mut wrong = differences(&wanted, &found, &before, options.preserve);
    wrong.extend(wrong_links(&placed, &found));
    if status != Some(i32::from(!complete)) {
        wrong.push(format!("ended with {status:?}: {stderr}"));
    }
    if look(&from) != source {
        wrong.push("the source was changed".into());
    }
    // Where nothing is in the way, `cp` makes the same.
    if !has_conflicts && wrong.is_empty() {
        let mut cp = Command::new("cp");
        cp.args(if options.preserve { &["-a"][..] } else { &["-rP", "--preserve=links"] });
        as_user(&mut cp, &options);
        let made = cp.args(["from", "cp"]).current_dir(&place).output().unwrap();
        if made.status.success() {
            let mut other = look(&place.join("cp"));
            if !options.preserve {
                // It keeps set-id and sticky bits without being asked to.
                other.values_mut().for_each(|it| it.mode &= 0o777);
            }
            wrong.extend(
                differences(&other, &found, &before, options.preserve)
                    .into_iter()
                    .map(|it| format!("unlike cp: {it}")),
            );
            let groups = |tree: &Tree| {
                let mut groups: BTreeMap<_, Vec<&Vec<u8>>> = BTreeMap::new();
                tree.iter().for_each(|(path, it)| groups.entry(it.inode).or_default().push(path));
                groups
                    .into_values()
                    .map(|names| names.into_iter().cloned().collect())
                    .collect::<BTreeSet<Vec<_>>>()
            };
            if groups(&other) != groups(&found) {
                wrong.push("unlike cp: other names are links".into());
            }
        } else {
            wrong.push(format!("cp cannot: {}", String::from_utf8_lossy(&made.stderr)));
        }
    }
    if wrong.is_empty() {
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&place).status();
        fs::remove_dir_all(&place).unwrap();
        Ok(())
    } else {
        Err(format!(
            "seed {seed}, {interrupts} interrupts, {options:?}\n  {}\n{stderr}",
            wrong.join("\n  ")
        ))
    }
}

#[test]
fn random_trees_are_copied_as_the_help_states() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (trees, first) = (number("COPY_TREES").unwrap_or(FEW), number("COPY_SEED").unwrap_or(1));
    let memory = Path::new("/dev/shm");
    let base = env::var_os("COPY_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| if memory.is_dir() { memory.to_owned() } else { env::temp_dir() });
    let base = tempfile::tempdir_in(base).unwrap();
    fs::set_permissions(base.path(), Permissions::from_mode(0o755)).unwrap();
    checks::examples();
    let is_root = rustix::process::geteuid().is_root();
    let wrong: Vec<String> = (first..first + trees)
        .filter_map(|seed| one_tree(seed, base.path(), is_root).err())
        .inspect(|wrong| println!("{wrong}"))
        .collect();
    let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(base.path()).status();
    assert!(wrong.is_empty(), "{} of {trees} trees differ", wrong.len());
}
