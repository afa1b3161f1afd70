//! `gatepost backup list` and `verify`.

use super::manifest::Part;
use super::vault::Vault;
use super::view::View;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::time;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// One line per backup.
pub(super) fn list(dir: &Path) -> Result<(), Failure> {
    let vault = Vault::to_read(dir)?;
    for number in vault.numbers()? {
        match vault.manifest(number) {
            Ok(manifest) => println!(
                "{number}\t{}\t{} bytes",
                time::text(manifest.taken),
                manifest.bytes()
            ),
            Err(error) => println!("{number}\t{error}"),
        }
    }
    Ok(())
}

/// Compares every file with its hash, of all backups unless one is named; with `contents` every
/// message of one backup too.
pub(super) async fn verify(dir: &Path, backup: Option<u64>, contents: bool) -> Result<(), Failure> {
    let vault = Vault::to_read(dir)?;
    let checking = tokio::task::spawn_blocking(move || {
        let problems = files(&vault, backup)?;
        if !problems.is_empty() || !contents {
            return Ok((problems, None));
        }
        let manifest = vault.choose(backup)?;
        let progress = Progress::new();
        let steps = |step: &str, done, total| progress.bytes(step, done, total);
        let opened = View::open(&vault, &manifest, &std::env::temp_dir(), &steps)?;
        Ok::<_, Failure>((problems, Some((vault, opened))))
    });
    let checked = checking.await;
    let (mut problems, opened) = checked.map_err(|_| Failure::trouble("reading failed"))??;
    if let Some((_vault, opened)) = opened {
        let view = View::engine(opened).await?;
        problems.extend(view.mail.check(true).await?);
        view.mail.close().await?;
    }
    match problems.is_empty() {
        true => {
            println!("everything is as it should be");
            Ok(())
        }
        false => Err(Failure::trouble(problems.join("\n"))),
    }
}

/// What is wrong with the files. Blocks.
fn files(vault: &Vault, backup: Option<u64>) -> Result<Vec<String>, Failure> {
    let numbers = match backup {
        Some(number) => vec![number],
        None => vault.numbers()?,
    };
    let mut problems = Vec::new();
    // Backups share most parts: each is read once, and named by the first file it is of.
    let mut parts: HashMap<Part, PathBuf> = HashMap::new();
    if numbers.is_empty() {
        problems.push("there is no complete backup".to_owned());
    }
    for number in numbers {
        match vault.manifest(number) {
            Err(error) => problems.push(error.to_string()),
            Ok(manifest) => {
                for file in manifest.files {
                    for part in file.parts {
                        parts.entry(part).or_insert_with(|| file.path.clone());
                    }
                }
            }
        }
    }
    let (progress, mut done) = (Progress::new(), 0);
    let total = parts.keys().map(|part| part.length).sum();
    let mut sorted: Vec<(&PathBuf, &Part)> =
        parts.iter().map(|(part, path)| (path, part)).collect();
    sorted.sort_by_key(|(path, part)| (*path, &part.hash));
    for (path, part) in sorted {
        let mut count = |bytes| {
            done += bytes;
            progress.bytes("verifying", done, total);
            Ok(())
        };
        if let Some(what) = vault.check(part, &mut io::sink(), path, &mut count)? {
            problems.push(format!(
                "{} is {what}: a part of {}",
                vault.object(part).display(),
                path.display()
            ));
        }
    }
    Ok(problems)
}
