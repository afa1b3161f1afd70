//! `gatepost account credential`.

use super::existing;
use crate::time;
use auth::Auth;
use mail::{Account, LastUse, Mail, MailError};
use types::{CredentialId, Doors};

pub(super) async fn add(
    mail: &Mail,
    auth: Option<&Auth>,
    name: &str,
    label: &str,
    hash: &str,
    doors: Doors,
) -> Result<Vec<String>, MailError> {
    // Somebody another directory knows has no record here before the first login or delivery.
    if let Some(auth) = auth
        && let Ok(Some(known)) = auth.exists(name).await
    {
        mail.ensure_account(&known).await?;
    }
    let (info, account) = existing(mail, name).await?;
    let added = account.add_credential(label, hash, doors).await?;
    let text = format!(
        "{}: {} added for {}; the password is shown only now:",
        info.name, added.label, added.doors
    );
    Ok(vec![text])
}

pub(super) async fn list(mail: &Mail, name: &str) -> Result<Vec<String>, MailError> {
    let (_, account) = existing(mail, name).await?;
    let mut lines = Vec::new();
    for credential in account.credentials().await? {
        lines.push(format!(
            "{}\t{}\tmade {}\t{}",
            credential.label,
            credential.doors,
            time::text(credential.made),
            last_use(&account, credential.id).await?
        ));
    }
    Ok(lines)
}

/// The last use of a secret in words.
pub(super) async fn last_use(account: &Account, id: CredentialId) -> Result<String, MailError> {
    let uses = account.last_uses().await?;
    let last = uses
        .into_iter()
        .filter(|last| last.credential == id)
        .max_by_key(|last| last.at);
    Ok(match last {
        None => "never used".to_owned(),
        Some(LastUse { door, at, peer, .. }) => {
            let from = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
            format!("used {} by {door}{from}", time::text(at))
        }
    })
}

pub(super) async fn revoke(
    mail: &Mail,
    auth: Option<&Auth>,
    name: &str,
    label: &str,
) -> Result<Vec<String>, MailError> {
    let (info, account) = existing(mail, name).await?;
    let gone = account.revoke_credential(label).await?;
    if let Some(auth) = auth {
        auth.revoke(&info.name, Some(gone.id));
    }
    Ok(vec![format!("{}: {} revoked", info.name, gone.label)])
}
