//! What goes wrong on purpose.

/// What the file system answers instead of doing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// ENOENT.
    NotFound,
    /// EEXIST.
    Exists,
    /// ENOTDIR.
    NotDirectory,
    /// ENOTEMPTY.
    NotEmpty,
    /// EIO.
    Broken,
    /// ENOSPC.
    Full,
    /// EROFS.
    ReadOnly,
}

/// Which calls fail. The default is none.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// Reads of files.
    pub read: Option<Fault>,
    /// Writes of files.
    pub write: Option<Fault>,
    /// fsync and fdatasync. What had not been synced before never will be.
    pub sync: Option<Fault>,
    /// Everything that changes names or sizes.
    pub name: Option<Fault>,
    /// Octets the disk holds; what does not fit is refused with ENOSPC.
    pub space: Option<u64>,
}

impl Faults {
    /// As after `mount -o remount,ro`.
    #[must_use]
    pub fn read_only() -> Self {
        let refused = Some(Fault::ReadOnly);
        Self {
            write: refused,
            name: refused,
            ..Self::default()
        }
    }

    pub(super) fn reading(&self) -> Result<(), Fault> {
        self.read.map_or(Ok(()), Err)
    }

    pub(super) fn syncing(&self) -> Result<(), Fault> {
        self.sync.map_or(Ok(()), Err)
    }

    pub(super) fn naming(&self) -> Result<(), Fault> {
        self.name.map_or(Ok(()), Err)
    }

    pub(super) fn writing(&self, used: u64, more: u64) -> Result<(), Fault> {
        if let Some(fault) = self.write {
            return Err(fault);
        }
        match self.space {
            Some(space) if used.saturating_add(more) > space => Err(Fault::Full),
            _ => Ok(()),
        }
    }
}
