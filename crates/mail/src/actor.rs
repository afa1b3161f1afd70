//! Who acts on an account: what a front knows of its client and the engine writes down.

use crate::{Account, Mail, MailError};
use std::net::IpAddr;
use std::sync::Arc;
use types::{AccountId, CredentialId, Door};

/// On whose behalf an [`Account`] handle is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Where they came in.
    pub door: Door,
    /// The account that logged in, which need not be the one acted on.
    pub user: Option<AccountId>,
    /// By which of its secrets.
    pub credential: CredentialId,
    /// What the owner calls that secret; empty for the account's password.
    pub label: Arc<str>,
    /// Where from.
    pub peer: Option<IpAddr>,
}

impl Actor {
    /// The server itself, or whoever runs it.
    pub fn server() -> Self {
        Self {
            door: Door::Server,
            user: None,
            credential: CredentialId::PASSWORD,
            label: Arc::from(""),
            peer: None,
        }
    }
}

impl Account {
    /// The same account, used on somebody's behalf: so are the mailboxes selected through it.
    #[must_use]
    pub fn acting_as(&self, actor: Arc<Actor>) -> Self {
        Self(self.0.clone(), actor, self.2)
    }

    /// On whose behalf this handle is used.
    pub fn actor(&self) -> &Arc<Actor> {
        &self.1
    }
}

impl Mail {
    /// The account of somebody a directory knows by this name and who has just logged in as
    /// `actor`; made when the store has none yet. Notes the time (see [`Account::last_uses`]).
    pub async fn log_in(&self, name: &str, mut actor: Actor) -> Result<Account, MailError> {
        let info = self.ensure_account(name).await?;
        let account = self.account(info.id).await?;
        actor.user = Some(info.id);
        self.note_use(&actor);
        Ok(account.acting_as(Arc::new(actor)))
    }
}
