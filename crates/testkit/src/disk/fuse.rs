//! The kernel's side of [`super::volume`]: every write reaches it at once (no write-back cache).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::faults::{Fault, Faults};
use super::survival::Survival;
use super::volume::{Ino, Inode, Kind, Volume};
use crate::corpus::Chance;

/// How long the kernel may believe what it was told: nobody else changes this disk.
const TTL: Duration = Duration::from_secs(3600);
/// What `statfs` tells of a disk without a limit.
const SPACE: u64 = 1 << 36;
const BLOCK: u32 = 4096;

/// A mounted disk that loses what was not synced when it is cut.
pub struct FuseDisk {
    volume: Arc<Mutex<Volume>>,
    /// As it was before anybody changed it.
    pristine: Volume,
    session: Option<BackgroundSession>,
    dir: PathBuf,
}

impl FuseDisk {
    /// Mounts an empty one on a directory.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn new(dir: &Path) -> io::Result<Self> {
        Self::mount(Volume::new(), dir)
    }

    fn mount(volume: Volume, dir: &Path) -> io::Result<Self> {
        let pristine = volume.pristine();
        let volume = Arc::new(Mutex::new(volume));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("gatepost-cut".to_owned()),
            MountOption::NoAtime,
        ];
        config.n_threads = Some(2);
        std::fs::create_dir_all(dir)?;
        let session = fuser::spawn_mount(Door(volume.clone()), dir, &config)?;
        Ok(Self {
            volume,
            pristine,
            session: Some(session),
            dir: dir.to_owned(),
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The power goes, at this moment: another disk, mounted on `dir`, with what is left. This one
    /// goes on as if nothing had happened. The text says how this cut treated the disk.
    ///
    /// # Errors
    /// When the other one cannot be mounted.
    pub fn cut(&self, dir: &Path, chance: &mut Chance) -> io::Result<(Self, String)> {
        let (left, how) = {
            let volume = lock(&self.volume);
            let survival = Survival::choose(&volume, chance);
            (survival.cut(&volume, chance), format!("{survival:?}"))
        };
        Ok((Self::mount(left, dir)?, how))
    }

    /// The same, with nothing left but what was synced.
    ///
    /// # Errors
    /// When the other one cannot be mounted.
    pub fn strict_cut(&self, dir: &Path) -> io::Result<Self> {
        let left = Survival::STRICT.cut(&lock(&self.volume), &mut Chance::new(0));
        Self::mount(left, dir)
    }

    /// From now on these calls fail.
    pub fn set_faults(&self, faults: Faults) {
        let files = {
            let mut volume = lock(&self.volume);
            volume.faults = faults;
            volume.inodes.keys().copied().collect::<Vec<_>>()
        };
        if let Some(session) = &self.session
            && faults.read.is_some()
        {
            // What the kernel has read before it must ask for again.
            let notifier = session.notifier();
            for ino in files {
                let _ = notifier.inval_inode(INodeNo(ino), 0, 0);
            }
        }
    }

    /// Octets that take space.
    #[must_use]
    pub fn used(&self) -> u64 {
        lock(&self.volume).used()
    }

    /// Copies all files, as the cut left them, to an ordinary directory.
    ///
    /// # Errors
    /// What the other disk says.
    pub fn dump(&self, to: &Path) -> io::Result<()> {
        self.pristine.dump(to)
    }
}

impl Drop for FuseDisk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            super::mounts::unmount(&self.dir);
            // The threads end once nothing is mounted; an error says only that.
            let _ = session.umount_and_join();
        }
        let _ = std::fs::remove_dir(&self.dir);
    }
}

fn lock(volume: &Mutex<Volume>) -> MutexGuard<'_, Volume> {
    volume.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Fault> for Errno {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotFound => Self::ENOENT,
            Fault::Exists => Self::EEXIST,
            Fault::NotDirectory => Self::ENOTDIR,
            Fault::NotEmpty => Self::ENOTEMPTY,
            Fault::Broken => Self::EIO,
            Fault::Full => Self::ENOSPC,
            Fault::ReadOnly => Self::EROFS,
        }
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Socket => FileType::Socket,
    }
}

fn attributes(ino: Ino, inode: &Inode) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: inode.live.size(),
        blocks: inode.live.space() / 512,
        atime: inode.modified,
        mtime: inode.modified,
        ctime: inode.modified,
        crtime: UNIX_EPOCH,
        kind: file_type(inode.kind),
        perm: inode.mode,
        nlink: if inode.kind == Kind::Directory { 2 } else { 1 },
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// What the kernel talks to.
struct Door(Arc<Mutex<Volume>>);

impl Door {
    fn volume(&self) -> MutexGuard<'_, Volume> {
        lock(&self.0)
    }

    /// Makes something and tells the kernel of it.
    fn make(&self, dir: INodeNo, name: &OsStr, kind: Kind, mode: u32) -> Result<FileAttr, Fault> {
        let mut volume = self.volume();
        let ino = volume.add(dir.0, name, kind, (mode & 0o7777) as u16)?;
        volume.know(ino);
        Ok(attributes(ino, volume.inode(ino)?))
    }
}

fn done(result: Result<(), Fault>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(fault) => reply.error(fault.into()),
    }
}

fn entry(result: Result<FileAttr, Fault>, reply: ReplyEntry) {
    match result {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(fault) => reply.error(fault.into()),
    }
}

impl Filesystem for Door {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // A write of a mebibyte in one piece, if the kernel will.
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut volume = self.volume();
        let found = volume.find(parent.0, name).and_then(|ino| {
            volume.know(ino);
            Ok(attributes(ino, volume.inode(ino)?))
        });
        drop(volume);
        entry(found, reply);
    }

    fn forget(&self, _: &Request, ino: INodeNo, nlookup: u64) {
        self.volume().forget(ino.0, nlookup);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.volume().inode(ino.0) {
            Ok(inode) => reply.attr(&TTL, &attributes(ino.0, inode)),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut volume = self.volume();
        let set = size.map_or(Ok(()), |size| volume.resize(ino.0, size));
        let set = set.and_then(|()| match mode {
            Some(mode) => volume.set_mode(ino.0, (mode & 0o7777) as u16),
            None => Ok(()),
        });
        let set = set.and_then(|()| Ok(attributes(ino.0, volume.inode(ino.0)?)));
        match set {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        const KIND: u32 = 0o170_000;
        let kind = match mode & KIND {
            0o140_000 => Kind::Socket,
            _ => Kind::File,
        };
        entry(self.make(parent, name, kind, mode), reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        entry(self.make(parent, name, Kind::Directory, mode), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.volume().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.volume().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let renamed = self.volume().rename(parent.0, name, newparent.0, newname);
        done(renamed, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.volume().open(ino.0) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(parent, name, Kind::File, mode);
        let made = made.and_then(|attributes| {
            self.volume().open(attributes.ino.0)?;
            Ok(attributes)
        });
        match made {
            Ok(attributes) => reply.created(
                &TTL,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_KEEP_CACHE,
            ),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.volume().read(ino.0, offset, size as usize);
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.volume().write(ino.0, offset, data);
        match written {
            Ok(()) => reply.written(data.len() as u32),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.volume().close(ino.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.volume().sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.volume().sync_dir(ino.0), reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.volume().list(ino.0) {
            Ok(listing) => reply.opened(FileHandle(listing), FopenFlags::empty()),
            Err(fault) => reply.error(fault.into()),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let volume = self.volume();
        let dots = [(".", ino.0), ("..", ino.0)]
            .map(|(name, ino)| (OsStr::new(name), ino, FileType::Directory));
        let rows = volume.listing(fh.0).iter();
        let rows = rows.map(|(name, ino, kind)| (name.as_os_str(), *ino, file_type(*kind)));
        let rows = dots.into_iter().chain(rows).zip(1..).skip(offset as usize);
        for ((name, ino, kind), next) in rows {
            if reply.add(INodeNo(ino), next, kind, name) {
                break;
            }
        }
        drop(volume);
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.volume().end_listing(fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let volume = self.volume();
        let space = volume.faults.space.unwrap_or(SPACE);
        let blocks = |bytes: u64| bytes / u64::from(BLOCK);
        let free = blocks(space.saturating_sub(volume.used()));
        drop(volume);
        reply.statfs(
            blocks(space),
            free,
            free,
            1 << 20,
            1 << 20,
            BLOCK,
            255,
            BLOCK,
        );
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const KEEP_SIZE: i32 = 1;
        let mut volume = self.volume();
        let reserved = volume.reserve(length).and_then(|()| {
            let size = volume.inode(ino.0)?.live.size();
            match offset + length {
                end if mode & KEEP_SIZE == 0 && end > size => volume.resize(ino.0, end),
                _ => Ok(()),
            }
        });
        drop(volume);
        done(reserved, reply);
    }
}
