//! `scan`: order, bounds, limits and `more`.

use crate::conformance::support::{A, assert_kind, bytes};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, MAX_KEY, MetaStore, Page, Scan};
use bytes::Bytes;
use types::AccountId;

/// Keys in the order of unsigned bytes, where signed, textual or length-first orders would differ.
const ORDERED: [&[u8]; 12] = [
    b"\0",
    b"\0\0",
    b"\0\xff",
    b"A",
    b"A\0",
    b"AB",
    b"B",
    b"a",
    b"\x7f\xff",
    b"\x80",
    b"\xc3\xa4",
    b"\xff",
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
    for key in ORDERED {
        case.put(A, key, "").await;
    }
    let page = case.scan(A, Scan::prefix("", 100).reversed()).await;
    let keys: Vec<Bytes> = page.entries.into_iter().map(|(key, _)| key).collect();
    assert!(keys.iter().rev().eq(ORDERED), "{keys:?}");
    assert!(!page.more);
}

pub async fn entries_carry_their_values<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "a", "1").await;
    case.put(A, "b", "").await;
    let entries = vec![(bytes("a"), bytes("1")), (bytes("b"), Bytes::new())];
    let page = case.scan(A, Scan::prefix("", 9)).await;
    assert_eq!((page.entries, page.more), (entries, false));
}

pub async fn start_is_included_and_end_is_not<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b", "bb", "c", "d"]).await;
    let expected = ["b", "bb", "c"].map(str::to_owned);
    let (keys, more) = case.keys(A, Scan::range("b", "d", 9)).await;
    assert_eq!((&keys[..], more), (&expected[..], false));
    let (mut keys, more) = case.keys(A, Scan::range("b", "d", 9).reversed()).await;
    keys.reverse();
    assert_eq!((&keys[..], more), (&expected[..], false), "in reverse");
    // Bounds that are no keys themselves.
    let (keys, _) = case.keys(A, Scan::range("ab", "cc", 9)).await;
    assert_eq!(keys, expected);
}

pub async fn without_an_end_a_scan_goes_to_the_last_key<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b", "~"]).await;
    case.put(A, vec![0xff; MAX_KEY], "").await;
    let mut scan = Scan::prefix("", 9);
    assert_eq!(scan.end, None);
    scan.start = bytes("b");
    let page = case.scan(A, scan.clone()).await;
    let keys: Vec<Bytes> = page.entries.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [bytes("b"), bytes("~"), vec![0xff; MAX_KEY].into()]);
    let page = case.scan(A, scan.reversed()).await;
    assert_eq!(page.entries.len(), 3, "in reverse");
}

pub async fn an_empty_range_gives_an_empty_page<H: MetaHarness>(case: &mut MetaCase<H>) {
    let never = Page::default();
    let nowhere = AccountId(77);
    assert_eq!(case.scan(nowhere, Scan::prefix("", 9)).await, never);
    case.put_keys(A, &["a", "c", "e"]).await;
    let empty = [
        ("c", "c"),
        ("e", "a"),
        ("d", "d"),
        ("b", "c"),
        ("f", "g"),
        ("", ""),
    ];
    for (start, end) in empty {
        let scan = Scan::range(start, end, 9);
        assert_eq!(case.scan(A, scan.clone()).await, never, "{start}..{end}");
        let page = case.scan(A, scan.reversed()).await;
        assert_eq!(page, never, "{start}..{end} in reverse");
    }
}

pub async fn a_limit_of_zero_is_invalid<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a"]).await;
    for scan in [Scan::prefix("", 0), Scan::range("b", "b", 0)] {
        let answer = case.store().scan(A, scan.clone()).await;
        assert_kind(answer, ErrorKind::Invalid);
        let answer = case.store().scan(A, scan.reversed()).await;
        assert_kind(answer, ErrorKind::Invalid);
    }
}

pub async fn the_limit_and_more_are_exact<H: MetaHarness>(case: &mut MetaCase<H>) {
    let all = ["a", "b", "c", "d", "e", "f", "g"];
    case.put_keys(A, &all).await;
    // Neighbours outside the range, on both sides, must not count as "more".
    for (start, end) in [(0, 7), (1, 6), (2, 3), (0, 1), (6, 7), (3, 3)] {
        let bound = |index: usize| all.get(index).copied().unwrap_or("z");
        let within = &all[start..end];
        for limit in 1..=within.len() + 2 {
            let scan = Scan::range(bound(start), bound(end), limit);
            let count = limit.min(within.len());
            let more = within.len() > limit;
            let what = format!("{start}..{end} limit {limit}");
            let (keys, told) = case.keys(A, scan.clone()).await;
            assert_eq!(
                (keys.as_slice(), told),
                (&owned(&within[..count])[..], more),
                "{what}"
            );
            let (mut keys, told) = case.keys(A, scan.reversed()).await;
            keys.reverse();
            let tail = owned(&within[within.len() - count..]);
            assert_eq!((keys, told), (tail, more), "{what} in reverse");
        }
    }
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

pub async fn the_largest_limit_is_taken<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["a", "b"]).await;
    for scan in [
        Scan::prefix("", usize::MAX),
        Scan::prefix("", usize::MAX).reversed(),
    ] {
        let page = case.scan(A, scan).await;
        assert_eq!((page.entries.len(), page.more), (2, false));
    }
}

pub async fn a_prefix_gives_its_keys_only<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put_keys(A, &["m", "m/", "m/1", "m/2", "m0", "n", "l/3"])
        .await;
    let (keys, more) = case.keys(A, Scan::prefix("m/", 9)).await;
    assert_eq!((keys, more), (owned(&["m/", "m/1", "m/2"]), false));
    let (keys, more) = case.keys(A, Scan::prefix("m/", 2).reversed()).await;
    assert_eq!((keys, more), (owned(&["m/2", "m/1"]), true));
}

pub async fn a_prefix_that_ends_in_0xff_is_exact<H: MetaHarness>(case: &mut MetaCase<H>) {
    let keys: [&[u8]; 7] = [
        b"a\xfe\xff",
        b"a\xff",
        b"a\xff\0",
        b"a\xff\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff\x01",
    ];
    for key in keys {
        case.put(A, key, "").await;
    }
    let prefixes: [&[u8]; 4] = [b"a\xff", b"a\xff\xff", b"\xff", b"\xff\xff"];
    for prefix in prefixes {
        let expected: Vec<&[u8]> = keys
            .into_iter()
            .filter(|key| key.starts_with(prefix))
            .collect();
        let page = case.scan(A, Scan::prefix(prefix, 9)).await;
        let found: Vec<Bytes> = page.entries.into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, expected, "{prefix:?}");
        let page = case.scan(A, Scan::prefix(prefix, 9).reversed()).await;
        assert_eq!(page.entries.len(), expected.len(), "{prefix:?} in reverse");
    }
}

pub async fn bounds_may_be_longer_than_keys<H: MetaHarness>(case: &mut MetaCase<H>) {
    let longest = vec![b'm'; MAX_KEY];
    case.put(A, longest.clone(), "longest").await;
    case.put_keys(A, &["a", "z"]).await;
    let behind = [&longest[..], b"\0"].concat();
    let (keys, _) = case.keys(A, Scan::range(behind.clone(), "zz", 9)).await;
    assert_eq!(keys, ["z"], "behind the longest key");
    let page = case.scan(A, Scan::range("b", behind, 9)).await;
    assert_eq!(page.entries, [(longest.into(), bytes("longest"))]);
}

pub async fn pages_make_up_the_range<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut batch = Batch::new();
    let mut expected = Vec::new();
    for number in 0..500u32 {
        // Keys of several lengths, the longest allowed among them.
        let mut key = number.to_be_bytes().to_vec();
        key.resize([4, 5, 60, MAX_KEY][number as usize % 4], 0);
        batch.put(key.clone(), "");
        expected.push(Bytes::from(key));
    }
    case.commit(A, batch).await;
    for limit in [1, 7, 100, 499, 500] {
        for reverse in [false, true] {
            let mut scan = Scan::prefix("", limit);
            scan.reverse = reverse;
            let mut found = pages(case, scan).await;
            if reverse {
                found.reverse();
            }
            assert!(found == expected, "limit {limit}, reverse {reverse}");
        }
    }
}

pub async fn runs_of_0xff_are_passed_in_both_directions<H: MetaHarness>(case: &mut MetaCase<H>) {
    // There is no largest key below a bound that a tree could guess. sled 0.34 guesses four 0xff,
    // and is lost if its leaf boundary is the bound and a whole leaf lies above the guess: hence
    // groups larger than leaves, many of them, and values of changing length.
    const GROUPS: u8 = 120;
    for account in [A, AccountId(u64::MAX)] {
        let mut expected = Vec::new();
        let mut batch = Batch::new();
        for group in 0..GROUPS {
            for number in 0..24u8 {
                let key = Bytes::from([&[group][..], &[0xff; 8], &[number]].concat());
                let length = (usize::from(group) * 24 + usize::from(number)) * 37 % 300;
                batch.put(key.clone(), vec![group; length]);
                expected.push(key);
            }
        }
        case.commit(account, batch).await;
        // From the tree itself, not from what a backend still remembers of the commit.
        case.reopen().await;
        for group in 0..GROUPS {
            let page = case
                .scan(account, Scan::prefix([group].to_vec(), 30).reversed())
                .await;
            let found = page.entries.iter().rev().map(|(key, _)| key);
            let start = usize::from(group) * 24;
            assert!(found.eq(&expected[start..start + 24]), "group {group}");
        }
        for reverse in [false, true] {
            let mut scan = Scan::prefix("", 90);
            scan.reverse = reverse;
            let mut found = pages(case, scan).await;
            if reverse {
                found.reverse();
            }
            assert!(found == expected, "{account:?}, reverse {reverse}");
        }
    }
}

/// All keys of a range, page by page.
async fn pages<H: MetaHarness>(case: &MetaCase<H>, mut scan: Scan) -> Vec<Bytes> {
    let mut found = Vec::new();
    loop {
        let page = case.scan(A, scan.clone()).await;
        assert!(page.entries.len() <= scan.limit);
        found.extend(page.entries.into_iter().map(|(key, _)| key));
        match found.last() {
            Some(last) if page.more => scan = scan.after(last),
            _ => return found,
        }
    }
}

pub async fn a_scan_stays_in_its_account<H: MetaHarness>(case: &mut MetaCase<H>) {
    let accounts = [0, 1, 2, 255, 256, 257, 1 << 40, u64::MAX].map(AccountId);
    // The first and the last keys an account can have: next to its neighbours' in any layout.
    for account in accounts {
        case.put(account, vec![0], account.to_string()).await;
        case.put(account, vec![0xff; MAX_KEY], account.to_string())
            .await;
    }
    for account in accounts {
        for scan in [Scan::prefix("", 9), Scan::prefix("", 9).reversed()] {
            let page = case.scan(account, scan).await;
            assert_eq!((page.entries.len(), page.more), (2, false), "{account:?}");
            let own = bytes(&account.to_string());
            assert!(page.entries.iter().all(|(_, value)| *value == own));
        }
    }
}
