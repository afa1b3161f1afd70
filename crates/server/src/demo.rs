//! `gatepost demo`: everything on loopback, with an account and mail to look at.

use crate::app;
use crate::config::Config;
use crate::failure::Failure;
use bytes::Bytes;
use mail::{Mail, NewMessage};
use net::Tls;
use std::path::{Path, PathBuf};
use storage::Provenance;
use types::{Flags, MailboxName};

/// Name and password of the account.
const DEMO: &str = "demo";

/// The mail in its INBOX.
const SAMPLES: [&str; 3] = [
    include_str!("../samples/welcome.eml"),
    include_str!("../samples/two-doors.eml"),
    include_str!("../samples/picture.eml"),
];

pub(crate) async fn run(dir: Option<PathBuf>) -> Result<(), Failure> {
    let temporary = match &dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("gatepost-demo-")
                .tempdir()
                .map_err(|error| Failure::trouble(format!("no temporary directory: {error}")))?,
        ),
    };
    let data_dir = match (&temporary, dir) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, Some(dir)) => dir,
        (None, None) => return Err(Failure::trouble("no directory")),
    };
    let tls = Tls::self_signed(&["localhost", "127.0.0.1"])
        .map_err(|error| Failure::trouble(error.to_string()))?;
    app::serve_with(config(&data_dir)?, Some(tls), prepare).await
}

fn config(data_dir: &Path) -> Result<Config, Failure> {
    let data_dir = std::path::absolute(data_dir)
        .map_err(|error| Failure::refused(format!("{}: {error}", data_dir.display())))?;
    let mut config = Config::demo();
    config.data_dir = data_dir;
    Ok(config)
}

async fn prepare(mail: &Mail) -> Result<(), Failure> {
    if mail.find_account(DEMO).await?.is_none() {
        let hash = auth::hash_password(DEMO)
            .map_err(|error| Failure::trouble(format!("cannot hash the password: {error}")))?;
        let info = mail.create_account(DEMO, Some(&hash)).await?;
        let account = mail.account(info.id).await?;
        let inbox = account
            .tree()
            .find(&MailboxName::inbox())
            .map(|folder| folder.id);
        let inbox = inbox.ok_or_else(|| Failure::trouble("the new account has no INBOX"))?;
        for sample in SAMPLES {
            let origin = Provenance {
                owners: vec![(info.id, "INBOX".to_owned())],
                ..Provenance::default()
            };
            let bytes = Bytes::from(sample.replace("\r\n", "\n").replace('\n', "\r\n"));
            let content = mail.ingest(bytes, &origin).await?;
            let message = NewMessage {
                content,
                prefix: Bytes::new(),
                flags: Flags::NONE,
                keywords: Vec::new(),
                internal_date: None,
            };
            account.append(inbox, vec![message]).await?;
        }
    }
    println!("account demo, password demo; stop with Ctrl-C");
    Ok(())
}
