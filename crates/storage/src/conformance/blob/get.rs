//! `get` and `get_many`.

use crate::conformance::support::{assert_kind, hash, noise};
use crate::conformance::{BlobCase, BlobHarness};
use crate::{BlobRef, BlobStore, ErrorKind};

pub async fn ranges_give_exactly_their_bytes<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 10_000);
    let blob = case.put(content.clone()).await;
    for range in [
        0..1,
        0..10_000,
        1..9_999,
        5_000..5_001,
        4_095..8_193,
        9_999..10_000,
    ] {
        let part = case.store().get(&blob, range.clone()).await;
        let expected = content.slice(range.start as usize..range.end as usize);
        assert_eq!(part.expect("get"), expected, "{range:?}");
    }
}

pub async fn an_unknown_hash_is_not_found<H: BlobHarness>(case: &mut BlobCase<H>) {
    case.put("something else").await;
    let (hash, size, hint) = (hash(1), 1, 0);
    let blob = BlobRef { hash, size, hint };
    assert_kind(case.get(&blob).await, ErrorKind::NotFound);
    assert_kind(case.store().verify(&blob.hash).await, ErrorKind::NotFound);
    assert_eq!(case.store().stat(&blob.hash).await.expect("stat"), None);
}
