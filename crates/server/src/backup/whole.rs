//! Everything put back into an empty data directory.

use super::manifest::Manifest;
use super::vault::{Vault, sync_dir, trouble};
use crate::backends::Backends;
use crate::config::Config;
use crate::control;
use crate::failure::Failure;
use crate::format;
use crate::progress::Progress;
use crate::time;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

/// While this file is in a data directory no server starts on it.
pub(crate) const MARK: &str = "restore-unfinished";

/// `gatepost restore` without `--account`.
pub(super) async fn restore(
    config: &Path,
    from: &Path,
    backup: Option<u64>,
    even_damaged: bool,
) -> Result<(), Failure> {
    let config = Config::load(config)?;
    if control::runs(&config.data_dir).await {
        return Err(Failure::refused(
            "the server is running: stop it and restore into an empty data directory, or name an \
             --account",
        ));
    }
    let vault = Vault::to_read(from)?;
    let manifest = vault.choose(backup)?;
    let words = format!(
        "backup {} of {}",
        manifest.number,
        time::text(manifest.taken)
    );
    let taken = manifest.taken;
    let mark = prepare(&config.data_dir)?;
    let data_dir = config.data_dir.clone();
    let copying =
        tokio::task::spawn_blocking(move || put_back(&data_dir, &vault, &manifest, even_damaged));
    let damaged = copying
        .await
        .map_err(|_| Failure::trouble("copying failed"))??;
    let backends = Backends::open_restored(&config).await?;
    let mail = backends.engine(config.mail_options()).await?;
    mail.resume_restored(taken).await?;
    let accounts = mail.list_accounts().await?.len();
    mail.close().await?;
    let path = config.data_dir.join(MARK);
    fs::remove_file(&path).map_err(trouble("remove", &path))?;
    sync_dir(&config.data_dir)?;
    drop(mark);
    println!("{words}: restored, {accounts} accounts");
    match damaged.is_empty() {
        true => Ok(()),
        false => Err(Failure::trouble(format!(
            "restored with damage; `gatepost verify --contents` says which messages are lost:\n{}",
            damaged.join("\n")
        ))),
    }
}

/// Marks an empty data directory, or one in which a restore was interrupted, which is emptied.
fn prepare(data_dir: &Path) -> Result<File, Failure> {
    fs::create_dir_all(data_dir).map_err(trouble("make", data_dir))?;
    let path = data_dir.join(MARK);
    let interrupted = path.exists();
    let mut found = Vec::new();
    for entry in fs::read_dir(data_dir).map_err(trouble("read", data_dir))? {
        found.push(entry.map_err(trouble("read", data_dir))?.file_name());
    }
    let is = |known: &[&str], name: &OsString| known.iter().any(|known| name == known);
    found.retain(|name| !is(&[MARK, "control.sock", "lost+found"], name));
    let ours = |name: &OsString| {
        interrupted && is(&["meta", "packs", format::NAME, format::TEMPORARY], name)
    };
    if !found.iter().all(ours) {
        return Err(Failure::refused(format!(
            "{} is not empty: move what is in it out of the way first",
            data_dir.display()
        )));
    }
    let mark = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let mark = mark.map_err(trouble("write", &path))?;
    if mark.try_lock().is_err() {
        return Err(Failure::refused("another restore is at work here"));
    }
    sync_dir(data_dir)?;
    for name in found {
        let path = data_dir.join(name);
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.map_err(trouble("remove", &path))?;
    }
    Ok(mark)
}

/// Copies every file back. Returns what was damaged, if that is to be no reason to stop. Blocks.
pub(super) fn put_back(
    data_dir: &Path,
    vault: &Vault,
    manifest: &Manifest,
    even_damaged: bool,
) -> Result<Vec<String>, Failure> {
    let (progress, total) = (Progress::new(), manifest.bytes());
    let (mut done, mut all_damaged) = (0, Vec::new());
    let mut dirs = BTreeSet::from([data_dir.to_owned()]);
    for file in &manifest.files {
        let target = data_dir.join(&file.path);
        for parent in target
            .ancestors()
            .skip(1)
            .take_while(|dir| *dir != data_dir)
        {
            fs::create_dir_all(parent).map_err(trouble("make", parent))?;
            dirs.insert(parent.to_owned());
        }
        let mut count = |bytes| {
            done += bytes;
            progress.bytes("restoring", done, total);
            Ok(())
        };
        vault.fetch(&file.parts, &target, &mut count, &mut |what| {
            let what = format!("{what}: a part of {}", file.path.display());
            if !even_damaged {
                return Err(Failure::trouble(format!(
                    "{what}; choose another backup with --backup, or restore what is left with \
                     --even-damaged"
                )));
            }
            all_damaged.push(what);
            Ok(())
        })?;
    }
    dirs.iter().try_for_each(|dir| sync_dir(dir))?;
    Ok(all_damaged)
}
