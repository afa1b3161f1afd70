//! Every key the engine writes. `docs/storage-format.md` draws them; numbers are big-endian so that
//! keys sort as their numbers do.

use crate::removal::RemovalId;
use bytes::Bytes;
use storage::Scan;
use types::{AccountId, CredentialId, Door, EmailId, MailboxId, MailboxName, ModSeq};

/// Of an account: the next unused id.
pub(crate) const NEXT_ID: &[u8] = b"c";
/// Of an account: rises with every change of the mailbox tree.
pub(crate) const TREE: &[u8] = b"t";
/// Of an account: there may be emails in no mailbox.
pub(crate) const GARBAGE: &[u8] = b"g";
/// Of a partition: how much its annotations take.
pub(crate) const ANNOTATIONS: &[u8] = b"A";
/// Of an account: its POP3 policy. Of the system partition: the shortest `keep-days` of any policy.
pub(crate) const POP3_POLICY: &[u8] = b"P";
/// Of an account: how its INBOX was used of late.
pub(crate) const MIXED: &[u8] = b"M";
/// Of the system partition: how often accounts were changed.
pub(crate) const REVISION: &[u8] = b"N";
/// Of an account: it is being put back from a backup, and nobody knows its name yet.
pub(crate) const UNFINISHED: &[u8] = b"X";
/// Pages of scans over small values.
pub(crate) const PAGE: usize = 1024;

fn with_id(kind: u8, id: u64, more: &[&[u8]]) -> Bytes {
    let mut key = Vec::with_capacity(9 + more.iter().map(|m| m.len()).sum::<usize>());
    key.push(kind);
    key.extend_from_slice(&id.to_be_bytes());
    for part in more {
        key.extend_from_slice(part);
    }
    key.into()
}

fn with_name(kind: u8, name: &str) -> Bytes {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(kind);
    key.extend_from_slice(name.as_bytes());
    key.into()
}

/// `m`: mailbox record.
pub(crate) fn mailbox(id: MailboxId) -> Bytes {
    with_id(b'm', id.0, &[])
}

/// All mailbox records.
pub(crate) fn mailboxes() -> Scan {
    Scan::prefix(&b"m"[..], PAGE)
}

/// The id in a key of the form kind + id.
pub(crate) fn id_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(1..9)?.first_chunk()?))
}

/// `n`: who owns a mailbox name.
pub(crate) fn name(name: &MailboxName) -> Bytes {
    with_name(b'n', name.as_str())
}

/// `u`: subscription.
pub(crate) fn subscription(name: &MailboxName) -> Bytes {
    with_name(b'u', name.as_str())
}

/// All subscriptions.
pub(crate) fn subscriptions() -> Scan {
    Scan::prefix(&b"u"[..], PAGE)
}

/// `j`: part of a journal entry.
pub(crate) fn journal(mailbox: MailboxId, modseq: u64, part: u16) -> Bytes {
    with_id(
        b'j',
        mailbox.0,
        &[&modseq.to_be_bytes(), &part.to_be_bytes()],
    )
}

/// Journal entries after `since`.
pub(crate) fn journal_after(mailbox: MailboxId, since: u64) -> Scan {
    let start = journal(mailbox, since.saturating_add(1), 0);
    Scan {
        start,
        ..Scan::prefix(with_id(b'j', mailbox.0, &[]), PAGE)
    }
}

/// The modseq in a `j` or `v` key.
pub(crate) fn modseq_of(key: &[u8]) -> Option<ModSeq> {
    ModSeq::new(u64::from_be_bytes(*key.get(9..17)?.first_chunk()?))
}

/// `v`: uids that vanished, moved here from the journal when a snapshot covers it.
pub(crate) fn vanished(mailbox: MailboxId, modseq: u64, part: u16) -> Bytes {
    with_id(
        b'v',
        mailbox.0,
        &[&modseq.to_be_bytes(), &part.to_be_bytes()],
    )
}

/// Vanished entries after `since`.
pub(crate) fn vanished_after(mailbox: MailboxId, since: u64) -> Scan {
    let start = vanished(mailbox, since.saturating_add(1), 0);
    Scan {
        start,
        ..Scan::prefix(with_id(b'v', mailbox.0, &[]), PAGE)
    }
}

/// `s`: snapshot header.
pub(crate) fn snapshot(mailbox: MailboxId) -> Bytes {
    with_id(b's', mailbox.0, &[])
}

/// `k`: snapshot chunk, by its first uid.
pub(crate) fn chunk(mailbox: MailboxId, first_uid: u32) -> Bytes {
    with_id(b'k', mailbox.0, &[&first_uid.to_be_bytes()])
}

/// All snapshot chunks of a mailbox.
pub(crate) fn chunks(mailbox: MailboxId) -> Scan {
    Scan::prefix(with_id(b'k', mailbox.0, &[]), PAGE)
}

/// `x`: a deleted mailbox whose keys are still to be removed.
pub(crate) fn tombstone(mailbox: MailboxId) -> Bytes {
    with_id(b'x', mailbox.0, &[])
}

/// All deleted mailboxes.
pub(crate) fn tombstones() -> Scan {
    Scan::prefix(&b"x"[..], PAGE)
}

/// The keys that belong to a mailbox alone, but for its record and name.
pub(crate) fn of_mailbox(mailbox: MailboxId) -> [Scan; 5] {
    [b'j', b'v', b's', b'k', b'y'].map(|kind| Scan::prefix(with_id(kind, mailbox.0, &[]), PAGE))
}

/// `y`: when the first message of a mailbox is to be removed (policy `keep-days`).
pub(crate) fn due(mailbox: MailboxId) -> Bytes {
    with_id(b'y', mailbox.0, &[])
}

/// All mailboxes with messages to be removed.
pub(crate) fn dues() -> Scan {
    Scan::prefix(&b"y"[..], PAGE)
}

/// `z`: what POP3 deleted on a day.
pub(crate) fn deletions(day: u32) -> Bytes {
    [&b"z"[..], &day.to_be_bytes()].concat().into()
}

/// The days from `from` up to, not including, `to`.
pub(crate) fn deletions_between(from: u32, to: u32) -> Scan {
    let mut scan = Scan::prefix(&b"z"[..], PAGE);
    (scan.start, scan.end) = (deletions(from), Some(deletions(to)));
    scan
}

/// The day in a `z` key.
pub(crate) fn day_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.get(1..5)?.first_chunk()?))
}

/// `e`: email record.
pub(crate) fn email(id: EmailId) -> Bytes {
    with_id(b'e', id.0, &[])
}

/// Email records `from ..= to`.
pub(crate) fn emails(from: EmailId, to: EmailId, limit: usize) -> Scan {
    let mut scan = Scan::prefix(&b"e"[..], limit);
    scan.start = email(from);
    if let Some(after) = to.0.checked_add(1) {
        scan.end = Some(email(EmailId(after)));
    }
    scan
}

/// `h`: the conversation a message identifier leads to.
pub(crate) fn thread(name: &[u8; 16]) -> Bytes {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(b'h');
    key.extend_from_slice(name);
    key.into()
}

/// `d`: a message was delivered, by the day since 1970 and its name.
pub(crate) fn delivered(day: u32, name: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(5 + name.len());
    key.push(b'd');
    key.extend_from_slice(&day.to_be_bytes());
    key.extend_from_slice(name);
    key.into()
}

/// `U`: the POP3 unique id taken over for the message of that number.
pub(crate) fn unique_id(number: u64) -> Bytes {
    with_id(b'U', number, &[])
}

/// All unique ids taken over.
pub(crate) fn unique_ids() -> Scan {
    Scan::prefix(&b"U"[..], PAGE)
}

/// Everything of a partition.
pub(crate) fn everything() -> Scan {
    Scan::prefix(&b""[..], PAGE)
}

/// Everything of a partition but one key, which begins no other.
pub(crate) fn around(key: &'static [u8]) -> [Scan; 2] {
    let before = Scan {
        end: Some(Bytes::from_static(key)),
        ..everything()
    };
    let behind = Scan {
        start: [key, &[0]].concat().into(),
        ..everything()
    };
    [before, behind]
}

/// `a`: an annotation.
pub(crate) fn annotation(mailbox: MailboxId, owner: u64, name: &str) -> Bytes {
    with_id(b'a', mailbox.0, &[&owner.to_be_bytes(), name.as_bytes()])
}

/// All annotations of a mailbox.
pub(crate) fn annotations(mailbox: MailboxId) -> Scan {
    Scan::prefix(with_id(b'a', mailbox.0, &[]), PAGE)
}

/// Owner and name in an `a` key.
pub(crate) fn annotation_parts(key: &[u8]) -> Option<(u64, String)> {
    let (owner, name) = key.get(9..)?.split_first_chunk()?;
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some((u64::from_be_bytes(*owner), name))
}

/// The name in an `a` key.
pub(crate) fn annotation_name(key: &[u8]) -> Option<String> {
    annotation_parts(key).map(|(_, name)| name)
}

/// `l`: the access control list of a mailbox.
pub(crate) fn acl(mailbox: MailboxId) -> Bytes {
    with_id(b'l', mailbox.0, &[])
}

/// All access control lists.
pub(crate) fn acls() -> Scan {
    Scan::prefix(&b"l"[..], PAGE)
}

/// `o`: an account that shares mailboxes with this one.
pub(crate) fn sharer(owner: AccountId) -> Bytes {
    with_id(b'o', owner.0, &[])
}

/// All of those.
pub(crate) fn sharers() -> Scan {
    Scan::prefix(&b"o"[..], PAGE)
}

/// `C`: an app password.
pub(crate) fn credential(id: CredentialId) -> Bytes {
    with_id(b'C', id.0, &[])
}

/// All app passwords.
pub(crate) fn credentials() -> Scan {
    Scan::prefix(&b"C"[..], PAGE)
}

/// `P`: the POP3 policy of an app password.
pub(crate) fn pop3_policy(id: CredentialId) -> Bytes {
    with_id(b'P', id.0, &[])
}

/// `L`: when a secret was used last at a door.
pub(crate) fn last_use(id: CredentialId, door: Door) -> Bytes {
    with_id(b'L', id.0, &[&[door as u8]])
}

/// All of them.
pub(crate) fn last_uses() -> Scan {
    Scan::prefix(&b"L"[..], PAGE)
}

/// `Y`: the secret by which this account authorises URLs into a mailbox of `owner`.
pub(crate) fn access_key(owner: AccountId, mailbox: MailboxId) -> Bytes {
    with_id(b'Y', owner.0, &[&mailbox.0.to_be_bytes()])
}

/// All of them.
pub(crate) fn access_keys() -> Scan {
    Scan::prefix(&b"Y"[..], PAGE)
}

/// Owner and mailbox in a `Y` key.
pub(crate) fn access_key_parts(key: &[u8]) -> Option<(AccountId, MailboxId)> {
    let mailbox = u64::from_be_bytes(*key.get(9..17)?.first_chunk()?);
    Some((AccountId(id_of(key)?), MailboxId(mailbox)))
}

/// `D`: the header of a removal.
pub(crate) fn removal(id: RemovalId) -> Bytes {
    removal_key(b'D', id, &[])
}

fn removal_key(kind: u8, id: RemovalId, more: &[u8]) -> Bytes {
    let at = u64::try_from(id.at).unwrap_or(0);
    let (mailbox, modseq) = (id.mailbox.0.to_be_bytes(), id.modseq.to_be_bytes());
    with_id(kind, at, &[&mailbox, &modseq, more])
}

/// All of them, oldest first.
pub(crate) fn removals() -> Scan {
    Scan::prefix(&b"D"[..], PAGE)
}

/// Which removal a `D` or `R` key is about.
pub(crate) fn removal_of(key: &[u8]) -> Option<RemovalId> {
    Some(RemovalId {
        at: i64::try_from(id_of(key)?).ok()?,
        mailbox: MailboxId(u64::from_be_bytes(*key.get(9..17)?.first_chunk()?)),
        modseq: u64::from_be_bytes(*key.get(17..25)?.first_chunk()?),
    })
}

/// `R`: part of the rows of a removal.
pub(crate) fn removed_rows(id: RemovalId, part: u16) -> Bytes {
    removal_key(b'R', id, &part.to_be_bytes())
}

/// All parts of the rows of a removal.
pub(crate) fn all_removed_rows(id: RemovalId) -> Scan {
    Scan::prefix(removal_key(b'R', id, &[]), PAGE)
}

/// The rows of all removals.
pub(crate) fn every_removed_row() -> Scan {
    Scan::prefix(&b"R"[..], PAGE)
}

/// `H`: part of an entry of the history. `number` tells those of one second apart.
pub(crate) fn event(at: i64, number: u64, part: u16) -> Bytes {
    let at = u64::try_from(at).unwrap_or(0);
    with_id(b'H', at, &[&number.to_be_bytes(), &part.to_be_bytes()])
}

/// The whole history, oldest first.
pub(crate) fn events() -> Scan {
    Scan::prefix(&b"H"[..], PAGE)
}

/// The history up to a time, not included.
pub(crate) fn events_until(at: i64) -> Scan {
    Scan {
        end: Some(event(at, 0, 0)),
        ..events()
    }
}

/// Time and part in an `H` key.
pub(crate) fn event_parts(key: &[u8]) -> Option<(i64, u16)> {
    let part = u16::from_be_bytes(*key.get(17..19)?.first_chunk()?);
    Some((i64::try_from(id_of(key)?).ok()?, part))
}

/// Of the system partition: `i`, an account by its folded name.
pub(crate) fn account(name: &str) -> Bytes {
    with_name(b'i', &name.to_lowercase())
}

/// Of the system partition: `q`, the name of an account by its id.
pub(crate) fn account_name(id: AccountId) -> Bytes {
    with_id(b'q', id.0, &[])
}

/// Of the system partition: `B`, which blob is the note of an account.
pub(crate) fn account_note(id: AccountId) -> Bytes {
    with_id(b'B', id.0, &[])
}

/// All accounts.
pub(crate) fn accounts() -> Scan {
    Scan::prefix(&b"i"[..], PAGE)
}
