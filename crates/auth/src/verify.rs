//! [`Auth`]: from a login to a principal.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use types::{CredentialId, Door};

use crate::app_password::{AppPassword, AppPasswords, normal_form};
use crate::cache::Cache;
use crate::penalty::Penalties;
use crate::scheme::{DUMMY, Stored};
use crate::sessions::Sessions;
use crate::{Directory, DirectoryError, Entry, Secret};

/// Longer names and passwords are nobody's: some schemes take time for every octet.
const MAX_NAME: usize = 512;
const MAX_PASSWORD: usize = 1024;

/// What a client claims.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name as typed, possibly `user+Folder`.
    pub name: String,
    /// The password as typed.
    pub password: Secret,
    /// Where from, for the penalty after failures; `None` for local callers without an address.
    pub peer: Option<IpAddr>,
    /// Where it is tried: app passwords are for certain doors.
    pub door: Door,
}

/// By which secret somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its number in the account.
    pub id: CredentialId,
    /// What the owner calls it; empty for the account's password.
    pub label: Arc<str>,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account's canonical name.
    pub account_name: String,
    /// The folder of a `user+Folder` login (DESIGN 5.6), as typed after the `+`; never empty.
    pub folder: Option<String>,
    /// By which secret.
    pub credential: Credential,
}

impl Credential {
    /// The account's password.
    pub fn password() -> Self {
        Self {
            id: CredentialId::PASSWORD,
            label: Arc::from(""),
        }
    }
}

/// Why there is no principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// Wrong name or password; which of the two is never told.
    Invalid,
    /// Our fault: a directory is out of reach. The client may try again later.
    Temporary(String),
    /// Name and password may be right, but this login is not granted; the text may be shown.
    Refused(String),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("invalid credentials"),
            Self::Temporary(reason) | Self::Refused(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for AuthError {}

/// Settings of [`Auth`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a verified password needs no new hash.
    pub cache_ttl: Duration,
    /// How many verified logins are remembered.
    pub cache_size: usize,
    /// How many hashes may be computed at once.
    pub max_concurrent_hashes: usize,
    /// The delay after the first failure of a peer; doubles with each further one.
    pub failure_delay: Duration,
    /// The longest delay.
    pub max_failure_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_ttl: Duration::from_secs(300),
            cache_size: 10_000,
            max_concurrent_hashes: std::thread::available_parallelism().map_or(2, usize::from),
            failure_delay: Duration::from_millis(250),
            max_failure_delay: Duration::from_secs(4),
        }
    }
}

/// Verifies logins against directories, in order; the first that knows the name decides.
pub struct Auth {
    directories: Vec<Arc<dyn Directory>>,
    app_passwords: Option<Arc<dyn AppPasswords>>,
    sessions: Sessions,
    cache: Cache,
    penalties: Penalties,
    slots: Arc<Semaphore>,
    hashes: AtomicU64,
    /// What unknown users are measured against: the hash of the last known one, so that both cost
    /// the same whatever the scheme.
    template: Mutex<Arc<str>>,
}

impl Auth {
    /// With the directories in the order they are asked.
    pub fn new(directories: Vec<Arc<dyn Directory>>, options: Options) -> Self {
        Self {
            directories,
            app_passwords: None,
            sessions: Sessions::default(),
            cache: Cache::new(options.cache_ttl, options.cache_size),
            penalties: Penalties::new(options.failure_delay, options.max_failure_delay),
            slots: Arc::new(Semaphore::new(options.max_concurrent_hashes.max(1))),
            hashes: AtomicU64::new(0),
            template: Mutex::new(Arc::from(DUMMY)),
        }
    }

    /// Also takes the app passwords of those the directories know.
    #[must_use]
    pub fn with_app_passwords(mut self, app_passwords: Arc<dyn AppPasswords>) -> Self {
        self.app_passwords = Some(app_passwords);
        self
    }

    /// Checks a login. Takes as long for unknown names as for known ones, and longer for peers that
    /// keep failing. Dropping the future is harmless.
    pub async fn verify(&self, login: &Login) -> Result<Principal, AuthError> {
        let result = self.check(login).await;
        if result == Err(AuthError::Invalid) {
            tokio::time::sleep(self.penalties.failed(login.peer)).await;
        }
        result
    }

    /// The canonical name of the account some directory knows by exactly this name (no `+Folder` is
    /// looked for), without a password: for delivery.
    pub async fn exists(&self, name: &str) -> Result<Option<String>, AuthError> {
        if !(1..=MAX_NAME).contains(&name.len()) || name.contains(char::is_control) {
            return Ok(None);
        }
        Ok(self.lookup(name).await?.map(|entry| entry.account_name))
    }

    /// Forgets verified passwords of an account, after its password changed or it was removed.
    /// (A changed stored hash is noticed without this.)
    pub fn invalidate(&self, account_name: &str) {
        self.cache.invalidate(account_name);
    }

    /// For a session that has just logged in: becomes `true` when it must end, because its
    /// credential was revoked or its account removed. `Invalid` when that has happened already.
    pub async fn watch(&self, principal: &Principal) -> Result<watch::Receiver<bool>, AuthError> {
        let (name, id) = (&principal.account_name, principal.credential.id);
        let watch = self.sessions.watch(name, id);
        // Between the check and this moment it may have been revoked; from now on it is noticed.
        let app_password = id != CredentialId::PASSWORD;
        if app_password
            && !self
                .app_passwords_of(name)
                .await?
                .iter()
                .any(|kept| kept.id == id)
        {
            return Err(AuthError::Invalid);
        }
        Ok(watch)
    }

    /// Ends the sessions that logged in by a credential of an account, or by any of them, and
    /// forgets verified passwords. Call it once the credential is no longer kept.
    pub fn revoke(&self, account_name: &str, credential: Option<CredentialId>) {
        self.cache.invalidate(account_name);
        self.sessions.end(account_name, credential);
    }

    /// How many passwords were hashed since the start; the cache shows as a difference to logins.
    pub fn hashes_computed(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    async fn check(&self, login: &Login) -> Result<Principal, AuthError> {
        let password = login.password.expose();
        let fit = (1..=MAX_NAME).contains(&login.name.len())
            && (1..=MAX_PASSWORD).contains(&password.len())
            && !password.contains(&0)
            && !login.name.contains(char::is_control);
        if !fit {
            return Err(AuthError::Invalid);
        }
        let Some((entry, folder)) = self.resolve(&login.name).await? else {
            self.measure(&login.password).await?;
            return Err(AuthError::Invalid);
        };
        // A user who cannot log in with a password cannot with an app password either: that is how
        // a directory locks somebody out.
        let Some(stored) = entry.password else {
            self.measure(&login.password).await?;
            return Err(AuthError::Invalid);
        };
        if let Some(credential) = self.app_password(&entry.account_name, login).await? {
            return Ok(Principal {
                account_name: entry.account_name,
                folder,
                credential,
            });
        }
        let stored: Arc<str> = Arc::from(stored);
        *self.template.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&stored);
        if self
            .matches(&entry.account_name, &login.password, stored)
            .await?
        {
            Ok(Principal {
                account_name: entry.account_name,
                folder,
                credential: Credential::password(),
            })
        } else {
            Err(AuthError::Invalid)
        }
    }

    /// The app password of `account` that was typed, if one was.
    async fn app_password(
        &self,
        account: &str,
        login: &Login,
    ) -> Result<Option<Credential>, AuthError> {
        if self.app_passwords.is_none() {
            return Ok(None);
        }
        let Some(letters) = normal_form(login.password.expose()) else {
            return Ok(None);
        };
        let kept = self.app_passwords_of(account).await?;
        let Some(found) = kept.into_iter().find(|kept| kept.matches(&letters)) else {
            return Ok(None);
        };
        if !found.doors.contains(login.door) {
            tracing::warn!(account, credential = &*found.label, door = %login.door,
                allowed = %found.doors, "app password used at the wrong door");
            let text = format!("this app password is for {} only", found.doors);
            return Err(AuthError::Refused(text));
        }
        Ok(Some(Credential {
            id: found.id,
            label: found.label,
        }))
    }

    async fn app_passwords_of(&self, account: &str) -> Result<Vec<AppPassword>, AuthError> {
        let Some(kept) = &self.app_passwords else {
            return Ok(Vec::new());
        };
        kept.of(account).await.map_err(|error: DirectoryError| {
            tracing::error!(%error, "app passwords unavailable");
            unavailable()
        })
    }

    /// Finds the user: by the exact name, then by what stands before a `+` (DESIGN 5.6).
    async fn resolve(&self, name: &str) -> Result<Option<(Entry, Option<String>)>, AuthError> {
        if let Some(entry) = self.lookup(name).await? {
            return Ok(Some((entry, None)));
        }
        for (base, folder) in split_folder(name) {
            if let Some(entry) = self.lookup(&base).await? {
                return Ok(Some((entry, Some(folder))));
            }
        }
        Ok(None)
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, AuthError> {
        for directory in &self.directories {
            match directory.lookup(name).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => {
                    tracing::error!(directory = directory.kind(), %error, "directory unavailable");
                    // The next one may not decide: this one might have known the name.
                    return Err(unavailable());
                }
            }
        }
        Ok(None)
    }

    /// Takes as long as checking a password of a known user.
    async fn measure(&self, password: &Secret) -> Result<(), AuthError> {
        let template = Arc::clone(&self.template.lock().unwrap_or_else(PoisonError::into_inner));
        // No account has this name, so no proof of it is ever in the cache.
        self.matches("", password, template).await.map(drop)
    }

    async fn matches(
        &self,
        account: &str,
        password: &Secret,
        stored: Arc<str>,
    ) -> Result<bool, AuthError> {
        let parsed = Stored::parse(&stored).map_err(|error| {
            tracing::error!(account, %error, "stored password not usable");
            unavailable()
        })?;
        if parsed.is_cheap() {
            self.hashes.fetch_add(1, Ordering::Relaxed);
            return Ok(parsed.verify(password.expose()));
        }
        let proof = self.cache.proof(account, password.expose(), &stored);
        if self.cache.contains(&proof) {
            return Ok(true);
        }
        let shared = self.cache.share(proof);
        let matches = *shared
            .cell
            .get_or_try_init(|| self.hash(password, stored.clone()))
            .await?;
        if matches && !account.is_empty() {
            self.cache.insert(proof, account);
        }
        Ok(matches)
    }

    /// On a thread where blocking is allowed, and no more at once than there are cores.
    async fn hash(&self, password: &Secret, stored: Arc<str>) -> Result<bool, AuthError> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| unavailable())?;
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let password = password.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            // The slot goes along: a client that hangs up does not make room for another hash.
            let _slot = slot;
            Stored::parse(&stored).is_ok_and(|stored| stored.verify(password.expose()))
        });
        hashing.await.map_err(|error| {
            tracing::error!(%error, "hashing failed");
            unavailable()
        })
    }
}

fn unavailable() -> AuthError {
    AuthError::Temporary("the user directory is not available".to_owned())
}

/// The ways to read `user+Folder`: with a domain after the folder, or the folder after all.
fn split_folder(name: &str) -> Vec<(String, String)> {
    let Some((user, rest)) = name.split_once('+') else {
        return Vec::new();
    };
    let with_domain = rest
        .rsplit_once('@')
        .map(|(folder, domain)| (format!("{user}@{domain}"), folder.to_owned()));
    with_domain
        .into_iter()
        .chain([(user.to_owned(), rest.to_owned())])
        .filter(|(user, folder)| !user.is_empty() && !folder.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::split_folder;

    #[test]
    fn a_folder_may_stand_before_or_after_the_domain() {
        let split = |name| {
            let parts = split_folder(name);
            parts
                .iter()
                .map(|(u, f)| format!("{u} {f}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(split("ann"), [""; 0]);
        assert_eq!(split("ann+"), [""; 0]);
        assert_eq!(split("+Work"), [""; 0]);
        assert_eq!(split("ann+Work/C++"), ["ann Work/C++"]);
        assert_eq!(split("ann@x.org+Work"), ["ann@x.org Work"]);
        assert_eq!(
            split("ann+Work@x.org"),
            ["ann@x.org Work", "ann Work@x.org"]
        );
    }
}
