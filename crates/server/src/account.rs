//! `gatepost account`, `history`, `undelete`, `verify` and `compact`: through the control socket
//! when the server runs, on the store itself when it does not.

use crate::admin::{self, Request, Response, Tools};
use crate::backends::Backends;
use crate::cli::{AccountCommand, CredentialCommand, Named, UndeleteCommand};
use crate::config::Config;
use crate::control;
use crate::failure::Failure;
use crate::progress::{Progress, Steps};
use auth::NewSecret;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use types::Doors;

pub(crate) async fn run(command: AccountCommand) -> Result<(), Failure> {
    let (config, request) = match command {
        AccountCommand::Add(named) => {
            let password = read_password()?;
            (
                named.config,
                Request::AccountAdd {
                    name: named.name,
                    password,
                },
            )
        }
        AccountCommand::Passwd(named) => {
            let password = read_password()?;
            (
                named.config,
                Request::AccountPasswd {
                    name: named.name,
                    password,
                },
            )
        }
        AccountCommand::List { config } => (config, Request::AccountList),
        AccountCommand::Show(named) => (named.config, Request::AccountShow { name: named.name }),
        AccountCommand::Quota {
            named,
            bytes,
            messages,
            mailboxes,
        } => (
            named.config,
            Request::AccountQuota {
                name: named.name,
                bytes,
                messages,
                mailboxes,
            },
        ),
        AccountCommand::Credential(command) => return credential(command).await,
        AccountCommand::Remove(named) => {
            (named.config, Request::AccountRemove { name: named.name })
        }
    };
    carry_out(&config, request).await
}

async fn credential(command: CredentialCommand) -> Result<(), Failure> {
    match command {
        CredentialCommand::Add {
            named,
            label,
            protocols,
            policy,
        } => {
            let secret = NewSecret::generate()
                .map_err(|error| Failure::trouble(format!("cannot make a password: {error}")))?;
            let doors = protocols
                .into_iter()
                .fold(Doors::default(), |doors, protocol| {
                    doors.with(protocol.into())
                });
            let request = Request::CredentialAdd {
                name: named.name,
                label,
                hash: secret.hash,
                doors: doors.0,
                policy,
            };
            carry_out(&named.config, request).await?;
            // Only once it is kept: what was refused must not look like a password.
            println!("{}", secret.shown);
            Ok(())
        }
        CredentialCommand::List(named) => {
            carry_out(&named.config, Request::CredentialList { name: named.name }).await
        }
        CredentialCommand::Revoke { named, label } => {
            let name = named.name;
            carry_out(&named.config, Request::CredentialRevoke { name, label }).await
        }
    }
}

pub(crate) async fn history(
    named: Named,
    message: Option<String>,
    limit: usize,
) -> Result<(), Failure> {
    let request = Request::History {
        name: named.name,
        message,
        limit,
    };
    carry_out(&named.config, request).await
}

pub(crate) async fn undelete(command: UndeleteCommand) -> Result<(), Failure> {
    match command {
        UndeleteCommand::List {
            named,
            which,
            limit,
        } => {
            let name = named.name;
            carry_out(&named.config, Request::UndeleteList { name, which, limit }).await
        }
        UndeleteCommand::Restore { named, which, all } => {
            if which.is_empty() != all {
                return Err(Failure::refused(
                    "say what to restore: --mailbox, --hours, --message, or --all",
                ));
            }
            let name = named.name;
            carry_out(&named.config, Request::UndeleteRestore { name, which }).await
        }
    }
}

pub(crate) async fn verify(config: &Path, contents: bool) -> Result<(), Failure> {
    carry_out(config, Request::Verify { contents }).await
}

pub(crate) async fn compact(config: &Path) -> Result<(), Failure> {
    carry_out(config, Request::Compact).await
}

/// Opens the store and closes it: the start makes an index anew that is mostly free space.
async fn reopen(config: &Config) -> Result<(), Failure> {
    let backends = Backends::open(config, net::Metrics::new(env!("CARGO_PKG_VERSION"))).await?;
    let mail = backends.engine(config.mail_options()).await?;
    Ok(mail.close().await?)
}

pub(crate) async fn carry_out(config: &Path, request: Request) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let progress = Arc::new(Progress::new());
    let shown = progress.clone();
    let in_bytes = matches!(request, Request::Restore(_));
    let steps: Steps = Arc::new(move |step, done, total| match in_bytes {
        true => shown.bytes(step, done, total),
        false => shown.count(step, done, total),
    });
    let response = match control::ask(&config.data_dir, &request, &steps).await {
        Some(response) => response?,
        None => on_the_store(&config, request, steps.clone()).await?,
    };
    // A bar goes before the answer comes.
    drop((steps, progress));
    match response {
        Response::Done { lines } => {
            lines.iter().for_each(|line| println!("{line}"));
            Ok(())
        }
        Response::Refused { sentence } => Err(Failure::refused(sentence)),
        Response::Failed { sentence } => Err(Failure::trouble(sentence)),
        Response::Progress { .. } | Response::Held { .. } => {
            Err(Failure::trouble("the running server gave a strange answer"))
        }
    }
}

async fn on_the_store(
    config: &Config,
    request: Request,
    steps: Steps,
) -> Result<Response, Failure> {
    let backends = Backends::open_quietly(config).await?;
    let mail = backends.engine(config.mail_options()).await?;
    let tools = Tools {
        mail,
        auth: None,
        backends: Arc::new(backends),
    };
    let is_compact = matches!(request, Request::Compact);
    let response = admin::run(&tools, steps, request).await;
    tools.mail.close().await?;
    drop(tools);
    if is_compact {
        reopen(config).await?;
    }
    Ok(response)
}

/// The first line of standard input, hashed.
fn read_password() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::refused(format!("cannot read the password: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::refused(
            "give the password as the first line of standard input",
        ));
    }
    auth::hash_password(password)
        .map_err(|error| Failure::trouble(format!("cannot hash the password: {error}")))
}
