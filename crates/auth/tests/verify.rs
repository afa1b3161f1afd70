//! `Auth::verify` over directories of every temper.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth::{
    AppPassword, AppPasswords, Auth, AuthError, Credential, Directory, DirectoryError, Entry,
    Login, NewSecret, Options, Principal, Secret,
};
use types::{CredentialId, Door, Doors};

/// bcrypt of "secret" at the lowest cost: expensive enough to be cached, cheap enough to test.
const SLOW: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

#[derive(Default)]
struct Users {
    entries: Mutex<HashMap<String, Entry>>,
    broken: Mutex<bool>,
    lookups: AtomicUsize,
}

impl Users {
    fn of(users: &[(&str, &str)]) -> Arc<Self> {
        let this = Self::default();
        for (name, hash) in users {
            this.set(name, Some(hash));
        }
        Arc::new(this)
    }

    fn set(&self, name: &str, hash: Option<&str>) {
        let entry = Entry {
            account_name: name.to_lowercase(),
            password: hash.map(ToOwned::to_owned),
        };
        self.entries.lock().unwrap().insert(name.to_owned(), entry);
    }
}

#[async_trait]
impl Directory for Users {
    fn kind(&self) -> &'static str {
        "test"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        if *self.broken.lock().unwrap() {
            return Err(DirectoryError::new("on fire"));
        }
        Ok(self.entries.lock().unwrap().get(name).cloned())
    }
}

fn auth(directories: &[&Arc<Users>]) -> Auth {
    let directories = directories
        .iter()
        .map(|d| Arc::clone(d) as Arc<dyn Directory>)
        .collect();
    Auth::new(
        directories,
        Options {
            failure_delay: Duration::ZERO,
            ..Options::default()
        },
    )
}

fn login(name: &str, password: &str) -> Login {
    Login {
        name: name.to_owned(),
        password: Secret::new(password),
        peer: None,
        door: Door::Imap,
    }
}

fn principal(name: &str, folder: Option<&str>) -> Result<Principal, AuthError> {
    Ok(Principal {
        account_name: name.to_owned(),
        folder: folder.map(ToOwned::to_owned),
        credential: Credential::password(),
    })
}

#[tokio::test]
async fn nonsense_is_refused_before_any_directory_is_asked() {
    let users = Users::of(&[("ann", "{PLAIN}secret")]);
    let auth = auth(&[&users]);
    let long = "x".repeat(2000);
    for (name, password) in [
        ("", "secret"),
        ("ann", ""),
        (&long, "secret"),
        ("ann", &long),
        ("ann\n", "s"),
        ("ann", "s\0"),
    ] {
        assert_eq!(
            auth.verify(&login(name, password)).await,
            Err(AuthError::Invalid)
        );
    }
    assert_eq!(users.lookups.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_unknown_user_costs_a_hash_of_the_same_scheme() {
    let users = Users::of(&[("ann", SLOW), ("locked", SLOW)]);
    users.set("locked", None);
    let auth = auth(&[&users]);
    let mut count = 0;
    for name in [
        "nobody",
        "ann",
        "nobody",
        "nobody",
        "locked",
        "locked+Work",
        "nobody+Work",
    ] {
        assert_eq!(
            auth.verify(&login(name, "wrong")).await,
            Err(AuthError::Invalid),
            "{name}"
        );
        count += 1;
        assert_eq!(auth.hashes_computed(), count, "{name}");
    }
    // Even the right password of somebody else is never remembered for an unknown name.
    for _ in 0..2 {
        assert_eq!(
            auth.verify(&login("nobody", "secret")).await,
            Err(AuthError::Invalid)
        );
        count += 1;
    }
    assert_eq!(auth.hashes_computed(), count);
}

#[tokio::test]
async fn the_first_directory_that_knows_the_name_decides() {
    let first = Users::of(&[("ann", "{PLAIN}one")]);
    let second = Users::of(&[("ann", "{PLAIN}two"), ("Bob", "{PLAIN}two")]);
    let auth = auth(&[&first, &second]);
    assert_eq!(
        auth.verify(&login("ann", "two")).await,
        Err(AuthError::Invalid)
    );
    assert_eq!(
        auth.verify(&login("ann", "one")).await,
        principal("ann", None)
    );
    assert_eq!(
        auth.verify(&login("Bob", "two")).await,
        principal("bob", None)
    );
    *first.broken.lock().unwrap() = true;
    assert!(matches!(
        auth.verify(&login("Bob", "two")).await,
        Err(AuthError::Temporary(_))
    ));
}

#[tokio::test]
async fn an_unusable_hash_is_our_fault() {
    let users = Users::of(&[("ann", "{ROT13}frperg")]);
    let result = auth(&[&users]).verify(&login("ann", "secret")).await;
    assert!(matches!(result, Err(AuthError::Temporary(reason)) if !reason.contains("frperg")));
}

#[tokio::test]
async fn a_folder_follows_the_name_unless_an_account_is_named_so() {
    let users = Users::of(&[
        ("ann", "{PLAIN}secret"),
        ("ann+work", "{PLAIN}other"),
        ("eve@x.org", "{PLAIN}secret"),
    ]);
    let auth = auth(&[&users]);
    assert_eq!(
        auth.verify(&login("ann+Lists/C++", "secret")).await,
        principal("ann", Some("Lists/C++"))
    );
    assert_eq!(
        auth.verify(&login("ann+work", "other")).await,
        principal("ann+work", None)
    );
    assert_eq!(
        auth.verify(&login("ann+work", "secret")).await,
        Err(AuthError::Invalid)
    );
    for name in ["eve@x.org+Work", "eve+Work@x.org"] {
        assert_eq!(
            auth.verify(&login(name, "secret")).await,
            principal("eve@x.org", Some("Work"))
        );
    }
    assert_eq!(
        auth.verify(&login("ann+", "secret")).await,
        Err(AuthError::Invalid)
    );
}

#[tokio::test]
async fn ten_connections_hash_once_and_a_changed_password_hashes_again() {
    let users = Users::of(&[("ann", SLOW)]);
    let auth = Arc::new(auth(&[&users]));
    for _ in 0..2 {
        let at_once: Vec<_> = (0..10)
            .map(|_| {
                let auth = Arc::clone(&auth);
                tokio::spawn(async move { auth.verify(&login("ann", "secret")).await })
            })
            .collect();
        for one in at_once {
            assert_eq!(one.await.unwrap(), principal("ann", None));
        }
        assert_eq!(auth.hashes_computed(), 1);
    }
    // A wrong password is never answered from the cache of the right one.
    assert_eq!(
        auth.verify(&login("ann", "wrong")).await,
        Err(AuthError::Invalid)
    );
    assert_eq!(auth.hashes_computed(), 2);

    auth.invalidate("ann");
    assert_eq!(
        auth.verify(&login("ann", "secret")).await,
        principal("ann", None)
    );
    assert_eq!(auth.hashes_computed(), 3);

    users.set("ann", Some(&auth::hash_password("new").unwrap()));
    assert_eq!(
        auth.verify(&login("ann", "secret")).await,
        Err(AuthError::Invalid)
    );
    assert_eq!(
        auth.verify(&login("ann", "new")).await,
        principal("ann", None)
    );
    assert_eq!(auth.hashes_computed(), 5);
}

#[tokio::test]
async fn hanging_up_while_hashing_disturbs_nobody() {
    let users = Users::of(&[("ann", SLOW)]);
    let auth = auth(&[&users]);
    let ann = login("ann", "secret");
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = auth.verify(&ann) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(auth.verify(&ann).await, principal("ann", None));
}

#[tokio::test]
async fn a_failing_peer_waits_longer_each_time_and_a_succeeding_one_never() {
    let users = Users::of(&[("ann", "{PLAIN}secret")]);
    let directories: Vec<Arc<dyn Directory>> = vec![users];
    let auth = Auth::new(directories, Options::default());
    tokio::time::pause();
    let mut waits = Vec::new();
    for password in ["x", "y", "secret", "z"] {
        let since = tokio::time::Instant::now();
        let peer = "192.0.2.1".parse().ok();
        let _ = auth
            .verify(&Login {
                peer,
                ..login("ann", password)
            })
            .await;
        waits.push(since.elapsed().as_millis() / 250);
    }
    assert_eq!(waits, [1, 2, 0, 4]);
}

/// App passwords of `ann`.
#[derive(Default)]
struct Devices(Mutex<Vec<AppPassword>>);

#[async_trait]
impl AppPasswords for Devices {
    async fn of(&self, account_name: &str) -> Result<Vec<AppPassword>, DirectoryError> {
        Ok(match account_name {
            "ann" => self.0.lock().unwrap().clone(),
            _ => Vec::new(),
        })
    }
}

fn by_app_password(id: u64, label: &str) -> Result<Principal, AuthError> {
    Ok(Principal {
        credential: Credential {
            id: CredentialId(id),
            label: Arc::from(label),
        },
        ..principal("ann", None)?
    })
}

#[tokio::test]
async fn an_app_password_opens_its_doors_until_it_is_revoked() {
    let users = Users::of(&[("ann", SLOW), ("bob", SLOW)]);
    users.set("eve", None);
    let devices = Arc::new(Devices::default());
    let auth = auth(&[&users]).with_app_passwords(devices.clone());
    let secrets: Vec<NewSecret> = (0..2).map(|_| NewSecret::generate().unwrap()).collect();
    let kept = |id: u64, label: &str, doors| AppPassword {
        id: CredentialId(id),
        label: Arc::from(label),
        doors,
        hash: secrets[id as usize - 1].hash.clone(),
    };
    let pop3 = Doors::default().with(Door::Pop3);
    *devices.0.lock().unwrap() = vec![kept(1, "phone", Doors::READING), kept(2, "desk", pop3)];
    let at = |door, secret: &str| Login {
        door,
        ..login("ann", secret)
    };
    let (phone, desk) = (secrets[0].shown.as_str(), secrets[1].shown.as_str());

    for door in [Door::Imap, Door::Pop3] {
        assert_eq!(
            auth.verify(&at(door, phone)).await,
            by_app_password(1, "phone")
        );
    }
    assert_eq!(
        auth.verify(&at(Door::Pop3, desk)).await,
        by_app_password(2, "desk")
    );
    assert_eq!(
        auth.verify(&at(Door::Imap, desk)).await,
        Err(AuthError::Refused(
            "this app password is for pop3 only".to_owned()
        ))
    );
    assert_eq!(auth.hashes_computed(), 0, "the slow hash was spared");
    // Nobody else's, and none of a user who is locked out.
    for name in ["bob", "eve", "nobody"] {
        assert_eq!(
            auth.verify(&login(name, phone)).await,
            Err(AuthError::Invalid)
        );
    }
    assert_eq!(
        auth.verify(&login("ann", "secret")).await,
        principal("ann", None)
    );

    let (phone_user, desk_user) = (by_app_password(1, "phone"), by_app_password(2, "desk"));
    let (on_phone, at_desk) = (phone_user.unwrap(), desk_user.unwrap());
    let ended = auth.watch(&on_phone).await.unwrap();
    let goes_on = auth.watch(&at_desk).await.unwrap();
    devices.0.lock().unwrap().remove(0);
    auth.revoke("ann", Some(CredentialId(1)));
    assert!(*ended.borrow() && !*goes_on.borrow());
    assert_eq!(
        auth.verify(&login("ann", phone)).await,
        Err(AuthError::Invalid)
    );
    // A session that logged in just before is told at once.
    assert_eq!(auth.watch(&on_phone).await.unwrap_err(), AuthError::Invalid);
}
