//! `gatepost recover` (DESIGN 3.6): metadata made anew where it was lost or damaged, from what can
//! still be read of it and from the mail itself, each message of which knows its owners, their
//! folders and its date at delivery.
//!
//! The new metadata is made beside the old, and takes its place when it is whole: a recovery that
//! was interrupted is begun anew and ends the same. The old is set aside and never removed.

mod base;
mod report;
mod seen;

use crate::backends::{meta_dir, open_meta, open_packs, refusal};
use crate::config::Config;
use crate::failure::Failure;
use crate::format;
use crate::progress::Progress;
use crate::time;
use base::{Base, begin, swap};
use blob_packs::PackStore;
use mail::{AccountInfo, AccountNote, Floor, Mail, QuotaLimits, Remembered};
use net::Metrics;
use report::{AccountReport, Report};
use seen::{Message, Seen, UNOWNED};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use storage::{BlobStore, MetaStore};
use types::{AccountId, BlobHash};

/// Messages put back by one commit, and their octets.
const BATCH: usize = 256;
const BATCH_BYTES: u64 = 16 << 20;

/// The account of messages whose owner cannot be read any more.
const UNOWNED_NAME: &str = "recovered-unowned";

pub(crate) async fn run(config: &Path, force: bool) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let place = Place::of(&config);
    if !place.packs.is_dir() {
        return Err(Failure::refused(format!(
            "there is no mail in {}: nothing to recover from",
            place.packs.display()
        )));
    }
    format::check(&config.data_dir)?;
    let work = Work {
        metrics: Metrics::new(env!("CARGO_PKG_VERSION")),
        progress: Arc::new(Progress::new()),
        config,
        place,
    };
    let (packs, base) = work.open(force).await?;
    let report = work.rebuild(packs, base).await?;
    let text = report.text();
    print!("{text}");
    let file = work.place.report();
    match fs::write(&file, &text) {
        Ok(()) => println!("This report is kept in {}.", file.display()),
        Err(error) => tracing::warn!(%error, file = %file.display(), "the report is not kept"),
    }
    match report.lost() {
        0 => Ok(()),
        n => Err(Failure::trouble(format!(
            "{n} messages or stretches of packs could not be recovered; they are named above"
        ))),
    }
}

/// Where things lie.
struct Place {
    data: PathBuf,
    packs: PathBuf,
    meta: PathBuf,
    /// The new metadata while it is made.
    new: PathBuf,
}

impl Place {
    fn of(config: &Config) -> Self {
        let data = config.data_dir.clone();
        Self {
            packs: data.join("packs"),
            meta: meta_dir(&data),
            new: data.join("meta.recovering"),
            data,
        }
    }

    /// A name for the old metadata that nothing has.
    fn aside(&self) -> PathBuf {
        let name = |n: u32| self.data.join(format!("meta.old-{n}"));
        let free = (1..).map(name).find(|path| !path.exists());
        free.unwrap_or_else(|| name(0))
    }

    fn report(&self) -> PathBuf {
        self.data.join(format!("recovered-{}.txt", time::now()))
    }

    /// The newest moment that any file of the mail knows of, or now.
    fn newest(&self, packs: &PackStore) -> i64 {
        let changed = |entry: std::io::Result<fs::DirEntry>| {
            let changed = entry.ok()?.metadata().ok()?.modified().ok()?;
            Some(changed.duration_since(UNIX_EPOCH).ok()?.as_secs())
        };
        let files = fs::read_dir(&self.packs).ok();
        let newest = files.into_iter().flatten().filter_map(changed).max();
        let newest = newest.unwrap_or_default().max(packs.newest());
        time::now().max(i64::try_from(newest).unwrap_or_default())
    }
}

struct Work {
    config: Config,
    place: Place,
    metrics: Arc<Metrics>,
    progress: Arc<Progress>,
}

impl Work {
    /// Takes the mail for this process, looks what is the matter, and makes new metadata.
    async fn open(&self, force: bool) -> Result<(Arc<PackStore>, Base), Failure> {
        let failed = |error| refusal(&self.config.data_dir, error);
        let (config, metrics, progress) = self.shared();
        let packs = tokio::task::spawn_blocking(move || open_packs(&config, &metrics, &progress));
        let packs = packs.await.map_err(|_| broken())?.map_err(failed)?;
        if packs.stats().blobs == 0 {
            return Err(Failure::refused(format!(
                "there is no mail in {}: nothing to recover from",
                self.place.packs.display()
            )));
        }
        let (config, metrics, progress) = self.shared();
        let (meta, new) = (self.place.meta.clone(), self.place.new.clone());
        let base = tokio::task::spawn_blocking(move || {
            let open = |dir: &Path, salvage| open_meta(dir, &config, &metrics, salvage, &progress);
            begin(&meta, &new, force, open)
        });
        Ok((packs, base.await.map_err(|_| broken())??))
    }

    fn shared(&self) -> (Config, Arc<Metrics>, Arc<Progress>) {
        let (metrics, progress) = (self.metrics.clone(), self.progress.clone());
        (self.config.clone(), metrics, progress)
    }

    /// Fills the new metadata, and lets it take the place of the old.
    async fn rebuild(&self, packs: Arc<PackStore>, base: Base) -> Result<Report, Failure> {
        let options = self.config.mail_options();
        let mail = Mail::open(base.meta.clone(), packs.clone(), options).await?;
        let salvaged = base.salvaged && !mail.list_accounts().await?.is_empty();
        let seen = {
            let (packs, progress) = (packs.clone(), self.progress.clone());
            tokio::task::spawn_blocking(move || Seen::read(&packs, &progress))
        };
        let mut seen = seen
            .await
            .map_err(|_| broken())?
            .map_err(|error| Failure::trouble(format!("the mail cannot be read: {error}")))?;
        let mut report = Report::new(base.reason, salvaged);
        report.missing = packs.missing();
        report.unreadable = std::mem::take(&mut seen.unreadable);
        let names = self.accounts(&mail, &packs, &mut seen, &mut report).await?;
        self.messages(&mail, &seen, &names, salvaged, &mut report)
            .await?;
        drop(mail);
        if base.salvaged {
            // Of its log there may not be enough to make the index again.
            base.meta.trim().await?;
        }
        // The packs stay ours until the new metadata is in place: no server starts meanwhile.
        base.meta.close().await?;
        report.aside = swap(&self.place)
            .map_err(|error| Failure::trouble(format!("cannot put it in place: {error}")))?;
        packs.close().await?;
        Ok(report)
    }

    /// Makes every account that anything speaks of; answers their names.
    async fn accounts(
        &self,
        mail: &Mail,
        packs: &PackStore,
        seen: &mut Seen,
        report: &mut Report,
    ) -> Result<BTreeMap<AccountId, String>, Failure> {
        let notes = newest_notes(mail, seen, report).await?;
        let floor = Floor::above(self.place.newest(packs));
        let mut infos: BTreeMap<AccountId, AccountInfo> = BTreeMap::new();
        for info in mail.list_accounts().await? {
            infos.insert(info.id, info);
        }
        for note in notes.values() {
            if note.removed {
                infos.remove(&note.info.id);
                mail.recover_removal(note).await?;
            } else {
                infos.insert(note.info.id, note.info.clone());
            }
        }
        let is_removed = |id: &AccountId| notes.get(id).is_some_and(|note| note.removed);
        let before = seen.messages.len();
        seen.messages
            .retain(|message| !is_removed(&message.account));
        report.of_removed = (before - seen.messages.len()) as u64;
        give_unowned(seen, &mut infos, &notes);
        for id in seen.messages.iter().map(|message| message.account) {
            infos.entry(id).or_insert_with(|| nameless(id));
        }
        let mut taken = HashSet::new();
        for info in infos.values_mut() {
            let mut note = notes.get(&info.id);
            if !taken.insert(info.name.to_lowercase()) {
                *info = nameless(info.id);
                note = None;
            }
            mail.recover_account(info, note.filter(|note| note.info == *info), floor)
                .await?;
        }
        Ok(infos
            .into_iter()
            .map(|(id, info)| (id, info.name))
            .collect())
    }

    /// Puts the messages back, mailbox by mailbox.
    async fn messages(
        &self,
        mail: &Mail,
        seen: &Seen,
        names: &BTreeMap<AccountId, String>,
        salvaged: bool,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let (mut done, total) = (0, seen.messages.len() as u64);
        let newest = match salvaged {
            true => mail.newest_hint(|hint| seen.tells_time(hint)).await?,
            false => 0,
        };
        let of_account = |a: &Message, b: &Message| a.account == b.account;
        for messages in seen.messages.chunk_by(of_account) {
            let Some(Message { account: id, .. }) = messages.first() else {
                continue;
            };
            let name = names.get(id).cloned().unwrap_or_default();
            let account = mail.account(*id).await?;
            let mut known: HashSet<(u32, BlobHash)> = HashSet::new();
            let mut wanted = Vec::new();
            for message in messages {
                let is_new = known.insert((message.mailbox, message.blob.hash));
                if is_new && !(salvaged && is_known(mail, seen, message, newest).await?) {
                    wanted.push(message.clone());
                }
            }
            done += (messages.len() - wanted.len()) as u64;
            let mut here = AccountReport::new(name);
            for batch in batches(&wanted) {
                let Some(Message { mailbox, .. }) = batch.first() else {
                    continue;
                };
                let mailbox = seen.name(*mailbox);
                let remembered: Vec<Remembered> = batch.iter().map(Message::remembered).collect();
                let recovered = account.recover(mailbox, &remembered).await?;
                here.add(mailbox, recovered);
                done += batch.len() as u64;
                self.progress.count("recovering messages", done, total);
            }
            report.accounts.push(here);
        }
        Ok(())
    }
}

/// Whether salvaged metadata, up to its end, knew the message: its account has it, or had deleted
/// it. In doubt it did not: better a deleted message comes back than one is lost.
async fn is_known(
    mail: &Mail,
    seen: &Seen,
    message: &Message,
    newest: u64,
) -> Result<bool, Failure> {
    if !seen.is_wanted(&message.blob.hash) {
        return Ok(true);
    }
    let holders = mail.holders(&message.blob.hash).await?;
    // Somebody else still has what this account deleted.
    let is_old = !holders.is_empty() && !seen.may_be_newer(message, newest);
    Ok(is_old || holders.contains(&message.account))
}

/// Neighbours of one mailbox, few enough for one commit.
fn batches(messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut bytes = 0;
        let fits = |message: &&Message| {
            bytes += u64::from(message.blob.size);
            message.mailbox == first.mailbox && bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH).take_while(fits).count().max(1);
        let (batch, others) = rest.split_at(count);
        rest = others;
        Some(batch)
    })
}

/// The newest note of every account.
async fn newest_notes(
    mail: &Mail,
    seen: &Seen,
    report: &mut Report,
) -> Result<BTreeMap<AccountId, AccountNote>, Failure> {
    let mut notes: BTreeMap<AccountId, AccountNote> = BTreeMap::new();
    for blob in &seen.notes {
        match mail.read_account_note(blob).await {
            Ok(note) => {
                let known = notes.get(&note.info.id);
                if known.is_none_or(|known| known.revision < note.revision) {
                    notes.insert(note.info.id, note);
                }
            }
            Err(error) if error.kind == mail::MailErrorKind::Corrupt => report.bad_notes += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(notes)
}

/// Messages without an owner go to the account that has got such before, or to a new one with a
/// number nobody has had.
fn give_unowned(
    seen: &mut Seen,
    infos: &mut BTreeMap<AccountId, AccountInfo>,
    notes: &BTreeMap<AccountId, AccountNote>,
) {
    if seen
        .messages
        .last()
        .is_none_or(|last| last.account != UNOWNED)
    {
        return;
    }
    let known = infos.values().find(|info| info.name == UNOWNED_NAME);
    let id = known.map_or_else(
        || {
            let owners = seen.messages.iter().map(|message| message.account);
            let owners = owners.filter(|owner| *owner != UNOWNED);
            let highest = owners
                .chain(infos.keys().copied())
                .chain(notes.keys().copied());
            AccountId(highest.max().map_or(1, |highest| highest.0 + 1))
        },
        |info| info.id,
    );
    infos.entry(id).or_insert_with(|| AccountInfo {
        name: UNOWNED_NAME.to_owned(),
        ..nameless(id)
    });
    seen.give_unowned(id);
}

/// An account of which only its number is known.
fn nameless(id: AccountId) -> AccountInfo {
    AccountInfo {
        id,
        name: format!("recovered-{id}"),
        password: None,
        quota: QuotaLimits::default(),
    }
}

fn broken() -> Failure {
    Failure::trouble("a task of the recovery failed")
}
