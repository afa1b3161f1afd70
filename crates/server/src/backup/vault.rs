//! The backup directory: objects named by their hash, written once and never changed, and manifests
//! that say which of them make up a backup.

use super::manifest::{Hash, Manifest, Part};
use crate::failure::Failure;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const FORMAT: &str = "FORMAT";
const FORMAT_TEXT: &str = "gatepost-backup 1\n";
const INCOMPLETE: &str = "incomplete";
/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// A backup directory, and the lock that keeps others from changing it.
pub(super) struct Vault {
    dir: PathBuf,
    _lock: Option<File>,
}

/// The words for an operation that failed on a file.
pub(super) fn trouble(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let words = format!("cannot {doing} {}", path.display());
    move |error| Failure::trouble(format!("{words}: {error}"))
}

/// Makes names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Failure> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(trouble("sync", dir))
}

impl Vault {
    /// Opens a directory to put a backup into, making it if it is not there or empty.
    pub(super) fn to_write(dir: &Path) -> Result<Self, Failure> {
        make_private(dir)?;
        let mut entries = fs::read_dir(dir).map_err(trouble("read", dir))?;
        let in_use = entries.any(|entry| entry.is_ok_and(|entry| !is_nothing(&entry.file_name())));
        if in_use {
            check_format(dir)?;
        }
        let lock = lock(dir, true)?;
        if !in_use {
            replace(dir, FORMAT, FORMAT_TEXT)?;
        }
        make_private(&dir.join("objects"))?;
        make_private(&dir.join("manifests"))?;
        sync_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: Some(lock),
        })
    }

    /// Opens a directory to read backups from, which may be on a medium that cannot be written.
    pub(super) fn to_read(dir: &Path) -> Result<Self, Failure> {
        check_format(dir)?;
        let lock = match lock(dir, false) {
            Err(Failure::Trouble(_)) => None,
            other => Some(other?),
        };
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// The numbers of the backups, oldest first.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, Failure> {
        let dir = self.dir.join("manifests");
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&dir).map_err(trouble("read", &dir))? {
            let name = entry.map_err(trouble("read", &dir))?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_suffix(".manifest"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn manifest_path(&self, number: u64) -> PathBuf {
        let name = format!("{number:06}.manifest");
        self.dir.join("manifests").join(name)
    }

    /// One backup. Refused when it is damaged, by name.
    pub(super) fn manifest(&self, number: u64) -> Result<Manifest, Failure> {
        let path = self.manifest_path(number);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = self.dir.display();
                return Err(Failure::refused(format!("{dir} has no backup {number}")));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            other => other.map_err(trouble("read", &path))?,
        };
        let manifest = Manifest::parse(&text).filter(|manifest| manifest.number == number);
        manifest.ok_or_else(|| {
            Failure::trouble(format!(
                "{} is damaged: choose an older backup with --backup",
                path.display()
            ))
        })
    }

    /// The backup of a number, or the newest.
    pub(super) fn choose(&self, number: Option<u64>) -> Result<Manifest, Failure> {
        let newest = || {
            let dir = self.dir.display();
            let newest = self.numbers()?.last().copied();
            newest.ok_or_else(|| Failure::refused(format!("{dir} has no complete backup")))
        };
        self.manifest(number.map_or_else(newest, Ok)?)
    }

    /// What an interrupted backup had copied, if that is known.
    pub(super) fn incomplete(&self) -> Option<Manifest> {
        let text = fs::read_to_string(self.dir.join(INCOMPLETE)).ok()?;
        Manifest::parse(&text)
    }

    /// Notes what has been copied, for the case that it is interrupted.
    pub(super) fn note_incomplete(&self, manifest: &Manifest) -> Result<(), Failure> {
        replace(&self.dir, INCOMPLETE, &manifest.render())
    }

    pub(super) fn object(&self, part: &Part) -> PathBuf {
        self.dir.join("objects").join(&part.hash)
    }

    /// Whether an object is there, as far as its size tells.
    pub(super) fn has(&self, part: &Part) -> bool {
        fs::metadata(self.object(part)).is_ok_and(|meta| meta.len() == part.length)
    }

    /// Adds what can be read from `source`, which is called `name`, durably but for its own name.
    /// Returns it, and whether it is new.
    pub(super) fn add(
        &self,
        mut source: impl Read,
        name: &Path,
        mut on_bytes: impl FnMut(u64),
    ) -> Result<(Part, bool), Failure> {
        let temporary = self.dir.join("objects").join("new.tmp");
        let mut file = File::create(&temporary).map_err(trouble("write", &temporary))?;
        let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(trouble("read", name)(error)),
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes)
                .map_err(trouble("write", &temporary))?;
            length += read as u64;
            on_bytes(read as u64);
        }
        let hash: Hash = hasher.finalize().to_hex().to_string();
        let part = Part { hash, length };
        if self.has(&part) {
            fs::remove_file(&temporary).map_err(trouble("remove", &temporary))?;
            return Ok((part, false));
        }
        let path = self.object(&part);
        let named = file.sync_all().and_then(|()| fs::rename(&temporary, &path));
        named.map_err(trouble("write", &path))?;
        Ok((part, true))
    }

    /// Makes a backup count: all it names is there and durable. Then backups before the newest
    /// `keep` go, and objects that no backup names.
    pub(super) fn commit(&self, manifest: &Manifest, keep: usize) -> Result<(), Failure> {
        sync_dir(&self.dir.join("objects"))?;
        let manifests = self.dir.join("manifests");
        let path = self.manifest_path(manifest.number);
        let name = path.file_name().and_then(|name| name.to_str());
        replace(&manifests, name.unwrap_or_default(), &manifest.render())?;
        remove(&self.dir.join(INCOMPLETE))?;
        let mut numbers = self.numbers()?;
        let kept = numbers.split_off(numbers.len().saturating_sub(keep.max(1)));
        let kept = kept.iter().map(|number| self.manifest(*number));
        let kept = kept.collect::<Result<Vec<Manifest>, Failure>>();
        for number in numbers {
            remove(&self.manifest_path(number))?;
        }
        sync_dir(&manifests)?;
        match kept {
            Ok(kept) => self.remove_others(&kept),
            // It may name anything.
            Err(error) => {
                tracing::warn!(%error, "nothing is removed");
                Ok(())
            }
        }
    }

    fn remove_others(&self, kept: &[Manifest]) -> Result<(), Failure> {
        let parts = kept.iter().flat_map(|manifest| &manifest.files);
        let parts = parts.flat_map(|file| &file.parts);
        let named: HashSet<&str> = parts.map(|part| part.hash.as_str()).collect();
        let objects = self.dir.join("objects");
        for entry in fs::read_dir(&objects).map_err(trouble("read", &objects))? {
            let entry = entry.map_err(trouble("read", &objects))?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| named.contains(name))
            {
                remove(&entry.path())?;
            }
        }
        sync_dir(&objects)
    }

    /// Puts a file together in `target`, durably but for its name. Parts that are missing or are
    /// not what their hash says are told to `damaged`, which may end the work; if it does not,
    /// there is what there was, or zeros.
    pub(super) fn fetch(
        &self,
        parts: &[Part],
        target: &Path,
        on_bytes: &mut dyn FnMut(u64) -> Result<(), Failure>,
        damaged: &mut dyn FnMut(String) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let io = |error| trouble("write", target)(error);
        let mut file = File::create(target).map_err(io)?;
        let mut at = 0;
        for part in parts {
            file.seek(SeekFrom::Start(at)).map_err(io)?;
            if let Some(what) = self.check(part, &mut file, target, on_bytes)? {
                damaged(format!("{} is {what}", self.object(part).display()))?;
            }
            at += part.length;
        }
        file.set_len(at).map_err(io)?;
        file.sync_all().map_err(io)
    }

    /// Copies an object to `to`, which is called `name`, and says what is wrong with it.
    pub(super) fn check(
        &self,
        part: &Part,
        to: &mut impl Write,
        name: &Path,
        on_bytes: &mut dyn FnMut(u64) -> Result<(), Failure>,
    ) -> Result<Option<&'static str>, Failure> {
        let path = self.object(part);
        let mut file = match File::open(&path) {
            Ok(file) => file.take(part.length.saturating_add(1)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("missing")),
            Err(error) => return Err(trouble("read", &path)(error)),
        };
        let (mut hasher, mut left) = (blake3::Hasher::new(), part.length);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Ok(Some("unreadable")),
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            hasher.update(bytes);
            let fits = bytes
                .get(..bytes.len().min(left as usize))
                .unwrap_or_default();
            to.write_all(fits).map_err(trouble("write", name))?;
            left -= fits.len() as u64;
            on_bytes(read as u64)?;
        }
        let sound = hasher.finalize().to_hex().as_str() == part.hash;
        Ok((!sound).then_some("damaged"))
    }
}

/// What may be in a directory that is as good as empty.
fn is_nothing(name: &OsStr) -> bool {
    ["lost+found", "lock", "FORMAT.tmp"]
        .iter()
        .any(|known| name == *known)
}

/// Makes a directory that nobody else can look into: mail will be there.
fn make_private(dir: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(trouble("make", dir))
}

fn check_format(dir: &Path) -> Result<(), Failure> {
    let foreign = |what: &str| Failure::refused(format!("{} {what}", dir.display()));
    match fs::read_to_string(dir.join(FORMAT)) {
        Ok(text) if text == FORMAT_TEXT => Ok(()),
        Ok(text) if text.starts_with("gatepost-backup ") => Err(foreign(
            "was written by a newer Gatepost: use that version to read it",
        )),
        _ => Err(foreign("is not a backup directory of Gatepost")),
    }
}

/// `Refused` when somebody is at work on it, `Trouble` when there can be no lock.
fn lock(dir: &Path, alone: bool) -> Result<File, Failure> {
    let path = dir.join("lock");
    let file = match alone {
        true => File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path),
        false => File::open(&path),
    };
    let file = file.map_err(trouble("open", &path))?;
    let locked = match alone {
        true => file.try_lock(),
        false => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::refused(format!(
            "another backup or restore is at work on {}",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(trouble("lock", &path)(error)),
    }
}

/// Replaces a file so that after any crash it is the old or the new one, whole.
fn replace(dir: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = dir.join(name);
    let temporary = dir.join(format!("{name}.tmp"));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    });
    written.map_err(trouble("write", &path))?;
    sync_dir(dir)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(trouble("remove", path)(error))
        }
        _ => Ok(()),
    }
}
