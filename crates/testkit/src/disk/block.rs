//! A true disk: ext4 on a loop device, whose backing file is cloned while it is in use.
//!
//! The backing file lies on an XFS of its own, which can clone a file at one moment (FICLONE holds
//! the file's lock, so no write is in it by half). The clone holds every block that had reached the
//! device: what the page cache of the ext4 had not written yet is lost, as when the power goes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::mounts::{run, unmount};
use crate::corpus::Chance;

/// Octets of the XFS's image (it wants 300 MB at least) and of each ext4's. Both are sparse.
const SHELF: u64 = 4 << 30;
const DISK: u64 = 512 << 20;

/// Ways to mount ext4. All are safe for a program that syncs what it relies on; the second gives up
/// what ext4 does beyond that.
const OPTIONS: &[&str] = &[
    "loop,noatime",
    "loop,noatime,noauto_da_alloc,data=writeback",
    "loop,noatime,commit=1",
];

/// An XFS to clone files on, and an empty ext4 in a file on it.
pub struct Works {
    dir: PathBuf,
}

/// An ext4 in a file, mounted.
pub struct BlockDisk {
    image: PathBuf,
    /// The image as it was before anybody mounted it.
    pristine: PathBuf,
    dir: PathBuf,
    options: &'static str,
}

fn sparse(path: &Path, size: u64) -> io::Result<()> {
    File::create(path)?.set_len(size)
}

fn clone_file(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    Ok(rustix::fs::ioctl_ficlone(&to, &from)?)
}

impl Works {
    /// Makes them in a directory.
    ///
    /// # Errors
    /// What one of the programs said.
    pub fn new(shelf: &Path) -> io::Result<Self> {
        let (image, dir) = (shelf.join("xfs.img"), shelf.join("xfs"));
        sparse(&image, SHELF)?;
        std::fs::create_dir_all(&dir)?;
        let options = ["-q", "-f", "-m", "reflink=1"].map(OsStr::new);
        run("mkfs.xfs", &[&options[..], &[image.as_os_str()]].concat())?;
        // With discard the image gives back what removed clones took.
        let options = ["-o", "loop,noatime,discard"].map(OsStr::new);
        let paths = [image.as_os_str(), dir.as_os_str()];
        run("mount", &[&options[..], &paths].concat())?;
        let works = Self { dir };
        sparse(&works.template(), DISK)?;
        let options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        let options = options.map(OsStr::new);
        let template = works.template();
        run(
            "mkfs.ext4",
            &[&options[..], &[template.as_os_str()]].concat(),
        )?;
        Ok(works)
    }

    fn template(&self) -> PathBuf {
        self.dir.join("template.img")
    }

    /// An empty disk, mounted on `dir`.
    ///
    /// # Errors
    /// What one of the programs said.
    pub fn disk(&self, dir: &Path, chance: &mut Chance) -> io::Result<BlockDisk> {
        self.clone_of(&self.template(), dir, chance)
    }

    fn clone_of(&self, image: &Path, dir: &Path, chance: &mut Chance) -> io::Result<BlockDisk> {
        let name = dir.file_name().unwrap_or_default();
        let copy = self.dir.join(name).with_extension("img");
        let pristine = copy.with_extension("pristine");
        clone_file(image, &copy)?;
        clone_file(&copy, &pristine)?;
        Ok(BlockDisk {
            image: copy,
            pristine,
            dir: dir.to_owned(),
            options: chance.pick(OPTIONS),
        })
    }

    /// The power goes, at one moment of this call: another disk with what had reached this one. It
    /// is not mounted yet. The first goes on as if nothing had happened.
    ///
    /// # Errors
    /// When the file system cannot clone.
    pub fn cut(&self, disk: &BlockDisk, dir: &Path, chance: &mut Chance) -> io::Result<BlockDisk> {
        self.clone_of(&disk.image, dir, chance)
    }
}

impl BlockDisk {
    /// Where it is mounted.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How it is mounted.
    #[must_use]
    pub fn options(&self) -> &'static str {
        self.options
    }

    /// Mounts it; ext4 replays its journal.
    ///
    /// # Errors
    /// What `mount` said.
    pub fn mount(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        self.mount_image(&self.image)
    }

    fn mount_image(&self, image: &Path) -> io::Result<()> {
        let options = ["-t", "ext4", "-o", self.options].map(OsStr::new);
        let paths = [image.as_os_str(), self.dir.as_os_str()];
        run("mount", &[&options[..], &paths].concat())
    }

    /// Copies all files, as the cut left them, to an ordinary directory. The disk is of no use
    /// afterwards.
    ///
    /// # Errors
    /// What one of the programs said.
    pub fn dump(&self, to: &Path) -> io::Result<()> {
        unmount(&self.dir);
        self.mount_image(&self.pristine)?;
        let args = ["-r", "--no-target-directory"].map(OsStr::new);
        let paths = [self.dir.as_os_str(), to.as_os_str()];
        run("cp", &[&args[..], &paths].concat())
    }
}

impl Drop for BlockDisk {
    fn drop(&mut self) {
        unmount(&self.dir);
        let _ = std::fs::remove_dir(&self.dir);
        let _ = std::fs::remove_file(&self.image);
        let _ = std::fs::remove_file(&self.pristine);
    }
}
