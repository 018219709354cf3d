//! Finds what is to be copied: lists folders, makes them in the target, and cuts what is in them into parcels.
//!
//! A listing tells the kind of each entry, so no file is looked at here: the worker has to look at it anyway.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, mkdirat, openat, statat,
};
use rustix::io::Errno;

use super::engine::Engine;
use super::links::LateFolder;
use super::parcel::{Ground, NAMES, Parcel};
use super::place::{self, Place, join, parent};
use super::{CopyError, OnExists};

/// One source, and where it is to be.
pub(super) struct Root {
    /// A folder: it, and what it becomes. Anything else: the folders both are in.
    pub(super) source: Vec<u8>,
    pub(super) target: Vec<u8>,
    /// The source's name and its new one, if it is no folder.
    file: Option<(Vec<u8>, Vec<u8>)>,
}

impl Root {
    /// A descriptor on the file system it is copied to, once it is there.
    pub(super) fn disk(&self) -> Option<OwnedFd> {
        openat(CWD, &self.target[..], OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
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
    let mut roots: Vec<Root> = Vec::new();
    let mut targets = Vec::new();
    for source in sources {
        let metadata = fs::symlink_metadata(source);
        let metadata = metadata.map_err(|error| CopyError::Source(source.clone(), error))?;
        let target_is_folder = there.as_ref().is_some_and(fs::Metadata::is_dir);
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
        if targets.contains(&becomes) {
            return Err(CopyError::SameName(becomes));
        }
        let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
        let now =
            if metadata.is_dir() { fs::metadata(&becomes) } else { fs::symlink_metadata(&becomes) };
        if now.is_ok_and(|now| id(&now) == id(&metadata)) {
            return Err(CopyError::SameFile(source.clone()));
        }
        if metadata.is_dir() {
            // Every folder that the target is in, as it really is, whatever names lead there.
            let deepest =
                [&becomes, target, above].into_iter().find_map(|path| fs::canonicalize(path).ok());
            let mut above = deepest.iter().flat_map(|path| path.ancestors());
            if above
                .any(|folder| fs::metadata(folder).is_ok_and(|folder| id(&folder) == id(&metadata)))
            {
                return Err(CopyError::Inside(source.clone()));
            }
            roots.push(Root { source: bytes(source), target: bytes(&becomes), file: None });
        } else {
            let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec());
            let (Some(old), Some(new)) = (name(source), name(&becomes)) else {
                return Err(CopyError::NoName(source.clone()));
            };
            let (source, target) = (bytes(folder_of(source)), bytes(folder_of(&becomes)));
            roots.push(Root { source, target, file: Some((old, new)) });
        }
        targets.push(becomes);
    }
    Ok(roots)
}

/// The sum of the sizes of a parcel's files.
pub(super) fn bytes_of(place: &mut Place, parcel: &Parcel) -> u64 {
    let Ok(folder) = place.open(&parcel.source, &parcel.folder) else { return 0 };
    let size = |(kind, name): (u8, &CStr)| match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if kind == b'f' => stat.st_size.cast_unsigned(),
        _ => 0,
    };
    parcel.names().map(size).sum()
}

/// What the walker has found besides parcels.
#[derive(Default)]
pub(super) struct Found {
    /// Folders to be finished at the end, those above first.
    pub(super) folders: Vec<LateFolder>,
    /// A descriptor on each file system that something is copied to.
    pub(super) disks: Vec<OwnedFd>,
}

pub(super) struct Walker<'a> {
    engine: &'a Engine<'a>,
    roots: &'a [Root],
    source: Place,
    target: Place,
    found: Found,
    /// Devices of `found.disks`.
    devices: Vec<u64>,
    /// The targets, by device and inode: none of them is a source, by whatever name we come to it.
    targets: Vec<(u64, u64)>,
}

/// A folder to be visited, and how the one above stands in the target.
struct Visit {
    folder: Vec<u8>,
    above: Ground,
}

impl<'a> Walker<'a> {
    pub(super) fn new(engine: &'a Engine<'a>, roots: &'a [Root]) -> Self {
        let (source, target) = (Place::default(), Place::default());
        let (devices, targets) = (Vec::new(), Vec::new());
        Self { engine, roots, source, target, found: Found::default(), devices, targets }
    }

    /// Finds everything.
    pub(super) fn walk(mut self) -> Found {
        for root in self.roots {
            match &root.file {
                Some((name, new_name)) => self.file(root, name, new_name),
                None => self.tree(root),
            }
        }
        self.found
    }

    fn failed(&self, root: &Root, folder: &[u8], what: &str, errno: Errno) {
        let reason = format!("{what}: {}", io::Error::from(errno));
        if matches!(errno, Errno::NOSPC | Errno::DQUOT) {
            self.engine.is_full();
        }
        self.engine.failed(path(&join(&root.source, folder)), reason);
    }

    fn file(&mut self, root: &Root, name: &[u8], new_name: &[u8]) {
        // Where it is several names of one source, more than one source or the target are folders that are there, or are made here.
        if let Err(errno) = self.make_root(root, Mode::from_raw_mode(0o777)) {
            return self.failed(root, name, "its new folder cannot be made", errno);
        }
        let mut names = vec![b'o'];
        names.extend_from_slice(name);
        names.push(0);
        let parcel = Parcel {
            renamed: (name != new_name).then(|| new_name.to_vec()),
            ..self.parcel(root, &[], Ground::Used, names)
        };
        self.add(parcel);
    }

    fn tree(&mut self, root: &Root) {
        let mut visits = vec![Visit { folder: Vec::new(), above: Ground::Used }];
        while let Some(visit) = visits.pop() {
            if self.engine.is_stopped() {
                return;
            }
            let first = visits.len();
            self.visit(root, &visit, &mut visits);
            visits[first..].reverse();
        }
    }

    fn visit(&mut self, root: &Root, visit: &Visit, visits: &mut Vec<Visit>) {
        let folder = &visit.folder[..];
        let opened =
            self.source.open(&root.source, folder).and_then(|from| place::open_to_read(from, c"."));
        let listed = opened.and_then(|listed| fstat(&listed).map(|stat| (listed, stat)));
        let (listed, stat) = match listed {
            Ok(listed) => listed,
            Err(errno) => return self.failed(root, folder, "it cannot be listed", errno),
        };
        if self.targets.contains(&(stat.st_dev, stat.st_ino)) {
            let path = path(&join(&root.source, folder));
            return self
                .engine
                .failed(path, "it is the target itself, and is not copied into itself".into());
        }
        let mut ground = None;
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
                inner.push(join(folder, name.to_bytes()));
                continue;
            }
            if count == NAMES {
                if ground.is_none() {
                    let Some(made) = self.make(root, folder, &stat) else { return };
                    ground = Some(made);
                }
                let names = std::mem::take(&mut names);
                self.add(self.parcel(root, folder, ground.unwrap_or(Ground::Used), names));
                count = 0;
            }
            names.push(if kind == FileType::RegularFile { b'f' } else { b'o' });
            names.extend_from_slice(name.to_bytes_with_nul());
            count += 1;
        }
        if ground.is_none()
            && inner.is_empty()
            && count > 0
            && self.may_be_unmade(root, visit, &stat)
        {
            ground = Some(Ground::Unmade);
        } else if ground.is_none() {
            let Some(made) = self.make(root, folder, &stat) else { return };
            ground = Some(made);
        }
        let ground = ground.unwrap_or(Ground::Used);
        if count > 0 {
            self.add(self.parcel(root, folder, ground, names));
        }
        visits.extend(inner.into_iter().map(|folder| Visit { folder, above: ground }));
    }

    fn parcel(&self, root: &Root, folder: &[u8], ground: Ground, names: Vec<u8>) -> Parcel {
        let (source, target) = (root.source.clone(), root.target.clone());
        let (folder, renamed) = (folder.to_vec(), None);
        Parcel { id: 0, source, target, folder, ground, names, renamed, take_linked: false }
    }

    /// Whether a folder can be left to the worker that fills it: if it is not there, and nothing has to be done to it later.
    fn may_be_unmade(&mut self, root: &Root, visit: &Visit, stat: &Stat) -> bool {
        let options = self.engine.options;
        let (above, name) = parent(&visit.folder);
        if name.is_empty() || options.preserve || options.dry_run || stat.st_mode & 0o700 != 0o700 {
            return false;
        }
        visit.above == Ground::Fresh
            || self.target.open(&root.target, above).is_ok_and(|above| {
                statat(above, name, AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT)
            })
    }

    /// Makes a folder in the target, or looks at the one that is there. `None`: it cannot be used, and that was said.
    fn make(&mut self, root: &Root, folder: &[u8], stat: &Stat) -> Option<Ground> {
        match self.try_make(root, folder, stat) {
            Ok(ground) => {
                let lacks = stat.st_mode & 0o700 != 0o700;
                if self.engine.options.preserve || (lacks && ground == Ground::Fresh) {
                    let (source, target) = (root.source.clone(), root.target.clone());
                    let late = LateFolder { source, target, folder: folder.to_vec() };
                    self.found.folders.push(late);
                }
                Some(ground)
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let path = path(&join(&root.source, folder));
                self.engine.failed(path, "what is in its place is no folder".into());
                None
            }
            Err(errno) => {
                self.failed(root, folder, "its new folder cannot be made", errno);
                None
            }
        }
    }

    fn try_make(&mut self, root: &Root, folder: &[u8], stat: &Stat) -> rustix::io::Result<Ground> {
        // Writable for us as long as we put something into it.
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RWXU;
        let (above, name) = parent(folder);
        if name.is_empty() {
            let ground = self.make_root(root, mode)?;
            if !self.engine.options.dry_run {
                let to = fstat(self.target.open(&root.target, &[])?)?;
                self.targets.push((to.st_dev, to.st_ino));
            }
            return Ok(ground);
        }
        if self.engine.options.dry_run {
            let there = self.target.open(&root.target, folder).is_ok();
            self.engine.count(|summary, _| summary.folders += u64::from(!there));
            return Ok(if there { Ground::Used } else { Ground::Fresh });
        }
        match mkdirat(self.target.open(&root.target, above)?, name, mode) {
            Ok(()) => {
                self.engine.count(|summary, _| summary.folders += 1);
                return Ok(Ground::Fresh);
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        self.use_old(root, folder, Some(stat))?;
        Ok(Ground::Used)
    }

    fn make_root(&mut self, root: &Root, mode: Mode) -> rustix::io::Result<Ground> {
        let target = &root.target[..];
        if self.engine.options.dry_run {
            let there = statat(CWD, target, AtFlags::empty()).is_ok();
            self.engine.count(|summary, _| summary.folders += u64::from(!there));
            return Ok(if there { Ground::Used } else { Ground::Fresh });
        }
        let mut made = mkdirat(CWD, target, mode);
        if made == Err(Errno::NOENT) {
            // Several sources into a folder that is not there yet.
            mkdirat(CWD, bytes(folder_of(&path(target))), Mode::from_raw_mode(0o777))?;
            self.engine.count(|summary, _| summary.folders += 1);
            made = mkdirat(CWD, target, mode);
        }
        match made {
            Ok(()) => self.engine.count(|summary, _| summary.folders += 1),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        self.use_old(root, &[], None)?;
        Ok(if made.is_ok() { Ground::Fresh } else { Ground::Used })
    }

    /// Looks at a folder that is there: whose it is, on what disk, and what was left in it.
    fn use_old(
        &mut self,
        root: &Root,
        folder: &[u8],
        source: Option<&Stat>,
    ) -> rustix::io::Result<()> {
        let to = self.target.open(&root.target, folder)?;
        let stat = fstat(to)?;
        if source.is_some_and(|source| (source.st_dev, source.st_ino) == (stat.st_dev, stat.st_ino))
        {
            return Err(Errno::EXIST);
        }
        if !self.devices.contains(&stat.st_dev) {
            self.devices.push(stat.st_dev);
            self.found.disks.push(openat(
                to,
                c".",
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?);
        }
        // One that may not be listed may still be written to.
        let _ = place::sweep(to, None);
        Ok(())
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
        let from = self.source.open(&parcel.source, &parcel.folder);
        let to = self.target.open(&parcel.target, &parcel.folder);
        for (at, (_, name)) in parcel.names().enumerate() {
            let path = path(&join(&parcel.source, &join(&parcel.folder, name.to_bytes())));
            let stat = match from.and_then(|from| statat(from, name, AtFlags::SYMLINK_NOFOLLOW)) {
                Ok(stat) => stat,
                Err(errno) => {
                    let reason = format!("it cannot be read: {}", io::Error::from(errno));
                    self.engine.failed(path, reason);
                    continue;
                }
            };
            let new_name = parcel.renamed.clone().unwrap_or_else(|| parcel.name(at));
            let new_name = CString::new(new_name).unwrap_or_default();
            let is_there =
                to.is_ok_and(|to| statat(to, new_name, AtFlags::SYMLINK_NOFOLLOW).is_ok());
            match self.engine.options.on_exists {
                OnExists::Fail if is_there => {
                    self.engine.failed(path, super::worker::EXISTS.into());
                }
                on_exists => self.engine.count(|summary, progress| {
                    progress.files_found += 1;
                    progress.files += 1;
                    if is_there && on_exists == OnExists::Skip {
                        summary.skipped += 1;
                    } else if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                        summary.files += 1;
                        summary.bytes += stat.st_size.cast_unsigned();
                    } else {
                        summary.others += 1;
                    }
                }),
            }
        }
    }
}
