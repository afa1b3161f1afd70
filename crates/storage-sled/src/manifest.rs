//! The store's small files: its format, its lock, and what start-up must know about the last run.

use crate::files;
use crate::segment::StoreId;
use std::fmt::Write;
use std::fs::{File, TryLockError};
use std::path::Path;
use storage::{ErrorKind, StorageError};

const FORMAT_NAME: &str = "FORMAT";
const FORMAT_TITLE: &str = "gatepost-meta";
const FORMAT_VERSION: u32 = 1;
const MANIFEST_NAME: &str = "MANIFEST";
const MANIFEST_TITLE: &str = "gatepost-meta-manifest 1";
const LOCK_NAME: &str = "LOCK";

/// What the last run left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manifest {
    pub(crate) store: StoreId,
    /// The boot the store was last written in; `None`: the next start must believe in a power loss.
    pub(crate) boot: Option<String>,
    /// Whether the store was closed, with everything on disk.
    pub(crate) clean: bool,
    /// How many power losses there have been.
    pub(crate) generation: u64,
    /// The index on disk knows everything up to this sequence, and so does the log.
    pub(crate) promised: u64,
}

impl Manifest {
    /// The manifest of `dir`; `None` when it is missing or damaged.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StorageError> {
        let path = dir.join(MANIFEST_NAME);
        let content = files::read_if_there(&path)
            .map_err(|e| StorageError::io(format!("read {}", path.display()), &e))?;
        let manifest = content.as_deref().and_then(Self::parse);
        if content.is_some() && manifest.is_none() {
            tracing::warn!(path = %path.display(), "the manifest is damaged");
        }
        Ok(manifest)
    }

    /// Replaces the manifest of `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), StorageError> {
        files::replace(dir, MANIFEST_NAME, self.render().as_bytes())
            .map_err(|e| StorageError::io("write the manifest", &e))
    }

    fn render(&self) -> String {
        let boot = self.boot.as_deref().unwrap_or("unknown");
        let state = if self.clean { "closed" } else { "open" };
        let mut text = format!("{MANIFEST_TITLE}\nstore ");
        for byte in self.store {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(
            text,
            "\nboot {boot}\nstate {state}\ngeneration {}\npromised {}\n",
            self.generation, self.promised
        );
        let crc = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "crc32 {crc:08x}");
        text
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let (body, crc) = text.rsplit_once("crc32 ")?;
        if u32::from_str_radix(crc.strip_suffix('\n')?, 16).ok()?
            != crc32fast::hash(body.as_bytes())
        {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != MANIFEST_TITLE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let store = parse_store(field("store")?)?;
        let boot = field("boot").filter(|boot| *boot != "unknown");
        let boot = boot.map(str::to_owned);
        Some(Self {
            store,
            boot,
            clean: field("state")? == "closed",
            generation: field("generation")?.parse().ok()?,
            promised: field("promised")?.parse().ok()?,
        })
    }
}

fn parse_store(hex: &str) -> Option<StoreId> {
    let number = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then(|| number.to_be_bytes())
}

/// Whether `dir` has a manifest, sound or not.
pub(crate) fn exists(dir: &Path) -> bool {
    dir.join(MANIFEST_NAME).exists()
}

/// Takes the directory for this process until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join(LOCK_NAME);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| StorageError::io(format!("open {}", path.display()), &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::new(
            ErrorKind::InUse,
            format!("{} is in use by another process", dir.display()),
        )),
        Err(TryLockError::Error(e)) => {
            Err(StorageError::io(format!("lock {}", path.display()), &e))
        }
    }
}

/// Checks that `dir` is ours to use; writes the format file into a new directory.
pub(crate) fn check_format(dir: &Path) -> Result<(), StorageError> {
    let io = |e| StorageError::io("the format file", &e);
    match files::read_if_there(&dir.join(FORMAT_NAME)).map_err(io)? {
        Some(content) => judge_format(dir, &String::from_utf8_lossy(&content)),
        None if dir.join(MANIFEST_NAME).exists() => Err(incompatible(
            dir,
            "has a MANIFEST but no FORMAT: it is not a whole Gatepost store",
        )),
        None => {
            let text = format!("{FORMAT_TITLE} {FORMAT_VERSION}\n");
            files::replace(dir, FORMAT_NAME, text.as_bytes()).map_err(io)
        }
    }
}

fn judge_format(dir: &Path, text: &str) -> Result<(), StorageError> {
    let version = text
        .strip_prefix(FORMAT_TITLE)
        .and_then(|rest| rest.trim().parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(newer) if newer > FORMAT_VERSION => Err(incompatible(
            dir,
            &format!(
                "was written by a newer Gatepost (format {newer}, this one knows {FORMAT_VERSION}): \
                 install that version again"
            ),
        )),
        _ => Err(incompatible(dir, "is not a Gatepost metadata store")),
    }
}

fn incompatible(dir: &Path, what: &str) -> StorageError {
    StorageError::new(ErrorKind::Incompatible, format!("{} {what}", dir.display()))
}

/// What tells one run of the kernel from the next; `None` when it cannot be known, which counts as
/// different each time.
pub(crate) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(boot: Option<&str>, clean: bool) -> Manifest {
        Manifest {
            store: [0xa0; 16],
            boot: boot.map(str::to_owned),
            clean,
            generation: 3,
            promised: u64::MAX,
        }
    }

    #[test]
    fn a_damaged_manifest_is_none() {
        let text = sample(Some("b"), false).render().into_bytes();
        for at in 0..text.len() {
            assert_eq!(Manifest::parse(&text[..at]), None, "cut at {at}");
            let mut flipped = text.clone();
            flipped[at] ^= 4;
            assert_eq!(Manifest::parse(&flipped), None, "flipped at {at}");
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        for manifest in [sample(Some("a-b"), true), sample(None, false)] {
            let text = manifest.render();
            assert_eq!(Manifest::parse(text.as_bytes()), Some(manifest));
        }
    }

    #[test]
    fn only_the_own_format_is_taken() {
        let dir = Path::new("d");
        for text in [
            "",
            "x",
            "gatepost-meta",
            "gatepost-meta 0",
            "gatepost-meta 2",
        ] {
            let refused = judge_format(dir, text).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Incompatible, "{text}");
        }
        let newer = judge_format(dir, "gatepost-meta 7\n").unwrap_err();
        assert!(newer.context.contains("newer Gatepost"), "{newer}");
        assert!(judge_format(dir, "gatepost-meta 1\n").is_ok());
    }
}
