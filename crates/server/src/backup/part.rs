//! One account, or one mailbox, put back into a store that may be in use.

use super::vault::Vault;
use super::view::View;
use crate::admin::{Response, Tools};
use crate::backends::Backends;
use crate::failure::Failure;
use crate::progress::Steps;
use mail::{Damaged, Mail, MailError, MailErrorKind, MailboxRestored};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use types::MailboxName;

/// What is to be put back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// The backup directory.
    pub(crate) from: PathBuf,
    /// Which backup; the newest unless given.
    pub(crate) backup: Option<u64>,
    pub(crate) account: String,
    /// What the account is called here, if that is something else.
    pub(crate) new_name: Option<String>,
    /// Only this one.
    pub(crate) mailbox: Option<String>,
    /// What it is called here, if that is something else.
    pub(crate) into: Option<String>,
}

/// Puts it back.
pub(crate) async fn restore(tools: &Tools, wanted: Wanted, steps: Steps) -> Response {
    let Tools {
        mail,
        auth,
        backends,
    } = tools;
    let name = wanted.new_name.as_ref().unwrap_or(&wanted.account);
    // Somebody another directory knows has no record here before the first login or delivery.
    if wanted.mailbox.is_some()
        && let Some(auth) = auth
        && let Ok(Some(known)) = auth.exists(name).await
        && let Err(error) = mail.ensure_account(&known).await
    {
        return Response::Failed {
            sentence: error.to_string(),
        };
    }
    match try_restore(mail, backends, wanted, steps).await {
        Ok((lines, damaged)) if damaged.is_empty() => Response::Done { lines },
        Ok((mut lines, damaged)) => {
            lines.push(format!(
                "{} messages are damaged in the backup:",
                damaged.len()
            ));
            lines.extend(damaged.iter().map(line));
            Response::Failed {
                sentence: lines.join("\n"),
            }
        }
        Err(Failure::Refused(sentence)) => Response::Refused { sentence },
        Err(Failure::Trouble(sentence)) => Response::Failed { sentence },
    }
}

fn line(damaged: &Damaged) -> String {
    let Damaged {
        mailbox,
        subject,
        what,
    } = damaged;
    format!("{mailbox}\t{subject}\t{what}")
}

type Done = (Vec<String>, Vec<Damaged>);

async fn try_restore(
    mail: &Mail,
    backends: &Backends,
    wanted: Wanted,
    steps: Steps,
) -> Result<Done, Failure> {
    let (from, number) = (wanted.from.clone(), wanted.backup);
    let scratch: PathBuf = backends.data_dir().to_owned();
    let told = steps.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let vault = Vault::to_read(&from)?;
        let manifest = vault.choose(number)?;
        let opened = View::open(&vault, &manifest, &scratch, &*told)?;
        Ok::<_, Failure>((vault, manifest, opened))
    });
    let opened = opening.await;
    let (vault, manifest, opened) =
        opened.map_err(|_| Failure::trouble("reading the backup failed"))??;
    let view = View::engine(opened).await?;
    let same_store = manifest.store == backends.meta.id();
    let job = Job {
        mail,
        from: &view.mail,
        wanted: &wanted,
        taken: manifest.taken,
        same_store,
        steps: &*steps,
    };
    let done = job.run().await;
    let closed = view.mail.close().await;
    drop(vault);
    let done = done?;
    closed?;
    Ok(done)
}

struct Job<'a> {
    mail: &'a Mail,
    from: &'a Mail,
    wanted: &'a Wanted,
    taken: i64,
    same_store: bool,
    steps: &'a (dyn Fn(&str, u64, u64) + Send + Sync),
}

impl Job<'_> {
    async fn run(&self) -> Result<Done, MailError> {
        let Wanted {
            account, new_name, ..
        } = self.wanted;
        let name = new_name.as_ref().unwrap_or(account);
        match (self.mail.find_account(name).await?, &self.wanted.mailbox) {
            (None, None) => self.account(name).await,
            (None, Some(_)) => Err(MailError::new(
                MailErrorKind::NotFound,
                format!("there is no account {name}"),
            )),
            (Some(_), _) => self.mailboxes(name).await,
        }
    }

    /// An account that is not here.
    async fn account(&self, name: &str) -> Result<Done, MailError> {
        let meter = |done, total| {
            (self.steps)("restoring", done, total);
            Ok(())
        };
        let account = &self.wanted.account;
        let restored = self
            .mail
            .restore_account(self.from, account, name, self.taken, &meter)
            .await?;
        let line = format!("{name}: restored, {} messages", restored.emails);
        Ok((vec![line], restored.damaged))
    }

    /// What mailboxes of an account lack.
    async fn mailboxes(&self, name: &str) -> Result<Done, MailError> {
        let (_, target) = crate::admin::existing(self.mail, name).await?;
        let unknown = |_| {
            let text = format!("the backup has no account {}", self.wanted.account);
            MailError::new(MailErrorKind::NotFound, text)
        };
        let source = crate::admin::existing(self.from, &self.wanted.account).await;
        let (_, source) = source.map_err(unknown)?;
        let named = |text: &str| {
            MailboxName::new(text).map_err(|error| {
                MailError::new(MailErrorKind::Invalid, format!("mailbox: {}", error.0))
            })
        };
        let pairs: Vec<(MailboxName, MailboxName)> = match &self.wanted.mailbox {
            Some(mailbox) => {
                let into = self.wanted.into.as_ref().unwrap_or(mailbox);
                vec![(named(mailbox)?, named(into)?)]
            }
            None => {
                let tree = source.tree();
                let names = tree.folders.keys();
                names.map(|name| (name.clone(), name.clone())).collect()
            }
        };
        let same_line = self.same_store && source.id() == target.id();
        let (mut lines, mut damaged) = (Vec::new(), Vec::new());
        for (mailbox, into) in pairs {
            let meter = |done, total| {
                (self.steps)(mailbox.as_str(), done, total);
                Ok(())
            };
            let restored = target
                .restore_mailbox(&source, &mailbox, &into, same_line, &meter)
                .await?;
            let MailboxRestored { added, there, .. } = restored;
            lines.push(format!(
                "{name}: {into}: {added} messages restored, {there} were there"
            ));
            damaged.extend(restored.damaged);
        }
        Ok((lines, damaged))
    }
}
