//! From the mailbox names of a client to accounts and mailboxes: the only way there. Who may do
//! what is asked here, by what the name is wanted for, so that no command can forget it; the
//! engine asks again where it acts.
//!
//! The mailboxes of others are below `Other Users/` and their account's name. A mailbox of the
//! client's own that has such a name (made before there were others', or by a delivery) comes
//! first, so that none is out of reach; no new ones can be made.

use super::Session;
use crate::grammar::mailbox::RawName;
use crate::refusal::{Code, Refusal};
use mail::Account;
use types::{MailboxId, MailboxName, Rights, SEPARATOR};

/// Above the mailboxes of others (RFC 2342 5).
pub const OTHER_USERS: &str = "Other Users";

const NOT_THERE: &str = "no such mailbox";

/// A name and the account whose tree it is in; whether there is a mailbox of that name is open.
pub struct Site {
    /// The account that owns what is or will be there, not always the one that logged in.
    pub account: Account,
    /// The name in that account.
    pub name: MailboxName,
    /// The name the client knows it by.
    pub shown: MailboxName,
}

/// A mailbox that is there.
pub struct Place {
    /// The account that owns it, not always the one that logged in.
    pub account: Account,
    /// Which of its mailboxes.
    pub id: MailboxId,
    /// The name in that account.
    pub name: MailboxName,
    /// The name the client knows it by.
    pub shown: MailboxName,
}

/// The name by which clients of other accounts know a mailbox; `None`: it is too long for one.
pub(super) fn name_for_others(owner: &str, name: &MailboxName) -> Option<MailboxName> {
    MailboxName::new(&format!("{OTHER_USERS}/{owner}/{name}")).ok()
}

/// What follows the prefix of others' mailboxes.
pub(super) fn below_others(name: &MailboxName) -> Option<&str> {
    let rest = name.as_str().strip_prefix(OTHER_USERS)?;
    match rest.strip_prefix(SEPARATOR) {
        None if !rest.is_empty() => None,
        below => Some(below.unwrap_or_default()),
    }
}

/// Whether a name is one for mailboxes of others, if the client has none of its own of that name.
pub(crate) fn is_for_others(name: &MailboxName) -> bool {
    below_others(name).is_some()
}

impl Session {
    /// Where a name leads, for commands to which the mailbox need not exist.
    ///
    /// # Errors
    /// What is wrong with the name; CANNOT for the names above others' mailboxes; NONEXISTENT for
    /// an account that is not there, as for one whose mailboxes the client must not know.
    pub async fn site(&self, raw: &RawName) -> Result<Site, Refusal> {
        let site = self.locate(raw).await?;
        site.ok_or_else(|| match &raw.name {
            Ok(name) if below_others(name).is_some_and(|rest| !rest.contains(SEPARATOR)) => {
                Refusal::no(Code::CANNOT, "that name leads to the mailboxes of others")
            }
            _ => Refusal::no(Code::NONEXISTENT, NOT_THERE),
        })
    }

    /// The mailbox of a name, for something that takes all of `rights`.
    ///
    /// # Errors
    /// What is wrong with the name; NONEXISTENT (RFC 5530 3), also for a mailbox the client may not
    /// know of; NOPERM.
    pub async fn place(&self, raw: &RawName, rights: Rights) -> Result<Place, Refusal> {
        self.find(raw, rights, Code::NONEXISTENT).await
    }

    /// The mailbox messages are to be put into.
    ///
    /// # Errors
    /// What is wrong with the name; TRYCREATE when it is not there (RFC 9051 6.4.7); NOPERM.
    pub async fn destination(&self, raw: &RawName) -> Result<Place, Refusal> {
        self.find(raw, Rights::INSERT, Code::TRYCREATE).await
    }

    async fn find(&self, raw: &RawName, rights: Rights, missing: Code) -> Result<Place, Refusal> {
        let site = self.locate(raw).await?;
        let found = site.and_then(|site| {
            let id = site.account.tree().find(&site.name)?.id;
            Some((site, id))
        });
        let Some((site, id)) = found else {
            return Err(Refusal::no(missing, NOT_THERE));
        };
        // RFC 4314 6: what must not be known is refused as if it were not there.
        site.account
            .require(id, rights)
            .map_err(|error| Refusal::from(error).not_found_as(missing))?;
        Ok(Place {
            account: site.account,
            id,
            name: site.name,
            shown: site.shown,
        })
    }

    /// The name by which the client knows a mailbox; `None` when it is gone.
    ///
    /// # Errors
    /// The store.
    pub async fn name_of(
        &self,
        account: &Account,
        id: MailboxId,
    ) -> Result<Option<MailboxName>, Refusal> {
        let name = account.name_of(id);
        if account.guest().is_none() {
            return Ok(name);
        }
        let owner = account.mail().account_name(account.id()).await?;
        Ok(name.and_then(|name| name_for_others(&owner?, &name)))
    }

    /// `None`: the name is among those of others' mailboxes, but there is nothing.
    async fn locate(&self, raw: &RawName) -> Result<Option<Site>, Refusal> {
        let shown = raw.name.clone()?;
        let own = self.state.account()?;
        let rest = below_others(&shown).filter(|_| own.tree().find(&shown).is_none());
        let Some(rest) = rest else {
            return Ok(Some(Site {
                account: own.clone(),
                name: shown.clone(),
                shown,
            }));
        };
        let Some((owner, name)) = rest.split_once(SEPARATOR) else {
            return Ok(None);
        };
        let name = MailboxName::new(name)?;
        let mail = &self.deps.mail;
        let info = mail.find_account(owner).await?;
        // One's own are not the mailboxes of others.
        let Some(info) = info.filter(|info| info.id != own.id()) else {
            return Ok(None);
        };
        let Some(shown) = name_for_others(&info.name, &name) else {
            return Ok(None);
        };
        let account = mail.account(info.id).await?.for_guest(own.id());
        Ok(Some(Site {
            account,
            name,
            shown,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_levels_lead_to_others() {
        for (name, rest) in [
            ("Other Users", Some("")),
            ("Other Users/bob", Some("bob")),
            ("Other Users/bob/a/b", Some("bob/a/b")),
            ("Other Users2", None),
            ("other users/bob", None),
            ("a/Other Users/bob", None),
        ] {
            assert_eq!(
                below_others(&MailboxName::new(name).unwrap()),
                rest,
                "{name}"
            );
        }
    }
}
