//! What one backup consists of: the files of a data directory, each in the parts it was copied in
//! (docs/storage-format.md, "Backups").

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

const TITLE: &str = "gatepost-backup 1";

/// BLAKE3 in hexadecimal.
pub(super) type Hash = String;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Rises by one with each backup of a directory.
    pub(super) number: u64,
    /// The moment it shows, in seconds since 1970 UTC.
    pub(super) taken: i64,
    /// The store it is of.
    pub(super) store: String,
    /// The last commit it has.
    pub(super) sequence: u64,
    pub(super) files: Vec<Entry>,
}

/// A file of the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Below the data directory.
    pub(super) path: PathBuf,
    pub(super) length: u64,
    /// Of its first [`HEAD`] bytes: tells it from another file of the same name.
    pub(super) head: Hash,
    /// One behind the other they are the file.
    pub(super) parts: Vec<Part>,
}

/// Bytes that tell a file from another one of the same name.
pub(super) const HEAD: u64 = 512;

/// An object of the backup directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) hash: Hash,
    pub(super) length: u64,
}

impl Manifest {
    pub(super) fn render(&self) -> String {
        let mut text = format!(
            "{TITLE}\nnumber {}\ntaken {}\nstore {}\nsequence {}\n",
            self.number, self.taken, self.store, self.sequence
        );
        for file in &self.files {
            let path = file.path.display();
            let _ = writeln!(text, "file {} {} {path}", file.length, file.head);
            for part in &file.parts {
                let _ = writeln!(text, "part {} {}", part.length, part.hash);
            }
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let _ = writeln!(text, "blake3 {hash}");
        text
    }

    /// `None` when the text is not, to the last letter, what was written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (body, hash) = text.strip_suffix('\n')?.rsplit_once("blake3 ")?;
        if blake3::hash(body.as_bytes()).to_hex().as_str() != hash {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let mut manifest = Self {
            number: field("number")?.parse().ok()?,
            taken: field("taken")?.parse().ok()?,
            store: field("store")?.to_owned(),
            sequence: field("sequence")?.parse().ok()?,
            files: Vec::new(),
        };
        for line in lines {
            let mut words = line.splitn(4, ' ');
            let (kind, length) = (words.next()?, words.next()?.parse().ok()?);
            let hash = words.next().filter(|hash| is_hash(hash))?.to_owned();
            match (kind, words.next()) {
                ("file", Some(path)) => manifest.files.push(Entry {
                    path: inside(path)?,
                    length,
                    head: hash,
                    parts: Vec::new(),
                }),
                ("part", None) => {
                    let parts = &mut manifest.files.last_mut()?.parts;
                    parts.push(Part { hash, length });
                }
                _ => return None,
            }
        }
        let complete = |file: &Entry| file.parts.iter().map(|part| part.length).sum::<u64>();
        let whole = manifest
            .files
            .iter()
            .all(|file| complete(file) == file.length);
        whole.then_some(manifest)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The file of a path.
    pub(super) fn find(&self, path: &Path) -> Option<&Entry> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

/// A path that cannot lead out of the directory it is put below.
fn inside(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    let mut parts = path.components();
    let plain = parts.all(|part| matches!(part, Component::Normal(_)));
    (plain && !path.as_os_str().is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let part = |length, text: &str| Part {
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            length,
        };
        Manifest {
            number: 7,
            taken: 1_764_000_000,
            store: "a0".repeat(16),
            sequence: 12,
            files: vec![
                Entry {
                    path: "packs/pack-000001.pack".into(),
                    length: 30,
                    head: part(0, "h").hash,
                    parts: vec![part(10, "a"), part(20, "b")],
                },
                Entry {
                    path: "meta/FORMAT".into(),
                    length: 0,
                    head: part(0, "").hash,
                    parts: Vec::new(),
                },
            ],
        }
    }

    #[test]
    fn a_manifest_reads_back_and_shows_every_flipped_byte() {
        let text = sample().render();
        assert_eq!(Manifest::parse(&text), Some(sample()));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8_lossy(&bytes);
            assert_eq!(Manifest::parse(&damaged), None, "byte {at}");
            assert_eq!(Manifest::parse(&text[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_directory() {
        for path in ["/etc/passwd", "../x", "meta/../../x", ""] {
            let mut manifest = sample();
            manifest.files[0].path = path.into();
            assert_eq!(Manifest::parse(&manifest.render()), None, "{path}");
        }
        let mut manifest = sample();
        manifest.files[0].length = 31;
        assert_eq!(Manifest::parse(&manifest.render()), None);
    }
}
