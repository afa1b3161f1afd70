//! How accounts, keys and link rows become keys of the one ordered index.
//!
//! One tree with a leading tag byte, so that a batch over all kinds of rows is one atomic write.

use storage::{Link, Write};
use types::{AccountId, BlobHash, EmailId};

/// Rows about the index itself.
pub(crate) const META: u8 = 0;
/// Rows of accounts: tag, account (big endian), key.
const ROW: u8 = 1;
/// Link rows: tag, blob hash, account, email (both big endian); the value is empty.
const LINK: u8 = 2;
/// One past the last tag.
const END: u8 = 3;

/// Bytes in front of an account's own key.
pub(crate) const ROW_PREFIX: usize = 9;
/// Longest index key: a row with the longest key the contract takes.
pub(crate) const MAX_INDEX_KEY: usize = ROW_PREFIX + storage::MAX_KEY;

/// The store the index belongs to.
pub(crate) const STORE: [u8; 2] = [META, b's'];
/// The low-water mark: every record up to this sequence is applied.
pub(crate) const LOW: [u8; 2] = [META, b'l'];

/// The highest sequence applied by one shard.
pub(crate) fn applied(shard: u8) -> [u8; 3] {
    [META, b'a', shard]
}

/// All `applied` rows.
pub(crate) fn applied_range() -> (Vec<u8>, Vec<u8>) {
    (vec![META, b'a'], vec![META, b'b'])
}

/// All rows an export holds.
pub(crate) fn data_range() -> (Vec<u8>, Vec<u8>) {
    (vec![ROW], vec![END])
}

/// Whether a key read from an export is one an export may hold.
pub(crate) fn is_data(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(ROW | LINK))) && key.len() <= MAX_INDEX_KEY
}

pub(crate) fn row(account: AccountId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROW_PREFIX + key.len());
    out.push(ROW);
    out.extend_from_slice(&account.0.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// The first index key behind all rows of `account`.
pub(crate) fn account_end(account: AccountId) -> Vec<u8> {
    match account.0.checked_add(1) {
        Some(next) => row(AccountId(next), b""),
        None => vec![LINK],
    }
}

/// The first index key behind all rows of all accounts.
pub(crate) fn rows_end() -> Vec<u8> {
    vec![LINK]
}

/// The account of a row's index key.
pub(crate) fn row_account(key: &[u8]) -> Option<AccountId> {
    let account = key.get(1..ROW_PREFIX)?.try_into().ok()?;
    Some(AccountId(u64::from_be_bytes(account)))
}

pub(crate) fn link(blob: &BlobHash, account: AccountId, email: EmailId) -> Vec<u8> {
    let mut out = Vec::with_capacity(49);
    out.push(LINK);
    out.extend_from_slice(&blob.0);
    out.extend_from_slice(&account.0.to_be_bytes());
    out.extend_from_slice(&email.0.to_be_bytes());
    out
}

/// What a write does to the index: the key, and its new value unless it is removed.
pub(crate) fn effect(account: AccountId, write: &Write) -> (Vec<u8>, Option<&[u8]>) {
    match write {
        Write::Put(key, value) => (row(account, key), Some(value)),
        Write::Delete(key) => (row(account, key), None),
        Write::Link(blob, email) => (link(blob, account, *email), Some(b"")),
        Write::Unlink(blob, email) => (link(blob, account, *email), None),
    }
}

/// The range of all link rows of a blob.
pub(crate) fn link_range(blob: &BlobHash) -> (Vec<u8>, Vec<u8>) {
    let start = link(blob, AccountId(0), EmailId(0));
    let mut end = link(blob, AccountId(u64::MAX), EmailId(u64::MAX));
    // One byte longer than the last possible row is the first key behind it.
    end.push(0);
    (start, end)
}

/// The account and email of a link row's index key.
pub(crate) fn parse_link(key: &[u8]) -> Option<Link> {
    let account = key.get(33..41)?.try_into().ok()?;
    let email = key.get(41..49)?.try_into().ok()?;
    Some(Link {
        account: AccountId(u64::from_be_bytes(account)),
        email: EmailId(u64::from_be_bytes(email)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_last_account_end_before_the_links() {
        let last = AccountId(u64::MAX);
        assert!(row(last, &[0xff; storage::MAX_KEY]) < account_end(last));
        assert!(account_end(last) <= link(&BlobHash([0; 32]), AccountId(0), EmailId(0)));
        assert_eq!(row_account(&row(last, b"k")), Some(last));
    }

    #[test]
    fn link_range_holds_every_link_of_one_blob_only() {
        let blob = BlobHash([0xff; 32]);
        let (start, end) = link_range(&blob);
        for (account, email) in [(0, 0), (u64::MAX, u64::MAX), (1, 2)] {
            let key = link(&blob, AccountId(account), EmailId(email));
            assert!(start <= key && key < end);
            let parsed = parse_link(&key).unwrap();
            assert_eq!((parsed.account.0, parsed.email.0), (account, email));
        }
        assert!(end < vec![END]);
    }
}
