//! From the mailbox names of a client to accounts and mailboxes: the only way there. Who may do
//! what is asked here, by what the name is wanted for, so that no command can forget it.

use super::Session;
use crate::grammar::mailbox::RawName;
use crate::refusal::{Code, Refusal};
use mail::Account;
use types::{MailboxId, MailboxName, Rights};

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

impl Session {
    /// Where a name leads, for commands to which the mailbox need not exist.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub async fn site(&self, raw: &RawName) -> Result<Site, Refusal> {
        let name = raw.name.clone()?;
        let account = self.state.account()?.clone();
        let shown = name.clone();
        Ok(Site {
            account,
            name,
            shown,
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

    async fn find(&self, raw: &RawName, _: Rights, missing: Code) -> Result<Place, Refusal> {
        let Site {
            account,
            name,
            shown,
        } = self.site(raw).await?;
        let found = account.tree().find(&name).map(|folder| folder.id);
        let id = found.ok_or(Refusal::no(missing, "no such mailbox"))?;
        Ok(Place {
            account,
            id,
            name,
            shown,
        })
    }
}
