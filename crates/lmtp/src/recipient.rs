//! From a forward-path to an account and a folder (DESIGN 6).

use auth::AuthError;
use mail::{Account, MailError};
use types::{MailboxId, MailboxName};

use crate::address::Path;
use crate::reply::Reply;
use crate::{Deps, Settings};

/// An accepted recipient.
#[derive(Clone)]
pub(crate) struct Recipient {
    pub(crate) account: Account,
    pub(crate) folder: Folder,
    /// The forward-path as written, for Delivered-To.
    pub(crate) address: String,
}

/// Where in the account the message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Folder {
    Existing(MailboxId, MailboxName),
    /// To be made by the delivery.
    New(MailboxName),
}

impl Folder {
    pub(crate) fn name(&self) -> &MailboxName {
        match self {
            Self::Existing(_, name) | Self::New(name) => name,
        }
    }
}

/// Finds the recipient and checks that `size` more octets fit.
pub(crate) async fn resolve(deps: &Deps, path: Path, size: u64) -> Result<Recipient, Reply> {
    let refused = |error: MailError| Reply::of(&error, deps.settings.over_quota_temporary);
    let (name, folder) = find(deps, &path).await?.ok_or(Reply::UNKNOWN_USER)?;
    let info = deps.mail.ensure_account(&name).await.map_err(refused)?;
    let account = deps.mail.account(info.id).await.map_err(refused)?;
    // An account that is full takes nothing, however small.
    account.check_quota(size.max(1)).map_err(refused)?;
    let folder = folder_of(&account, folder, deps.settings.create_folders);
    Ok(Recipient {
        account,
        folder: folder.map_err(refused)?,
        address: path.raw,
    })
}

/// The account's canonical name and the folder behind the `+`.
async fn find<'p>(deps: &Deps, path: &'p Path) -> Result<Option<(String, Option<&'p str>)>, Reply> {
    for (name, folder) in readings(&deps.settings, path) {
        match deps.auth.exists(&name).await {
            Ok(Some(account)) => return Ok(Some((account, folder))),
            Ok(None) => {}
            Err(AuthError::Temporary(reason)) => {
                tracing::warn!(%reason, "cannot look up recipient");
                return Err(Reply::UNAVAILABLE);
            }
            Err(AuthError::Invalid | AuthError::Refused(_)) => return Ok(None),
        }
    }
    Ok(None)
}

/// The account names a path may mean, most exact first: the whole address; its local part where the
/// domain is ours; then both without `+Folder`.
fn readings<'p>(
    settings: &Settings,
    path: &'p Path,
) -> impl Iterator<Item = (String, Option<&'p str>)> {
    let is_ours = path
        .domain
        .as_deref()
        .is_none_or(|domain| settings.is_ours(domain));
    let detail = path
        .local
        .split_once('+')
        .filter(|(user, folder)| !user.is_empty() && !folder.is_empty());
    let users = [Some((path.local.as_str(), None))]
        .into_iter()
        .chain([detail.map(|(user, folder)| (user, Some(folder)))])
        .flatten();
    users.flat_map(move |(user, folder)| {
        let full = path
            .domain
            .as_ref()
            .map(|domain| (format!("{user}@{domain}"), folder));
        let bare = is_ours.then(|| (user.to_owned(), folder));
        full.into_iter().chain(bare)
    })
}

impl Settings {
    /// Whether recipients of a domain are accounts by their local part.
    fn is_ours(&self, domain: &str) -> bool {
        let ours = self.domains.iter().map(String::as_str);
        ours.chain([self.hostname.as_str(), "localhost"])
            .any(|d| d.eq_ignore_ascii_case(domain))
    }
}

fn folder_of(account: &Account, wanted: Option<&str>, create: bool) -> Result<Folder, MailError> {
    let tree = account.tree();
    // A name no mailbox can have is not worth a bounce.
    let wanted = wanted.and_then(|name| MailboxName::new(name).ok());
    if let Some(name) = wanted {
        // Mail systems on the way may have changed letter case.
        let found = tree.find(&name).map(|folder| (&name, folder)).or_else(|| {
            let lower = name.as_str().to_lowercase();
            tree.folders
                .iter()
                .find(|(other, _)| other.as_str().to_lowercase() == lower)
        });
        match found {
            Some((name, folder)) => return Ok(Folder::Existing(folder.id, name.clone())),
            None if create => return Ok(Folder::New(name)),
            None => {}
        }
    }
    inbox(account)
}

/// The account's INBOX.
pub(crate) fn inbox(account: &Account) -> Result<Folder, MailError> {
    let name = MailboxName::inbox();
    match account.tree().find(&name) {
        Some(folder) => Ok(Folder::Existing(folder.id, name)),
        None => Err(MailError::new(
            mail::MailErrorKind::Unavailable,
            "account without INBOX",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_exactly_first_and_by_local_part_only_in_our_domains() {
        let settings = Settings {
            hostname: "mx.example.org".to_owned(),
            domains: vec!["example.org".to_owned()],
            ..Settings::default()
        };
        let read = |text: &str| {
            let text = format!("TO:<{text}>");
            let (path, _) = crate::address::parse("TO", text.as_bytes()).expect("a path");
            let read = readings(&settings, &path);
            read.map(|(name, folder)| format!("{name} {}", folder.unwrap_or("-")))
                .collect::<Vec<_>>()
        };
        assert_eq!(read("ann"), ["ann -"]);
        assert_eq!(read("ann@Example.ORG"), ["ann@Example.ORG -", "ann -"]);
        assert_eq!(read("ann@localhost"), ["ann@localhost -", "ann -"]);
        assert_eq!(read("ann@other.org"), ["ann@other.org -"]);
        assert_eq!(read("ann+@other.org"), ["ann+@other.org -"]);
        assert_eq!(read("ann+a+b"), ["ann+a+b -", "ann a+b"]);
        assert_eq!(
            read("ann+x@other.org"),
            ["ann+x@other.org -", "ann@other.org x"]
        );
        assert_eq!(
            read("ann+x@mx.example.org"),
            [
                "ann+x@mx.example.org -",
                "ann+x -",
                "ann@mx.example.org x",
                "ann x"
            ]
        );
    }
}
