//! What the command line asks of a store: the same requests whether they come through the control
//! socket of a running server or work on the store itself.

mod credential;
mod history;
mod undelete;

pub(crate) use undelete::Which;

use crate::backends::Backends;
use crate::backup::{self, Plan, Wanted};
use crate::limit::Limit;
use crate::policy;
use crate::progress::Steps;
use crate::time;
use crate::uidl::{self, Old};
use auth::Auth;
use mail::{Account, AccountInfo, Mail, MailError, MailErrorKind, QuotaLimits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use types::{Doors, Pop3Policy};

/// A request. Passwords arrive hashed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(crate) enum Request {
    AccountAdd {
        name: String,
        password: String,
    },
    AccountPasswd {
        name: String,
        password: String,
    },
    AccountList,
    AccountShow {
        name: String,
    },
    AccountQuota {
        name: String,
        bytes: Option<Limit>,
        messages: Option<Limit>,
        mailboxes: Option<Limit>,
    },
    AccountRemove {
        name: String,
    },
    UidlAdopt {
        name: String,
        mailbox: String,
        messages: Vec<Old>,
    },
    CredentialAdd {
        name: String,
        label: String,
        hash: String,
        doors: u8,
        policy: Option<Pop3Policy>,
    },
    CredentialList {
        name: String,
    },
    CredentialRevoke {
        name: String,
        label: String,
    },
    PolicyShow {
        name: String,
        /// Of an app password.
        credential: Option<String>,
        /// What the configuration says.
        otherwise: Pop3Policy,
    },
    PolicySet {
        name: String,
        credential: Option<String>,
        /// `None`: what the configuration says.
        policy: Option<Pop3Policy>,
    },
    PolicySimulate {
        /// `None`: all accounts.
        name: Option<String>,
        policy: Pop3Policy,
        days: u32,
    },
    History {
        name: String,
        message: Option<String>,
        limit: usize,
    },
    UndeleteList {
        name: String,
        which: Which,
        limit: usize,
    },
    UndeleteRestore {
        name: String,
        which: Which,
    },
    Verify {
        contents: bool,
    },
    Compact,
    /// Keeps the files of this moment where they are until the connection ends.
    Hold,
    /// Puts an account or a mailbox back from a backup.
    Restore(Wanted),
}

/// What requests are carried out with.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) mail: Mail,
    /// Of a running server.
    pub(crate) auth: Option<Arc<Auth>>,
    pub(crate) backends: Arc<Backends>,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Response {
    /// Done; lines to print.
    Done { lines: Vec<String> },
    /// Refused: the request cannot be carried out; nothing was changed.
    Refused { sentence: String },
    /// It was tried and something failed.
    Failed { sentence: String },
    /// Not the end: how far it is.
    Progress { step: String, done: u64, total: u64 },
    /// Held until the connection ends.
    Held { plan: Plan },
}

/// Carries a request out; `steps` hears how far it is if it takes long.
pub(crate) async fn run(tools: &Tools, steps: Steps, request: Request) -> Response {
    let (mail, auth) = (&tools.mail, tools.auth.as_deref());
    let forget = |name: &str| {
        if let Some(auth) = auth {
            auth.invalidate(name);
        }
    };
    let result = match request {
        Request::AccountAdd { name, password } => add(mail, &name, &password).await,
        Request::AccountPasswd { name, password } => {
            let result = mail.set_password(&name, Some(&password)).await;
            forget(&name);
            result.map(|()| vec![format!("{name}: password changed")])
        }
        Request::AccountList => list(mail).await,
        Request::AccountShow { name } => show(mail, &name).await,
        Request::AccountQuota {
            name,
            bytes,
            messages,
            mailboxes,
        } => quota(mail, &name, [bytes, messages, mailboxes]).await,
        Request::AccountRemove { name } => {
            let result = mail.remove_account(&name).await;
            if let Some(auth) = auth {
                auth.revoke(&name, None);
            }
            result.map(|()| vec![format!("{name}: removed")])
        }
        Request::UidlAdopt {
            name,
            mailbox,
            messages,
        } => uidl::adopt(mail, &name, &mailbox, &messages).await,
        Request::CredentialAdd {
            name,
            label,
            hash,
            doors,
            policy,
        } => {
            let new = credential::New {
                label,
                hash,
                doors: Doors(doors),
                policy,
            };
            credential::add(mail, auth, &name, &new).await
        }
        Request::CredentialList { name } => credential::list(mail, &name).await,
        Request::CredentialRevoke { name, label } => {
            credential::revoke(mail, auth, &name, &label).await
        }
        Request::PolicyShow {
            name,
            credential,
            otherwise,
        } => policy::show(mail, &name, credential.as_deref(), &otherwise).await,
        Request::PolicySet {
            name,
            credential,
            policy,
        } => policy::set(mail, &name, credential.as_deref(), policy.as_ref()).await,
        Request::PolicySimulate { name, policy, days } => {
            policy::simulate(mail, name.as_deref(), &policy, days).await
        }
        Request::History {
            name,
            message,
            limit,
        } => history::history(mail, &name, message.as_deref(), limit).await,
        Request::UndeleteList { name, which, limit } => {
            undelete::list(mail, &name, &which, limit).await
        }
        Request::UndeleteRestore { name, which } => undelete::restore(mail, &name, &which).await,
        Request::Verify { contents } => return verify(tools, &steps, contents).await,
        Request::Compact => return compact(tools, &steps).await,
        Request::Restore(wanted) => {
            let name = wanted.new_name.clone().unwrap_or(wanted.account.clone());
            let response = backup::restore_part(tools, wanted, steps).await;
            forget(&name);
            return response;
        }
        Request::Hold => {
            return Response::Refused {
                sentence: "nothing is held without a connection".to_owned(),
            };
        }
    };
    match result {
        Ok(lines) => Response::Done { lines },
        Err(error) if error.is_internal() => Response::Failed {
            sentence: error.to_string(),
        },
        Err(error) => Response::Refused {
            sentence: error.text,
        },
    }
}

/// An account that another directory knows has a record without a password; adding gives it one.
async fn add(mail: &Mail, name: &str, password: &str) -> Result<Vec<String>, MailError> {
    match mail.create_account(name, Some(password)).await {
        Err(error) if error.kind == MailErrorKind::Exists => {
            let known = mail.find_account(name).await?;
            if known.is_none_or(|info| info.password.is_some()) {
                return Err(error);
            }
            mail.set_password(name, Some(password)).await?;
        }
        Err(error) => return Err(error),
        Ok(info) => {
            mail.account(info.id).await?;
        }
    }
    Ok(vec![format!("{name}: added")])
}

async fn quota(
    mail: &Mail,
    name: &str,
    [bytes, messages, mailboxes]: [Option<Limit>; 3],
) -> Result<Vec<String>, MailError> {
    mail.change_limits(name, |limits| {
        let set = |limit: &mut Option<u64>, new: Option<Limit>| {
            if let Some(new) = new {
                *limit = new.own();
            }
        };
        set(&mut limits.bytes, bytes);
        set(&mut limits.messages, messages);
        set(&mut limits.mailboxes, mailboxes);
    })
    .await?;
    let Some(info) = mail.find_account(name).await? else {
        return Ok(Vec::new());
    };
    let limits = mail.account(info.id).await?.usage().limits;
    Ok(vec![format!("{}: {}", info.name, in_words(&limits))])
}

fn in_words(limits: &QuotaLimits) -> String {
    let words: Vec<String> = [
        (limits.bytes, "bytes"),
        (limits.messages, "messages"),
        (limits.mailboxes, "mailboxes"),
    ]
    .into_iter()
    .filter_map(|(limit, what)| limit.map(|n| format!("{n} {what}")))
    .collect();
    match words.is_empty() {
        true => "unlimited".to_owned(),
        false => words.join(", "),
    }
}

async fn list(mail: &Mail) -> Result<Vec<String>, MailError> {
    let mut lines = Vec::new();
    for info in mail.list_accounts().await? {
        let usage = mail.account(info.id).await?.usage();
        lines.push(format!(
            "{}\t{} messages\t{} bytes",
            info.name, usage.messages, usage.bytes
        ));
    }
    Ok(lines)
}

/// The account of a name. `NotFound`.
pub(crate) async fn known(mail: &Mail, name: &str) -> Result<AccountInfo, MailError> {
    mail.find_account(name).await?.ok_or_else(|| {
        MailError::new(
            MailErrorKind::NotFound,
            format!("there is no account {name}"),
        )
    })
}

/// The record of an account, and the account opened.
pub(crate) async fn existing(mail: &Mail, name: &str) -> Result<(AccountInfo, Account), MailError> {
    let info = known(mail, name).await?;
    let account = mail.account(info.id).await?;
    Ok((info, account))
}

async fn show(mail: &Mail, name: &str) -> Result<Vec<String>, MailError> {
    let (info, account) = existing(mail, name).await?;
    let usage = account.usage();
    let quota = in_words(&usage.limits);
    let mut lines = vec![
        format!("name\t{}", info.name),
        format!("id\t{}", info.id),
        format!(
            "password\t{}",
            if info.password.is_some() {
                "set"
            } else {
                "elsewhere"
            }
        ),
        format!("quota\t{quota}"),
        format!("usage\t{} messages\t{} bytes", usage.messages, usage.bytes),
    ];
    // Beside the quota: what was removed is nobody's any more.
    let removed = account.recoverable().await?;
    if let Some(oldest) = removed.oldest {
        lines.push(format!(
            "undelete\t{} messages\t{} bytes\tsince {}",
            removed.messages,
            removed.bytes,
            time::text(oldest)
        ));
    }
    let mixed = account.mixed_use();
    if mixed.is_mixed(time::now()) {
        lines.push(format!(
            "mixed use\tPOP3 removed from INBOX {}\tIMAP selected it {}",
            time::text(mixed.pop3_removed),
            time::text(mixed.imap)
        ));
    }
    for (name, folder) in &account.tree().folders {
        let summary = account.summary(folder.id)?;
        lines.push(format!(
            "mailbox\t{name}\t{} messages\t{} unseen\t{} bytes",
            summary.messages, summary.unseen, summary.bytes
        ));
    }
    Ok(lines)
}

async fn verify(tools: &Tools, steps: &Steps, contents: bool) -> Response {
    let step = |done, total| steps("checking messages", done, total);
    let mut problems = match tools.mail.check_with(contents, step).await {
        Ok(problems) => problems,
        Err(error) => {
            return Response::Failed {
                sentence: error.to_string(),
            };
        }
    };
    problems.extend(tools.backends.damaged_files().await);
    if problems.is_empty() {
        return Response::Done {
            lines: vec!["everything is as it should be".to_owned()],
        };
    }
    Response::Failed {
        sentence: problems.join("\n"),
    }
}

/// Lets go of what may go, and gives its space back.
async fn compact(tools: &Tools, steps: &Steps) -> Response {
    let before = tools.backends.packs.stats().bytes;
    steps("looking for what may go", 0, 3);
    if let Err(error) = tools.mail.sweep().await {
        return Response::Failed {
            sentence: error.to_string(),
        };
    }
    steps("rewriting packs", 1, 3);
    let collected = tools.backends.collect_all().await;
    steps("rewriting exports", 2, 3);
    let trimmed = tools.backends.meta.trim().await;
    match collected.and_then(|collected| trimmed.map(|()| collected)) {
        Ok(collected) => {
            let stats = tools.backends.packs.stats();
            Response::Done {
                lines: vec![
                    format!(
                        "{} packs rewritten, {} messages removed for good",
                        collected.packs, collected.blobs
                    ),
                    format!("packs took {before} bytes, and take {} now", stats.bytes),
                    format!(
                        "{} bytes wait for the end of their grace period",
                        stats.dead_bytes
                    ),
                ],
            }
        }
        Err(error) => Response::Failed {
            sentence: format!(
                "{}; nothing is lost, and it can be tried again",
                error.context
            ),
        },
    }
}
