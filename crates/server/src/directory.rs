//! What the store knows of users: accounts and app passwords, both kept by `gatepost account`.

use async_trait::async_trait;
use auth::{AppPassword, AppPasswords, Directory, DirectoryError, Entry};
use mail::Mail;

pub(crate) struct StoreDirectory(pub(crate) Mail);

#[async_trait]
impl Directory for StoreDirectory {
    fn kind(&self) -> &'static str {
        "store"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        let info = self.0.find_account(name).await;
        let info = info.map_err(|error| DirectoryError::new(error.to_string()))?;
        // An account without a password was made at the first login or delivery of a user whom
        // another directory knows: that directory decides.
        Ok(info.and_then(|info| {
            let password = Some(info.password?);
            Some(Entry {
                account_name: info.name,
                password,
            })
        }))
    }
}

/// The app passwords of everybody some directory knows.
pub(crate) struct StoreAppPasswords(pub(crate) Mail);

#[async_trait]
impl AppPasswords for StoreAppPasswords {
    async fn of(&self, account_name: &str) -> Result<Vec<AppPassword>, DirectoryError> {
        let kept = self.0.credentials(account_name).await;
        let kept = kept.map_err(|error| DirectoryError::new(error.to_string()))?;
        let kept = kept.into_iter().map(|credential| AppPassword {
            id: credential.id,
            label: credential.label.into(),
            doors: credential.doors,
            hash: credential.hash,
        });
        Ok(kept.collect())
    }
}
