//! The `store` directory: accounts kept by `gatepost account`.

use async_trait::async_trait;
use auth::{Directory, DirectoryError, Entry};
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
