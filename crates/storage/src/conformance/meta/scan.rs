//! `scan`: order, bounds, limits and `more`.

use crate::conformance::support::{A, assert_kind};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{ErrorKind, MetaStore, Scan};
use bytes::Bytes;

/// Keys in the order of unsigned bytes, where signed or textual orders would differ.
const ORDERED: [&[u8]; 8] = [
    b"\0",
    b"\0\0",
    b"A",
    b"A\0",
    b"AB",
    b"a",
    b"\x7f\xff",
    b"\x80",
];

pub async fn entries_come_in_unsigned_byte_order<H: MetaHarness>(case: &mut MetaCase<H>) {
    for key in ORDERED.iter().rev() {
        case.put(A, *key, "").await;
    }
    let page = case.scan(A, Scan::prefix("", 100)).await;
    let keys: Vec<Bytes> = page.entries.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ORDERED);
}

pub async fn reverse_is_descending<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b", "c", "d"]).await;
    let answer = case.keys(A, Scan::range("b", "d", 9).reversed()).await;
    assert_eq!(answer, (vec!["c".into(), "b".into()], false));
}

pub async fn a_limit_of_zero_is_invalid<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a"]).await;
    let answer = case.store().scan(A, Scan::prefix("", 0)).await;
    assert_kind(answer, ErrorKind::Invalid);
}
