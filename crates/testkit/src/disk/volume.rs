//! A file system in memory that knows what has been synced.
//!
//! Everything is there twice: as running programs see it, and as it is on stable storage. Between
//! the two lie the changes nobody has synced, in the order in which they were made. A cut
//! ([`super::survival`]) takes what is on stable storage and any of those changes.
//!
//! POSIX: `fsync` and `fdatasync` of a file make its bytes and its size durable, not its name;
//! `fsync` of a directory makes names made, changed and removed in it durable, not their bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::content::Content;
use super::faults::{Fault, Faults};
use crate::corpus::Chance;

pub(super) type Ino = u64;
pub(super) const ROOT: Ino = 1;

/// Names of every directory.
pub(super) type Names = BTreeMap<Ino, BTreeMap<OsString, Ino>>;

/// What a change of a file's bytes was.
#[derive(Clone)]
pub(super) enum Change {
    Write(u64, Arc<[u8]>),
    Resize(u64),
}

impl Change {
    pub(super) fn apply(&self, content: &mut Content) {
        match self {
            Self::Write(offset, bytes) => content.write(*offset, bytes),
            Self::Resize(size) => content.resize(*size),
        }
    }
}

/// What a change of names was. A rename is done wholly or not at all.
#[derive(Clone)]
pub(super) enum Naming {
    Add(Ino, OsString, Ino),
    Remove(Ino, OsString),
    Move(Ino, OsString, Ino, OsString),
}

impl Naming {
    /// Changes names; does nothing where what it begins with is not there.
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(dir, name, ino) => {
                if let Some(names) = names.get_mut(dir) {
                    names.insert(name.clone(), *ino);
                }
            }
            Self::Remove(dir, name) => {
                if let Some(names) = names.get_mut(dir) {
                    names.remove(name);
                }
            }
            Self::Move(dir, name, to, new) => {
                if names.contains_key(to)
                    && let Some(ino) = names.get_mut(dir).and_then(|names| names.remove(name))
                    && let Some(names) = names.get_mut(to)
                {
                    names.insert(new.clone(), ino);
                }
            }
        }
    }

    fn dirs(&self) -> [Ino; 2] {
        match self {
            Self::Add(dir, ..) | Self::Remove(dir, _) => [*dir, *dir],
            Self::Move(dir, _, to, _) => [*dir, *to],
        }
    }

    fn mentions(&self, ino: Ino) -> bool {
        matches!(self, Self::Add(_, _, added) if *added == ino)
    }
}

/// What an inode is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Directory,
    Socket,
}

#[derive(Clone)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) modified: SystemTime,
    /// As programs see it, and as it is on stable storage.
    pub(super) live: Content,
    pub(super) durable: Content,
    /// Not synced, with when each was made.
    pub(super) pending: Vec<(u64, Change)>,
    /// Descriptors, and times the kernel looked it up.
    open: u64,
    known: u64,
}

impl Inode {
    fn new(kind: Kind, mode: u16) -> Self {
        Self {
            kind,
            mode,
            modified: SystemTime::now(),
            live: Content::default(),
            durable: Content::default(),
            pending: Vec::new(),
            open: 0,
            known: 0,
        }
    }
}

/// The file system.
pub(super) struct Volume {
    pub(super) inodes: BTreeMap<Ino, Inode>,
    pub(super) live: Names,
    pub(super) durable: Names,
    pub(super) pending: Vec<(u64, Naming)>,
    /// How many changes there have been.
    pub(super) changes: u64,
    next: Ino,
    listings: HashMap<u64, Vec<(OsString, Ino, Kind)>>,
    pub(super) faults: Faults,
}

/// Changes of one volume.
type Done = Result<(), Fault>;

impl Volume {
    /// An empty one.
    pub(super) fn new() -> Self {
        let names = Names::from([(ROOT, BTreeMap::new())]);
        Self::of(
            BTreeMap::from([(ROOT, Inode::new(Kind::Directory, 0o755))]),
            names,
        )
    }

    /// One on which all of this is on stable storage.
    pub(super) fn of(inodes: BTreeMap<Ino, Inode>, names: Names) -> Self {
        let next = inodes.keys().next_back().map_or(ROOT, |last| *last) + 1;
        Self {
            inodes,
            live: names.clone(),
            durable: names,
            pending: Vec::new(),
            changes: 0,
            next,
            listings: HashMap::new(),
            faults: Faults::default(),
        }
    }

    /// A copy of one that nobody has used yet.
    pub(super) fn pristine(&self) -> Self {
        Self::of(self.inodes.clone(), self.durable.clone())
    }

    /// An inode as a disk that was cut has it.
    pub(super) fn settled(old: &Inode, content: Content) -> Inode {
        Inode {
            live: content.clone(),
            durable: content,
            modified: old.modified,
            ..Inode::new(old.kind, old.mode)
        }
    }

    pub(super) fn inode(&self, ino: Ino) -> Result<&Inode, Fault> {
        self.inodes.get(&ino).ok_or(Fault::NotFound)
    }

    fn inode_mut(&mut self, ino: Ino) -> Result<&mut Inode, Fault> {
        self.inodes.get_mut(&ino).ok_or(Fault::NotFound)
    }

    fn tick(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(super) fn find(&self, dir: Ino, name: &OsStr) -> Result<Ino, Fault> {
        let names = self.live.get(&dir).ok_or(Fault::NotDirectory)?;
        names.get(name).copied().ok_or(Fault::NotFound)
    }

    /// The kernel has been told of it.
    pub(super) fn know(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.known += 1;
        }
    }

    pub(super) fn forget(&mut self, ino: Ino, times: u64) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.known = inode.known.saturating_sub(times);
        }
        self.tidy(ino);
    }

    pub(super) fn open(&mut self, ino: Ino) -> Done {
        self.inode_mut(ino)?.open += 1;
        Ok(())
    }

    pub(super) fn close(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.open = inode.open.saturating_sub(1);
        }
        self.tidy(ino);
    }

    /// Lets go of what nobody can reach any more.
    fn tidy(&mut self, ino: Ino) {
        let named = |names: &Names| {
            names
                .values()
                .any(|names| names.values().any(|n| *n == ino))
        };
        let idle = self
            .inodes
            .get(&ino)
            .is_some_and(|inode| inode.open == 0 && inode.known == 0);
        if idle
            && ino != ROOT
            && !named(&self.live)
            && !named(&self.durable)
            && !self.pending.iter().any(|(_, naming)| naming.mentions(ino))
        {
            self.inodes.remove(&ino);
            self.live.remove(&ino);
            self.durable.remove(&ino);
        }
    }

    fn rename_names(&mut self, naming: Naming) {
        naming.apply(&mut self.live);
        let when = self.tick();
        self.pending.push((when, naming));
    }

    pub(super) fn add(
        &mut self,
        dir: Ino,
        name: &OsStr,
        kind: Kind,
        mode: u16,
    ) -> Result<Ino, Fault> {
        self.faults.naming()?;
        match self.find(dir, name) {
            Ok(_) => return Err(Fault::Exists),
            Err(Fault::NotFound) => {}
            Err(fault) => return Err(fault),
        }
        let ino = self.next;
        self.next += 1;
        self.inodes.insert(ino, Inode::new(kind, mode));
        if kind == Kind::Directory {
            self.live.insert(ino, BTreeMap::new());
            self.durable.insert(ino, BTreeMap::new());
        }
        self.rename_names(Naming::Add(dir, name.to_owned(), ino));
        Ok(ino)
    }

    pub(super) fn remove(&mut self, dir: Ino, name: &OsStr) -> Done {
        self.faults.naming()?;
        let ino = self.find(dir, name)?;
        if self.live.get(&ino).is_some_and(|names| !names.is_empty()) {
            return Err(Fault::NotEmpty);
        }
        self.rename_names(Naming::Remove(dir, name.to_owned()));
        self.tidy(ino);
        Ok(())
    }

    pub(super) fn rename(&mut self, dir: Ino, name: &OsStr, to: Ino, new: &OsStr) -> Done {
        self.faults.naming()?;
        self.find(dir, name)?;
        let over = self.find(to, new).ok();
        if let Some(over) = over
            && self.live.get(&over).is_some_and(|names| !names.is_empty())
        {
            return Err(Fault::NotEmpty);
        }
        self.rename_names(Naming::Move(dir, name.to_owned(), to, new.to_owned()));
        if let Some(over) = over {
            self.tidy(over);
        }
        Ok(())
    }

    fn change(&mut self, ino: Ino, change: Change) -> Done {
        let when = self.tick();
        let inode = self.inode_mut(ino)?;
        change.apply(&mut inode.live);
        inode.modified = SystemTime::now();
        inode.pending.push((when, change));
        Ok(())
    }

    pub(super) fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8]) -> Done {
        self.faults.writing(self.used(), bytes.len() as u64)?;
        self.change(ino, Change::Write(offset, bytes.into()))
    }

    pub(super) fn resize(&mut self, ino: Ino, size: u64) -> Done {
        self.faults.naming()?;
        self.change(ino, Change::Resize(size))
    }

    /// Blocks asked for ahead of writing.
    pub(super) fn reserve(&mut self, length: u64) -> Done {
        self.faults.writing(self.used(), length)
    }

    pub(super) fn read(&self, ino: Ino, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        self.faults.reading()?;
        Ok(self.inode(ino)?.live.read(offset, length))
    }

    /// `fsync` and `fdatasync` of a file.
    pub(super) fn sync(&mut self, ino: Ino) -> Done {
        let fault = self.faults.syncing();
        let inode = self.inode_mut(ino)?;
        let pending = std::mem::take(&mut inode.pending);
        // As the kernel does it: what could not be written is given up, and no later sync will
        // write it although programs still see it.
        fault?;
        for (_, change) in pending {
            change.apply(&mut inode.durable);
        }
        Ok(())
    }

    /// `fsync` of a directory. What was done before in a directory that a name came from is
    /// durable, too: nothing could come from nowhere.
    pub(super) fn sync_dir(&mut self, dir: Ino) -> Done {
        self.faults.syncing()?;
        let mut dirs = BTreeSet::from([dir]);
        let mut synced = vec![false; self.pending.len()];
        for (at, (_, naming)) in self.pending.iter().enumerate().rev() {
            if naming.dirs().iter().any(|dir| dirs.contains(dir)) {
                dirs.extend(naming.dirs());
                synced[at] = true;
            }
        }
        let mut at = 0;
        let durable = &mut self.durable;
        self.pending.retain(|(_, naming)| {
            if synced[at] {
                naming.apply(durable);
            }
            at += 1;
            !synced[at - 1]
        });
        let all: Vec<Ino> = self.inodes.keys().copied().collect();
        for ino in all {
            self.tidy(ino);
        }
        Ok(())
    }

    /// Begins to list a directory; the number names the listing.
    pub(super) fn list(&mut self, dir: Ino) -> Result<u64, Fault> {
        let names = self.live.get(&dir).ok_or(Fault::NotDirectory)?;
        let kind = |ino: &Ino| self.inodes.get(ino).map_or(Kind::File, |inode| inode.kind);
        let rows = names
            .iter()
            .map(|(name, ino)| (name.clone(), *ino, kind(ino)));
        let rows = rows.collect();
        self.changes += 1;
        self.listings.insert(self.changes, rows);
        Ok(self.changes)
    }

    pub(super) fn listing(&self, number: u64) -> &[(OsString, Ino, Kind)] {
        self.listings.get(&number).map_or(&[], Vec::as_slice)
    }

    pub(super) fn end_listing(&mut self, number: u64) {
        self.listings.remove(&number);
    }

    /// Octets that take space.
    pub(super) fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.live.space()).sum()
    }

    /// Sets mode bits.
    pub(super) fn set_mode(&mut self, ino: Ino, mode: u16) -> Done {
        self.inode_mut(ino)?.mode = mode;
        Ok(())
    }

    /// Writes all files below `to`, for whoever looks for a cause.
    pub(super) fn dump(&self, to: &Path) -> std::io::Result<()> {
        self.dump_dir(ROOT, to)
    }

    fn dump_dir(&self, dir: Ino, to: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(to)?;
        for (name, ino) in self.live.get(&dir).into_iter().flatten() {
            let Some(inode) = self.inodes.get(ino) else {
                continue;
            };
            let path = to.join(name);
            match inode.kind {
                Kind::Directory => self.dump_dir(*ino, &path)?,
                Kind::File => {
                    let size = usize::try_from(inode.live.size()).unwrap_or(usize::MAX);
                    std::fs::write(path, inode.live.read(0, size))?;
                }
                Kind::Socket => {}
            }
        }
        Ok(())
    }

    /// Bytes that lay somewhere on this disk.
    pub(super) fn stale(&self, chance: &mut Chance, length: usize) -> Vec<u8> {
        let files: Vec<&Inode> = self.inodes.values().filter(|i| i.live.size() > 0).collect();
        if files.is_empty() {
            return vec![0; length];
        }
        let file = files[chance.below(files.len() as u64) as usize];
        let sectors = file.live.size().div_ceil(512);
        let mut bytes = file.live.read(chance.below(sectors) * 512, length);
        bytes.resize(length, 0);
        bytes
    }
}
