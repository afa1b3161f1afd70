//! `gatepost backup` and `gatepost restore`.
//!
//! The command line does the copying; a running server only keeps its files from going away until
//! the connection that asked for that ends. Accounts and mailboxes are put back by whoever has the
//! store open: the server, or the command line when none runs.

mod manifest;
mod part;
mod take;
#[cfg(test)]
mod tests;
mod vault;
mod verify;
mod view;
mod whole;

pub(crate) use part::{Wanted, restore as restore_part};
pub(crate) use view::remove_leftovers;
pub(crate) use whole::MARK;

use crate::account;
use crate::admin::Request;
use crate::backends::Backends;
use crate::cli::{BackupArgs, BackupCommand, RestoreArgs};
use crate::config::Config;
use crate::control;
use crate::failure::Failure;
use crate::format;
use crate::progress::Progress;
use crate::time;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use storage::StorageError;
use vault::Vault;

/// The files of one moment, to be copied while they are held.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The store's name.
    store: String,
    /// The last commit that belongs to it.
    sequence: u64,
    /// When it is, in seconds since 1970 UTC.
    taken: i64,
    files: Vec<Planned>,
}

/// A file of the data directory.
#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    path: PathBuf,
    /// The bytes that belong to the moment, if it may grow behind them; `None`: all of it.
    length: Option<u64>,
}

/// Keeps the files of a plan where they are until it is dropped.
pub(crate) struct Hold {
    pub(crate) plan: Plan,
    _packs: blob_packs::Held,
    _meta: storage_sled::Held,
}

impl Hold {
    /// Holds this moment.
    ///
    /// Packs are kept before the moment is taken and listed after it: so every blob that a commit
    /// of the moment names is in the list, since its put had returned before the commit began, and
    /// nothing takes it away.
    pub(crate) async fn take(backends: &Backends) -> Result<Self, StorageError> {
        let packs = backends.packs.hold().await;
        let (taken, store, meta) = (time::now(), backends.meta.id(), backends.meta.clone());
        let work = move || {
            let meta = meta.hold()?;
            let files = packs.files()?;
            Ok((packs, meta, files))
        };
        let abandoned = |_| StorageError::unavailable("holding the store was abandoned");
        let held = tokio::task::spawn_blocking(work).await.map_err(abandoned)?;
        let (packs, meta, files): (_, storage_sled::Held, _) = held?;
        let format = Planned {
            path: format::NAME.into(),
            length: None,
        };
        let of_packs = files.into_iter().map(|file| Planned {
            path: Path::new("packs").join(file.path),
            length: file.length,
        });
        let of_meta = meta.files.iter().map(|file| Planned {
            path: Path::new("meta").join(&file.path),
            length: Some(file.length),
        });
        let plan = Plan {
            store,
            sequence: meta.sequence,
            taken,
            files: [format]
                .into_iter()
                .chain(of_packs)
                .chain(of_meta)
                .collect(),
        };
        Ok(Self {
            plan,
            _packs: packs,
            _meta: meta,
        })
    }
}

/// `gatepost backup`.
pub(crate) async fn backup(args: BackupArgs) -> Result<(), Failure> {
    match args.command {
        Some(BackupCommand::List { dir }) => verify::list(&dir),
        Some(BackupCommand::Verify {
            dir,
            backup,
            contents,
        }) => verify::verify(&dir, backup, contents).await,
        None => {
            let missing = || Failure::refused("say where to: gatepost backup --config FILE DIR");
            let config = Config::load(&args.config.ok_or_else(missing)?)?;
            take_backup(&config, &args.dir.ok_or_else(missing)?, args.keep).await
        }
    }
}

async fn take_backup(config: &Config, dir: &Path, keep: usize) -> Result<(), Failure> {
    refuse_inside(&config.data_dir, dir)?;
    let vault = Vault::to_write(dir)?;
    let copy = |plan: Plan| {
        let data_dir = config.data_dir.clone();
        let copying = tokio::task::spawn_blocking(move || {
            take::take(&data_dir, &vault, &plan, keep, &Progress::new())
        });
        async {
            copying
                .await
                .map_err(|_| Failure::trouble("copying failed"))?
        }
    };
    let taken = match control::hold(&config.data_dir).await {
        Some(held) => {
            let (plan, held) = held?;
            let taken = copy(plan).await?;
            drop(held);
            taken
        }
        None => {
            let backends = Backends::open_quietly(config).await?;
            let hold = Hold::take(&backends).await?;
            let Hold { plan, .. } = hold;
            let taken = copy(plan).await;
            backends.close().await?;
            taken?
        }
    };
    println!("{}", take::in_words(&taken));
    Ok(())
}

/// A backup inside of what is backed up would go with it.
fn refuse_inside(data_dir: &Path, dir: &Path) -> Result<(), Failure> {
    let real = |path: &Path| {
        let known = path.ancestors().find_map(|above| {
            let below = path.strip_prefix(above).ok()?;
            Some(std::fs::canonicalize(above).ok()?.join(below))
        });
        known.unwrap_or_else(|| path.to_owned())
    };
    let absolute = std::path::absolute(dir).map_err(vault::trouble("find", dir))?;
    match real(&absolute).starts_with(real(data_dir)) {
        true => Err(Failure::refused(
            "the backup directory lies in the data directory: choose another one",
        )),
        false => Ok(()),
    }
}

/// `gatepost restore`.
pub(crate) async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let Some(account) = args.account else {
        return whole::restore(&args.config, &args.from, args.backup, args.even_damaged).await;
    };
    let wanted = Wanted {
        // The server has another working directory.
        from: std::path::absolute(&args.from).map_err(vault::trouble("find", &args.from))?,
        backup: args.backup,
        account,
        new_name: args.new_name,
        mailbox: args.mailbox,
        into: args.into,
    };
    account::carry_out(&args.config, Request::Restore(wanted)).await
}
