//! Finds what is to be copied: lists directories, makes them in the target, and cuts what is in
//! them into parcels.
//!
//! A listing tells the kind of each entry, so no file is looked at here: the worker has to look at
//! it anyway.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, RawDir, Stat, accessat,
    chmodat, fstat, mkdirat, openat, statat, statfs,
};
use rustix::io::Errno;

use super::dir_path::DirPath;
use super::engine::Engine;
use super::links::LateFolder;
use super::parcel::{Ground, NAMES, Parcel, Tree};
use super::place::{self, End, Place, SEARCH};
use super::staging::{self, Staging, record_of};
use super::worker::{EXISTS, FOLDER_THERE};
use super::{CopyError, OnExists};

/// Names in each of the first parcels of a directory that has more than one.
const FIRST_NAMES: usize = NAMES / 4;

/// One source, and where it is to be.
pub(super) struct Root {
    /// A directory; for anything else, the one it is in.
    source: End,
    /// The directory that it becomes, or that it is to be in: as the user gave it.
    target: Vec<u8>,
    /// Its name in there, if it is a directory that goes into the target.
    inside: DirPath,
    /// If it is not a directory: its kind as in [`Parcel::names`], its name, and its new one.
    file: Option<(u8, Vec<u8>, Vec<u8>)>,
}

impl Root {
    /// A descriptor on the file system it is copied to, once it is there.
    pub(super) fn disk(&self) -> Option<OwnedFd> {
        openat(CWD, &self.target[..], OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
    }

    /// What a message about the whole target names.
    pub(super) fn target_path(&self) -> PathBuf {
        path(&self.target)
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Finds out what each source becomes, and refuses what must not be done. Touches nothing.
pub(super) fn resolve(sources: &[PathBuf], target: &Path) -> Result<Vec<Root>, CopyError> {
    if sources.is_empty() {
        return Err(CopyError::NoSource);
    }
    let ends_with_slash = target.as_os_str().as_bytes().ends_with(b"/");
    let there = match fs::metadata(target) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(CopyError::Target(target.into(), error)),
    };
    let no_folder = || io::Error::from(io::ErrorKind::NotADirectory);
    let above = folder_of(target);
    match fs::metadata(above) {
        Ok(above) if above.is_dir() => {}
        Ok(_) => return Err(CopyError::Target(above.into(), no_folder())),
        Err(error) => return Err(CopyError::Target(above.into(), error)),
    }
    let target_is_folder = there.as_ref().is_some_and(fs::Metadata::is_dir);
    can_hold_files(if target_is_folder { target } else { above })
        .map_err(|error| CopyError::Target(target.into(), error))?;
    let (mut roots, mut targets) = (Vec::with_capacity(sources.len()), HashSet::new());
    // Every directory that the target is in, as it really is, whatever names lead there.
    let deepest = [target, above].into_iter().find_map(|path| fs::canonicalize(path).ok());
    let around: Vec<_> = deepest
        .iter()
        .flat_map(|path| path.ancestors())
        .filter_map(|folder| fs::metadata(folder).ok().map(|folder| id(&folder)))
        .collect();
    for source in sources {
        let metadata = fs::symlink_metadata(source);
        let metadata = metadata.map_err(|error| CopyError::Source(source.clone(), error))?;
        let goes_inside =
            ends_with_slash || sources.len() > 1 || (!metadata.is_dir() && target_is_folder);
        if (goes_inside || metadata.is_dir()) && there.is_some() && !target_is_folder {
            return Err(CopyError::Target(target.into(), no_folder()));
        }
        let becomes = if goes_inside {
            let name = match source.file_name() {
                Some(name) => Some(name.to_owned()),
                // `.` and the like: what it is called where it is.
                None => fs::canonicalize(source)
                    .ok()
                    .and_then(|path| Some(path.file_name()?.to_owned())),
            };
            target.join(name.ok_or_else(|| CopyError::NoName(source.clone()))?)
        } else {
            target.to_owned()
        };
        // What the user calls the target may be a link to it; what is in it is taken as it is.
        let now = if metadata.is_dir() && !goes_inside {
            fs::metadata(&becomes)
        } else {
            fs::symlink_metadata(&becomes)
        };
        if now.as_ref().is_ok_and(|now| id(now) == id(&metadata)) {
            return Err(CopyError::SameFile(source.clone()));
        }
        if metadata.is_dir() {
            let here = now.ok().filter(|_| goes_inside).map(|now| id(&now));
            if around.iter().chain(&here).any(|folder| *folder == id(&metadata)) {
                return Err(CopyError::Inside(source.clone()));
            }
            let name = becomes.file_name().filter(|_| goes_inside);
            let inside = name.map_or_else(DirPath::default, |name| DirPath::from(name.as_bytes()));
            let source = End { path: bytes(source), id: id(&metadata) };
            roots.push(Root { source, target: bytes(target), inside, file: None });
        } else {
            let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec());
            let (Some(old), Some(new)) = (name(source), name(&becomes)) else {
                return Err(CopyError::NoName(source.clone()));
            };
            let folder = folder_of(source);
            let above = fs::metadata(folder);
            let above = above.map_err(|error| CopyError::Source(folder.into(), error))?;
            let source = End { path: bytes(folder), id: id(&above) };
            let target = bytes(if goes_inside { target } else { folder_of(target) });
            let file = Some((if metadata.is_file() { b'f' } else { b'o' }, old, new));
            roots.push(Root { source, target, inside: DirPath::default(), file });
        }
        if let Some(twice) = targets.replace(becomes) {
            return Err(CopyError::SameName(twice));
        }
    }
    Ok(roots)
}

/// Whether a directory is one that new files can be made in, given the permission.
fn can_hold_files(folder: &Path) -> io::Result<()> {
    let problem = if fs::metadata(folder)?.nlink() == 0 {
        "this directory has been deleted"
    } else if statfs(folder)?.f_type == PROC_SUPER_MAGIC {
        "no file can be made in /proc"
    } else {
        return Ok(());
    };
    Err(io::Error::other(problem))
}

fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The sum of the sizes of a parcel's files.
pub(super) fn bytes_of(place: &mut Place, parcel: &Parcel) -> u64 {
    let Ok(folder) = place.open(&parcel.tree.source, &parcel.folder) else { return 0 };
    // That it is a regular file is not known before of one that was named by the user.
    let size = |(_, name): (u8, &CStr)| match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            stat.st_size.cast_unsigned()
        }
        _ => 0,
    };
    parcel.names().map(size).sum::<u64>()
}

/// What the walker has found besides parcels.
#[derive(Default)]
pub(super) struct Found {
    /// Folders to be finished at the end, those above first.
    pub(super) folders: Vec<LateFolder>,
    /// A descriptor on each file system that something is copied to.
    pub(super) disks: Vec<OwnedFd>,
    /// By root: a record of each directory in `folders` that must not stay as it is if this run is
    /// killed.
    pub(super) records: HashMap<End, Staging>,
    /// Roots below which a killed run has left a directory that this one has not come to.
    pub(super) unfinished: HashSet<End>,
}

pub(super) struct Walker<'a> {
    engine: &'a Engine<'a>,
    roots: &'a [Root],
    source: Place,
    target: Place,
    found: Found,
    /// Devices of `found.disks`.
    devices: Vec<u64>,
    /// The roots of the target that are there, by path: what directory each is, and how it stands.
    ready: HashMap<Vec<u8>, ((u64, u64), Ground)>,
    /// The directories that a source becomes: none of them is a source, by whatever name we come to
    /// it.
    targets: HashSet<(u64, u64)>,
    /// The directories that were looked through for what killed runs have left.
    swept: HashSet<(u64, u64)>,
    /// Files that were named by the user one after the other, and how many they are.
    named: Option<(Parcel, usize)>,
    /// Directories that a killed run has not finished.
    unfinished: HashSet<(End, u64)>,
    /// In a dry run: files with several names that were counted.
    linked: HashSet<(u64, u64)>,
}

/// A directory to be visited, and how the one above stands in the target.
struct Visit {
    folder: DirPath,
    target_folder: DirPath,
    above: Ground,
    /// Of the one above; see [`Parcel::base`].
    base: DirPath,
}

impl<'a> Walker<'a> {
    pub(super) fn new(engine: &'a Engine<'a>, roots: &'a [Root]) -> Self {
        Self {
            engine,
            roots,
            source: Place::default(),
            target: Place::default(),
            found: Found::default(),
            devices: Vec::new(),
            ready: HashMap::new(),
            targets: HashSet::new(),
            swept: HashSet::new(),
            named: None,
            unfinished: HashSet::new(),
            linked: HashSet::new(),
        }
    }

    /// Finds everything.
    pub(super) fn walk(mut self) -> Found {
        for root in self.roots {
            if self.engine.is_stopped() {
                break;
            }
            match &root.file {
                Some((kind, name, new_name)) => self.file(root, *kind, name, new_name),
                None => self.tree(root),
            }
        }
        self.add_named();
        if self.engine.is_stopped() {
            self.found.unfinished = self.unfinished.into_iter().map(|(root, _)| root).collect();
        }
        self.found
    }

    fn failed(&self, root: &Root, folder: &DirPath, what: &str, errno: Errno) {
        let reason = format!("{what}: {}", place::describe(errno));
        if matches!(errno, Errno::NOSPC | Errno::DQUOT) {
            self.engine.is_full();
        }
        self.engine.failed(path(&folder.below(&root.source.path, None)), reason);
    }

    fn file(&mut self, root: &Root, kind: u8, name: &[u8], new_name: &[u8]) {
        // Where several sources go into a directory, it is there, or made here.
        let tree = match self.make_root(root, None) {
            Ok((tree, _)) => tree,
            Err(errno) => {
                let name = DirPath::default().join(name);
                return self.failed(root, &name, "its new folder cannot be made", errno);
            }
        };
        let names = [&[kind], name, &[0]].concat();
        let renamed = (name != new_name).then(|| new_name.to_vec());
        // Files of one directory, one named after the other, travel together.
        match &mut self.named {
            Some((parcel, count)) if *count < NAMES && renamed.is_none() && parcel.tree == tree => {
                parcel.names.extend(names);
                *count += 1;
                return;
            }
            _ => {}
        }
        self.add_named();
        let visit = Visit::root(DirPath::default(), Ground::Used);
        let first = Parcel { renamed, ..visit.parcel(&tree, Ground::Used, &visit.base, names) };
        if first.renamed.is_some() {
            self.add(first);
        } else {
            self.named = Some((first, 1));
        }
    }

    /// Lets the files that were named last be copied.
    fn add_named(&mut self) {
        if let Some((parcel, _)) = self.named.take() {
            self.add(parcel);
        }
    }

    fn tree(&mut self, root: &Root) {
        // The target that the user names can be a link; all below it cannot.
        let becomes_it = match root.inside.depth() {
            0 => {
                let opened = self.source.open(&root.source, &DirPath::default());
                opened.and_then(fstat).map(Some)
            }
            _ => Ok(None),
        };
        let made = becomes_it.and_then(|source| self.make_root(root, source.as_ref()));
        let (tree, above) = match made {
            Ok(made) => made,
            Err(errno) => {
                let here = DirPath::default();
                return self.failed(root, &here, "its new folder cannot be made", errno);
            }
        };
        let mut visits = vec![Visit::root(root.inside.clone(), above)];
        while let Some(visit) = visits.pop() {
            if self.engine.is_stopped() {
                return;
            }
            let first = visits.len();
            self.visit(root, &tree, &visit, &mut visits);
            visits[first..].reverse();
        }
    }

    fn visit(&mut self, root: &Root, tree: &Arc<Tree>, visit: &Visit, visits: &mut Vec<Visit>) {
        let folder = &visit.folder;
        let opened =
            self.source.open(&root.source, folder).and_then(|from| place::open_to_read(from, c"."));
        let listed = opened.and_then(|listed| fstat(&listed).map(|stat| (listed, stat)));
        let (listed, stat) = match listed {
            Ok(listed) => listed,
            Err(errno) => return self.failed(root, folder, "it cannot be listed", errno),
        };
        if self.targets.contains(&place::id(&stat)) {
            let path = path(&folder.below(&root.source.path, None));
            return self
                .engine
                .failed(path, "it is the target itself, and is not copied into itself".into());
        }
        let mut made = None;
        let (mut names, mut count, mut inner) = (Vec::new(), 0, Vec::new());
        let mut buffer = [MaybeUninit::uninit(); 32 << 10];
        let mut entries = RawDir::new(&listed, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    self.failed(root, folder, "it cannot be listed to its end", errno);
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => statat(&listed, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            if kind == FileType::Directory {
                inner.push(Box::<[u8]>::from(name.to_bytes()));
                continue;
            }
            if count == NAMES {
                let is_first = made.is_none();
                if is_first {
                    made = self.make(root, tree, visit, &stat);
                }
                let Some((ground, base)) = &made else { return };
                let parcel = visit.parcel(tree, *ground, base, std::mem::take(&mut names));
                // All workers are busy soon, and end at about the same time.
                let size = if is_first { FIRST_NAMES } else { NAMES };
                parcel.split(0, size).into_iter().for_each(|part| self.add(part));
                count = 0;
            }
            names.push(if kind == FileType::RegularFile { b'f' } else { b'o' });
            names.extend_from_slice(name.to_bytes_with_nul());
            count += 1;
        }
        if made.is_none() && inner.is_empty() && count > 0 && self.may_be_unmade(tree, visit, &stat)
        {
            let above = visit.target_folder.parent().map(|(above, _)| above);
            let base = if visit.above == Ground::Fresh {
                &visit.base
            } else {
                above.unwrap_or(&visit.base)
            };
            made = Some((Ground::Unmade, base.clone()));
        } else if made.is_none() {
            made = self.make(root, tree, visit, &stat);
        }
        let Some((ground, base)) = made else { return };
        if count > 0 {
            self.add(visit.parcel(tree, ground, &base, names));
        }
        visits.extend(inner.into_iter().map(|name| visit.inner(&name, ground, &base)));
    }

    /// Whether a directory can be left to the worker that fills it: if it is not there, and nothing
    /// has to be done to it later.
    fn may_be_unmade(&mut self, tree: &Tree, visit: &Visit, stat: &Stat) -> bool {
        let engine = self.engine;
        let Some((above, name)) = visit.target_folder.parent() else { return false };
        if visit.folder.depth() == 0
            || engine.options.preserve
            || engine.options.dry_run
            || engine.settings.lacks(stat.st_mode, 0o700)
        {
            return false;
        }
        visit.above == Ground::Fresh || self.is_missing(tree, above, name).unwrap_or(false)
    }

    /// Whether there is nothing of that name in the target.
    fn is_missing(
        &mut self,
        tree: &Tree,
        above: &DirPath,
        name: &[u8],
    ) -> rustix::io::Result<bool> {
        let above = self.target.open(&tree.target, above)?;
        Ok(statat(above, name, AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT))
    }

    /// Makes a directory in the target, or looks at the one that is there. `None`: it cannot be
    /// used, and that was said.
    fn make(
        &mut self,
        root: &Root,
        tree: &Arc<Tree>,
        visit: &Visit,
        stat: &Stat,
    ) -> Option<(Ground, DirPath)> {
        let (folder, target_folder) = (&visit.folder, &visit.target_folder);
        match self.try_make(tree, visit, stat) {
            Ok((ground, base)) => {
                let lacks = self.engine.settings.lacks(stat.st_mode, 0o700);
                let is_late = self.engine.options.preserve
                    || lacks
                        && (ground == Ground::Fresh || self.is_unfinished(tree, target_folder));
                if is_late && !self.engine.options.dry_run {
                    let (folder, target_folder) = (folder.clone(), target_folder.clone());
                    let late = LateFolder { tree: tree.clone(), folder, target_folder };
                    self.found.folders.push(late);
                }
                Some((ground, base))
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let path = path(&folder.below(&root.source.path, None));
                self.engine.failed(path, "what is in its place is no folder".into());
                None
            }
            Err(errno) => {
                self.failed(root, folder, "its new folder cannot be made", errno);
                None
            }
        }
    }

    fn try_make(
        &mut self,
        tree: &Tree,
        visit: &Visit,
        stat: &Stat,
    ) -> rustix::io::Result<(Ground, DirPath)> {
        let target = &visit.target_folder;
        let ground = if self.engine.options.dry_run && target.depth() > 0 {
            let there = match self.target.open(&tree.target, target) {
                Ok(_) => true,
                Err(Errno::NOENT | Errno::STALE) => false,
                Err(errno) => return Err(errno),
            };
            self.engine.count(|summary, _| summary.folders += u64::from(!there));
            if there { Ground::Used } else { Ground::Fresh }
        } else if let Some((above, name)) = target.parent() {
            // Writable for us as long as we put something into it.
            let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RWXU;
            let lacks = self.engine.settings.lacks(stat.st_mode, 0o700);
            if lacks && !self.engine.options.preserve && self.is_missing(tree, above, name)? {
                self.record(&tree.target, record_of(&target.to_bytes()));
            }
            let above = self.target.open(&tree.target, above)?;
            match mkdirat(above, name, mode) {
                Ok(()) => {
                    self.engine.count(|summary, _| summary.folders += 1);
                    if self.engine.settings.lacks(0o700, 0o700) {
                        let made = openat(above, name, SEARCH | OFlags::NOFOLLOW, Mode::empty())?;
                        allow_owner(made.as_fd())?;
                    }
                    Ground::Fresh
                }
                Err(Errno::EXIST) => {
                    self.use_old(tree, target, Some(stat))?;
                    Ground::Used
                }
                Err(errno) => return Err(errno),
            }
        } else {
            visit.above
        };
        if visit.folder.depth() == 0 && !self.engine.options.dry_run {
            let to = fstat(self.target.open(&tree.target, target)?)?;
            self.targets.insert(place::id(&to));
        }
        let base = match (ground, visit.above) {
            (Ground::Fresh, Ground::Fresh) => &visit.base,
            _ => target,
        };
        Ok((ground, base.clone()))
    }

    /// Makes the directory that the user has named, or opens the one that is there: what it is from
    /// now on, and how it stands. `source` is the directory that becomes it, if one does.
    fn make_root(
        &mut self,
        root: &Root,
        source: Option<&Stat>,
    ) -> rustix::io::Result<(Arc<Tree>, Ground)> {
        let path = &root.target;
        let asked = source.map_or(0o777, |source| source.st_mode & 0o777);
        let mode = Mode::from_raw_mode(asked) | Mode::RWXU;
        let tree = |id| {
            let (source, target) = (root.source.clone(), End { path: path.clone(), id });
            Arc::new(Tree { source, target })
        };
        if let Some((id, ground)) = self.ready.get(path) {
            return Ok((tree(*id), *ground));
        }
        let there = || statat(CWD, &path[..], AtFlags::empty());
        let (id, ground) = if self.engine.options.dry_run {
            let there = there().ok();
            self.engine.count(|summary, _| summary.folders += u64::from(there.is_none()));
            let ground = if there.is_some() { Ground::Used } else { Ground::Fresh };
            (there.map_or((0, 0), |there| place::id(&there)), ground)
        } else {
            match mkdirat(CWD, &path[..], mode) {
                Ok(()) => {
                    self.engine.count(|summary, _| summary.folders += 1);
                    // A `/` at its end would have a link followed.
                    let end = path.iter().rposition(|byte| *byte != b'/').map_or(1, |at| at + 1);
                    let made = openat(CWD, &path[..end], SEARCH | OFlags::NOFOLLOW, Mode::empty())?;
                    if self.engine.settings.lacks(0o700, 0o700) {
                        allow_owner(made.as_fd())?;
                    }
                    (place::id(&fstat(&made)?), Ground::Fresh)
                }
                Err(Errno::EXIST) => (place::id(&there()?), Ground::Used),
                // What is not to be made has to be there.
                Err(errno) => (place::id(&there().map_err(|_| errno)?), Ground::Used),
            }
        };
        self.ready.insert(path.clone(), (id, ground));
        let tree = tree(id);
        if !self.engine.options.dry_run {
            let here = DirPath::default();
            self.use_old(&tree, &here, source.filter(|_| ground == Ground::Used))?;
            if ground == Ground::Fresh
                && !self.engine.options.preserve
                && self.engine.settings.lacks(asked, 0o700)
            {
                self.record(&tree.target, record_of(&here.to_bytes()));
            }
        }
        Ok((tree, ground))
    }

    /// Looks at a directory that is there: whose it is, on what disk, and what was left in it.
    fn use_old(
        &mut self,
        tree: &Tree,
        folder: &DirPath,
        source: Option<&Stat>,
    ) -> rustix::io::Result<()> {
        let to = self.target.open(&tree.target, folder)?;
        let stat = fstat(to)?;
        if source.is_some_and(|source| place::id(source) == place::id(&stat)) {
            return Err(Errno::EXIST);
        }
        if self.engine.options.sync && !self.devices.contains(&stat.st_dev) {
            self.devices.push(stat.st_dev);
            // A directory that may not be listed cannot be opened for this, but a file in it can.
            let disk = place::open_to_read(to, c".").or_else(|errno| {
                let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
                openat(to, c".", flags, Mode::RWXU).map_err(|_| errno)
            });
            self.found.disks.push(disk?);
        }
        // As an earlier run has left it, or this one has to: its owner cannot put anything into it.
        if stat.st_mode & 0o700 != 0o700
            && source.is_some_and(|source| {
                let asked = source.st_mode & !self.engine.settings.umask;
                self.engine.options.preserve || asked & 0o700 == stat.st_mode & 0o700
            })
            && stat.st_uid == rustix::process::geteuid().as_raw()
        {
            allow_owner(to)?;
            let record = record_of(&folder.to_bytes());
            self.unfinished.insert((tree.target.clone(), record));
            if !self.engine.options.preserve {
                self.record(&tree.target, record);
            }
        }
        let to = self.target.open(&tree.target, folder)?;
        if self.swept.insert(place::id(&stat)) {
            let mut records = Vec::new();
            let to = openat(to, c".", SEARCH, Mode::empty())?;
            // One that may not be listed may still be written to.
            let _ = staging::sweep(to.as_fd(), &mut |record| {
                self.record(&tree.target, record);
                records.push((tree.target.clone(), record));
            });
            self.unfinished.extend(records);
        }
        Ok(())
    }

    /// Whether a run that was killed has made a directory, and not finished it.
    fn is_unfinished(&mut self, tree: &Tree, folder: &DirPath) -> bool {
        let record = record_of(&folder.to_bytes());
        self.unfinished.remove(&(tree.target.clone(), record))
    }

    /// Notes, for the case that this run is killed, that a directory is not as it should be.
    fn record(&mut self, root: &End, record: u64) {
        if !self.found.records.contains_key(root)
            && let Ok(folder) = self.target.open(root, &DirPath::default())
            && let Ok(staging) = Staging::create(folder)
        {
            self.found.records.insert(root.clone(), staging);
        }
        if let Some(staging) = self.found.records.get(root) {
            staging.record(record);
        }
    }

    fn add(&mut self, parcel: Parcel) {
        if self.engine.options.dry_run {
            self.only_count(&parcel);
        } else {
            self.engine.add(parcel);
        }
    }

    /// What a dry run does with a parcel.
    fn only_count(&mut self, parcel: &Parcel) {
        let from = self.source.open(&parcel.tree.source, &parcel.folder);
        let to = self.target.open(&parcel.tree.target, &parcel.target_folder);
        for (at, (_, name)) in parcel.names().enumerate() {
            let seen = from.and_then(|from| {
                let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                    accessat(from, name, Access::READ_OK, AtFlags::EACCESS)?;
                }
                Ok(stat)
            });
            let renamed = parcel.renamed.clone().and_then(|name| CString::new(name).ok());
            let new_name = renamed.as_deref().unwrap_or(name);
            let there = to.and_then(|to| statat(to, new_name, AtFlags::SYMLINK_NOFOLLOW)).ok();
            let on_exists = self.engine.options.on_exists;
            let kind = |stat: &Stat| FileType::from_raw_mode(stat.st_mode);
            let reason = match (seen, there) {
                (Err(errno), _) => Some(format!("it cannot be read: {}", place::describe(errno))),
                (Ok(stat), Some(there)) if place::id(&stat) == place::id(&there) => {
                    Some("it and its target are the same file".into())
                }
                (Ok(_), Some(_)) if on_exists == OnExists::Fail => Some(EXISTS.into()),
                (Ok(_), Some(there))
                    if on_exists == OnExists::Overwrite && kind(&there) == FileType::Directory =>
                {
                    Some(FOLDER_THERE.into())
                }
                _ => None,
            };
            let Ok(stat) =
                seen.map_err(drop).and_then(|stat| reason.is_none().then_some(stat).ok_or(()))
            else {
                let path = path(&parcel.source_path(at));
                self.engine.failed(path, reason.unwrap_or_default());
                continue;
            };
            let is_skipped = there.is_some() && on_exists == OnExists::Skip;
            let is_link = !is_skipped && stat.st_nlink > 1 && !self.linked.insert(place::id(&stat));
            self.engine.count(|summary, progress| {
                progress.files_found += 1;
                progress.files += 1;
                if is_skipped {
                    summary.skipped += 1;
                } else if is_link {
                    summary.links += 1;
                } else if kind(&stat) == FileType::RegularFile {
                    summary.files += 1;
                    summary.bytes += stat.st_size.cast_unsigned();
                } else {
                    summary.others += 1;
                }
            });
        }
    }
}

impl Visit {
    /// The root of a source, and what it becomes below the target.
    fn root(target_folder: DirPath, above: Ground) -> Self {
        Self { folder: DirPath::default(), target_folder, above, base: DirPath::default() }
    }

    /// A directory in this one.
    fn inner(&self, name: &[u8], ground: Ground, base: &DirPath) -> Self {
        let folder = self.folder.join(name);
        // Mostly the same path below both.
        let is_same = self.folder.is_shared_with(&self.target_folder);
        let target_folder = if is_same { folder.clone() } else { self.target_folder.join(name) };
        Self { folder, target_folder, above: ground, base: base.clone() }
    }

    /// Some of its files.
    fn parcel(&self, tree: &Arc<Tree>, ground: Ground, base: &DirPath, names: Vec<u8>) -> Parcel {
        Parcel {
            id: 0,
            tree: tree.clone(),
            folder: self.folder.clone(),
            target_folder: self.target_folder.clone(),
            ground,
            base: base.clone(),
            names,
            renamed: None,
            take_linked: false,
            further: Vec::new(),
            inode: (0, 0),
        }
    }
}

/// Lets the owner, whom the umask has withheld it from, use a directory just made.
fn allow_owner(folder: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(fstat(folder)?.st_mode & 0o7777) | Mode::RWXU;
    chmodat(CWD, place::path_of(folder), mode, AtFlags::empty())
}
