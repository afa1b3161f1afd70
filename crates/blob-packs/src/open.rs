//! From files to a running store: which packs there are, which one grows, and where it really ends.

use crate::active::{Active, Writer};
use crate::catalog::{Catalog, Sealed, note};
use crate::files::{self, Which};
use crate::format::{FILE_HEADER, FileHeader, HeaderError, Kind, StoreId, VERSION};
use crate::index::{IndexFile, Map, Slot, Summary};
use crate::options::{Options, Progress};
use crate::released::{Location, Released};
use crate::scan::{self, Found};
use crate::store::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use storage::{ErrorKind, StorageError};

type Result<T> = std::result::Result<T, StorageError>;

pub(crate) fn open(
    dir: &Path,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Shared> {
    create(dir).map_err(|error| io_error("create", dir, &error))?;
    let lock = lock(dir)?;
    let listed = files::list(dir).map_err(|error| io_error("list", dir, &error))?;
    let names = |which| {
        let of_kind = listed.iter().filter(move |(_, kind)| *kind == which);
        of_kind
            .map(|(number, _)| *number)
            .collect::<BTreeSet<u32>>()
    };
    let (packs, mut indexes) = (names(Which::Pack), names(Which::Index));
    let store = identity(dir, &packs)?;
    let headers = headers(dir, store, &packs)?;
    let headers = finish_compactions(dir, headers, &mut indexes)?;
    let mut plan = plan(dir, store, &headers, &indexes)?;
    let total = plan.unread.iter().map(|pack| pack.length).sum();
    let mut done = 0;
    let mut active = None;
    for pack in std::mem::take(&mut plan.unread) {
        let length = pack.length;
        let grows = Some(pack.header.number) == plan.active;
        let scanned = scan_pack(dir, store, pack, &mut |at| {
            progress(Progress {
                done: done + at,
                total,
            });
        })?;
        done += length;
        progress(Progress { done, total });
        if grows {
            active = Some(resume(dir, scanned)?);
        } else {
            let sealed = seal(dir, store, scanned);
            let sealed = sealed.map_err(|error| io_error("seal a pack in", dir, &error))?;
            plan.sealed.push(Arc::new(sealed));
        }
    }
    assemble(dir, store, options, plan, active, lock)
}

fn assemble(
    dir: &Path,
    store: StoreId,
    options: Options,
    mut plan: Plan,
    active: Option<Active>,
    lock: File,
) -> Result<Shared> {
    let error = |error: io::Error| io_error("open blob store in", dir, &error);
    plan.sealed.sort_unstable_by_key(|pack| pack.number);
    // Before a number is given again, nothing may speak of the pack that had it.
    let (active_number, tail) = active
        .as_ref()
        .map_or((0, 0), |active| (active.header.number, active.tail));
    let sealed: BTreeSet<u32> = plan.sealed.iter().map(|pack| pack.number).collect();
    let released = Released::open(dir, store, |at: Location| {
        sealed.contains(&at.pack) || (at.pack == active_number && at.offset < tail)
    })
    .map_err(error)?;
    let mut next_number = plan.highest + 1;
    let active = match active {
        Some(active) => active,
        None => {
            next_number += 1;
            Active::create(dir, next_number - 1, store, &options).map_err(error)?
        }
    };
    let catalog = Catalog {
        active: (active.header.number, active.file.clone()),
        sealed: plan.sealed,
    };
    let writer = Writer {
        durable: active.tail,
        active,
        released,
        waiters: Vec::new(),
        log_dirty: false,
        seal: Vec::new(),
        syncing: false,
        tend: false,
        next_number,
        failed: None,
        closed: false,
    };
    Ok(Shared::new(
        dir.into(),
        store,
        options,
        catalog,
        writer,
        lock,
    ))
}

/// Makes the directory, durably.
fn create(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    files::sync_dir(parent.unwrap_or(Path::new(".")))
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| io_error("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::new(
            ErrorKind::InUse,
            format!("blob store {} is used by another process", dir.display()),
        )),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path, &error)),
    }
}

/// Reads the `store` file: one line of text, the format's version and the store's id.
fn identity(dir: &Path, packs: &BTreeSet<u32>) -> Result<StoreId> {
    let path = dir.join("store");
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io_error("read", &path, &error)),
    };
    let mut words = text.split_whitespace();
    let known = words.next() == Some("gatepost-packs");
    let version = words.next().and_then(|word| word.parse::<u32>().ok());
    let id = words.next().and_then(parse_id);
    match (known, version, id) {
        (true, Some(VERSION), Some(id)) => return Ok(id),
        (true, Some(version), _) if version > VERSION => return Err(newer(dir, version)),
        _ => {}
    }
    let from_packs = packs.iter().find_map(|number| {
        let file = File::open(files::path(dir, *number, Which::Pack)).ok()?;
        FileHeader::store_of(&files::read_at(&file, 0, FILE_HEADER as usize).ok()?)
    });
    let id = match from_packs {
        Some(id) => {
            tracing::warn!(dir = %dir.display(), "store file is damaged, restored from a pack");
            id
        }
        None if text.is_empty() && packs.is_empty() => StoreId(random()?),
        None => {
            return Err(StorageError::new(
                ErrorKind::Incompatible,
                format!("{} is not a Gatepost blob store", dir.display()),
            ));
        }
    };
    let hex: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
    files::replace(
        &path,
        &[format!("gatepost-packs {VERSION} {hex}\n").as_bytes()],
        true,
    )
    .and_then(|_| files::sync_dir(dir))
    .map_err(|error| io_error("write", &path, &error))?;
    Ok(id)
}

fn parse_id(word: &str) -> Option<StoreId> {
    if word.len() != 32 || !word.is_ascii() {
        return None;
    }
    let mut id = [0; 16];
    for (i, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(word.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(StoreId(id))
}

fn random() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut id))
        .map_err(|error| io_error("read", Path::new("/dev/urandom"), &error))?;
    Ok(id)
}

/// The file headers of all packs; a damaged one is replaced by what is known without it.
fn headers(dir: &Path, store: StoreId, packs: &BTreeSet<u32>) -> Result<BTreeMap<u32, Pack>> {
    let mut found = BTreeMap::new();
    for number in packs {
        let path = files::path(dir, *number, Which::Pack);
        let error = |error: io::Error| io_error("read", &path, &error);
        let file = File::open(&path).map_err(error)?;
        let length = file.metadata().map_err(error)?.len();
        let bytes = files::read_at(&file, 0, FILE_HEADER as usize).map_err(error)?;
        let header = match FileHeader::decode(&bytes, store) {
            Ok(header) if header.number == *number => Some(header),
            Err(HeaderError::Newer(version)) => return Err(newer(dir, version)),
            Err(HeaderError::Foreign) | Ok(_) => {
                return Err(StorageError::new(
                    ErrorKind::Incompatible,
                    format!("{} belongs to another blob store or pack", path.display()),
                ));
            }
            Err(HeaderError::Damaged) => {
                tracing::warn!(
                    pack = number,
                    "file header is damaged, reading on without it"
                );
                None
            }
        };
        let pack = Pack {
            intact: header.is_some(),
            header: header.unwrap_or(FileHeader {
                number: *number,
                kind: Kind::Delivered,
                created: 0,
                replaces: Vec::new(),
            }),
            length,
            known: None,
            last: false,
        };
        found.insert(*number, pack);
    }
    Ok(found)
}

/// Removes what is left of packs whose live records a compacted pack holds: that pack has its name,
/// so it is complete.
fn finish_compactions(
    dir: &Path,
    mut packs: BTreeMap<u32, Pack>,
    indexes: &mut BTreeSet<u32>,
) -> Result<BTreeMap<u32, Pack>> {
    let replaced: Vec<u32> = packs
        .values()
        .filter(|pack| pack.header.kind == Kind::Compacted)
        .flat_map(|pack| pack.header.replaces.iter().copied())
        .collect();
    if !replaced.is_empty() {
        // The process may have died between giving the name and making it durable.
        files::sync_dir(dir).map_err(|error| io_error("sync", dir, &error))?;
    }
    let mut left = replaced;
    left.retain(|number| packs.remove(number).is_some() | indexes.remove(number));
    if !left.is_empty() {
        files::remove_all(dir, &left, Which::Index)
            .and_then(|()| files::remove_all(dir, &left, Which::Pack))
            .map_err(|error| io_error("clean", dir, &error))?;
    }
    Ok(packs)
}

/// One pack of the directory.
struct Pack {
    header: FileHeader,
    intact: bool,
    length: u64,
    /// A checkpoint of it.
    known: Option<(Summary, Map)>,
    /// No mail came after it: its end may be of a delivery that was never acknowledged. Where
    /// something came after it, all of it had been synced before.
    last: bool,
}

/// What is known before any pack is scanned.
struct Plan {
    sealed: Vec<Arc<Sealed>>,
    /// Packs without a complete index.
    unread: Vec<Pack>,
    /// Which of those goes on growing.
    active: Option<u32>,
    highest: u32,
}

fn plan(
    dir: &Path,
    store: StoreId,
    packs: &BTreeMap<u32, Pack>,
    indexes: &BTreeSet<u32>,
) -> Result<Plan> {
    let mut plan = Plan {
        sealed: Vec::new(),
        unread: Vec::new(),
        active: None,
        highest: 0,
    };
    let grew = |pack: &&Pack| pack.header.kind == Kind::Delivered && pack.length > FILE_HEADER;
    let last = packs
        .values()
        .rev()
        .find(grew)
        .map(|pack| pack.header.number);
    for number in packs.keys().chain(indexes) {
        plan.highest = plan.highest.max(*number);
    }
    for number in indexes.iter().filter(|number| !packs.contains_key(number)) {
        tracing::error!(pack = number, "pack file is missing, its messages are lost");
        let header = FileHeader {
            number: *number,
            kind: Kind::Compacted,
            created: 0,
            replaces: Vec::new(),
        };
        if let Some(index) = load_index(dir, store, *number) {
            plan.sealed.push(Arc::new(Sealed::in_file(&header, index)));
        }
    }
    for (number, pack) in packs {
        let index = indexes
            .contains(number)
            .then(|| load_index(dir, store, *number))
            .flatten();
        let mut known = None;
        match index {
            Some(index) if index.summary.sealed => {
                plan.sealed
                    .push(Arc::new(Sealed::in_file(&pack.header, index)));
                continue;
            }
            Some(index) => {
                let file = File::open(files::path(dir, *number, Which::Index));
                if let Ok(map) = file.and_then(|file| index.map(&file)) {
                    known = Some((index.summary, map));
                }
            }
            None => {}
        }
        if pack.header.kind == Kind::Delivered && pack.intact {
            plan.active = Some(*number);
        }
        plan.unread.push(Pack {
            header: pack.header.clone(),
            known,
            last: last == Some(*number),
            ..*pack
        });
    }
    Ok(plan)
}

fn load_index(dir: &Path, store: StoreId, number: u32) -> Option<IndexFile> {
    let file = File::open(files::path(dir, number, Which::Index)).ok()?;
    IndexFile::load(&file, number, store)
        .inspect_err(|_| tracing::warn!(pack = number, "index is damaged"))
        .ok()
}

/// A pack and what a scan found in it.
struct Scanned {
    header: FileHeader,
    length: u64,
    map: Map,
    damage: Vec<Range<u64>>,
    /// Where the last record ends.
    tail: u64,
    /// What a checkpoint had covered.
    known: u64,
    /// See [`Pack::last`].
    last: bool,
}

impl Scanned {
    /// Where the last record ends. A pack shorter than its checkpoint has lost records that were
    /// durable: their places stay taken, so that they answer Corrupt.
    fn end(&self) -> u64 {
        self.tail.max(self.known)
    }
}

fn scan_pack(
    dir: &Path,
    store: StoreId,
    pack: Pack,
    progress: &mut dyn FnMut(u64),
) -> Result<Scanned> {
    let number = pack.header.number;
    let path = files::path(dir, number, Which::Pack);
    let error = |error: io::Error| io_error("scan", &path, &error);
    let file = File::open(&path).map_err(error)?;
    let (mut map, mut damage, known) = match pack.known {
        Some((summary, map)) => (map, summary.damage, summary.covered),
        None => (Map::new(), Vec::new(), FILE_HEADER),
    };
    let mut told = 0;
    let tail = scan::scan(&file, known..pack.length, store, |found| {
        note(&found, &mut map);
        match found {
            Found::Record {
                offset,
                header,
                whole,
                ..
            } => {
                if !whole {
                    tracing::error!(pack = number, offset, blob = %header.hash, "blob is damaged");
                }
                if offset - told > 16 << 20 {
                    told = offset;
                    progress(offset);
                }
            }
            Found::Damage(range) => {
                tracing::error!(pack = number, ?range, "no record can be recognised here");
                damage.push(range);
            }
        }
        Ok(())
    })
    .map_err(error)?;
    Ok(Scanned {
        header: pack.header,
        length: pack.length,
        map,
        damage,
        tail,
        known,
        last: pack.last,
    })
}

/// Goes on with the active pack: what follows its last record can be no record and is cut.
fn resume(dir: &Path, scanned: Scanned) -> Result<Active> {
    let path = files::path(dir, scanned.header.number, Which::Pack);
    let error = |error: io::Error| io_error("open", &path, &error);
    let file = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(error)?;
    let tail = scanned.end();
    tell_cut(&scanned);
    // Also gives back blocks reserved before a crash. What the last process wrote and nobody waited
    // for becomes durable here, also where a sync of it failed: it is answered as present from now
    // on.
    file.set_len(tail)
        .and_then(|()| files::write_anew(&file, scanned.known..tail))
        .and_then(|()| file.sync_all())
        .map_err(error)?;
    let mut active = Active::new(scanned.header, file, tail, scanned.map);
    active.damage = scanned.damage;
    Ok(active)
}

fn tell_cut(scanned: &Scanned) {
    let (from, to) = (scanned.length, scanned.end());
    if from != to {
        let pack = scanned.header.number;
        tracing::warn!(pack, from, to, "torn tail is cut");
    }
}

/// Finishes a pack that was being sealed, or has lost its index.
fn seal(dir: &Path, store: StoreId, mut scanned: Scanned) -> io::Result<Sealed> {
    // A crash while it was being sealed may have left its end in the page cache only.
    let path = files::path(dir, scanned.header.number, Which::Pack);
    let file = File::options().read(true).write(true).open(path)?;
    if scanned.last && scanned.length > scanned.end() {
        // The power went between the next pack's birth and the last sync of this one.
        tell_cut(&scanned);
        scanned.length = scanned.end();
        file.set_len(scanned.length)?;
    }
    files::write_anew(&file, scanned.known..scanned.length)?;
    file.sync_all()?;
    let mut damage = scanned.damage;
    if scanned.tail < scanned.length {
        damage.push(scanned.tail..scanned.length);
    }
    let summary = Summary {
        covered: scanned.length.max(scanned.known),
        sealed: true,
        entries: scanned.map.len() as u32,
        record_bytes: scanned.map.values().map(Slot::total).sum(),
        damage,
    };
    let sealed = Sealed::in_memory(&scanned.header, summary, scanned.map);
    if let Err(error) = sealed
        .persist(dir, store)
        .and_then(|()| files::sync_dir(dir))
    {
        tracing::warn!(pack = sealed.number, %error, "index could not be written");
    }
    Ok(sealed)
}

fn newer(dir: &Path, version: u32) -> StorageError {
    StorageError::new(
        ErrorKind::Incompatible,
        format!(
            "blob store {} was written by a newer Gatepost: its format is {version}, this one reads \
             up to {VERSION}",
            dir.display()
        ),
    )
}

fn io_error(what: &str, path: &Path, error: &io::Error) -> StorageError {
    StorageError::io(format_args!("{what} {}", path.display()), error)
}
