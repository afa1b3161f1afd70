//! `get`, `get_many` and `verify` of sound blobs.

use crate::conformance::support::{assert_kind, bytes, hash, noise, seed};
use crate::conformance::{BlobCase, BlobHarness};
use crate::rng::Rng;
use crate::{BlobRef, BlobStore, ErrorKind};
use bytes::Bytes;

fn unknown(number: u8) -> BlobRef {
    let (hash, size, hint) = (hash(number), 10, 0);
    BlobRef { hash, size, hint }
}

pub async fn ranges_give_exactly_their_bytes<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 10_000);
    let blob = case.put(content.clone()).await;
    case.put("a neighbour").await;
    let ranges = [
        0..1,
        0..10_000,
        1..9_999,
        5_000..5_001,
        4_095..8_193,
        9_999..10_000,
    ];
    for range in ranges {
        let part = case.store().get(&blob, range.clone()).await;
        let expected = content.slice(range.start as usize..range.end as usize);
        assert_eq!(part.expect("get"), expected, "{range:?}");
    }
}

pub async fn random_ranges_agree<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut rng = Rng::new(seed());
    for length in [1u32, 100, 5_000, 1_000_000] {
        let content = noise(rng.next(), length as usize);
        let blob = case.put(content.clone()).await;
        for _ in 0..30 {
            let one = rng.below(u64::from(length) + 1) as u32;
            let other = rng.below(u64::from(length) + 1) as u32;
            let range = one.min(other)..one.max(other);
            let part = case.store().get(&blob, range.clone()).await;
            let expected = content.slice(range.start as usize..range.end as usize);
            assert!(part.expect("get") == expected, "{range:?} of {length}");
        }
    }
}

#[expect(clippy::reversed_empty_ranges, reason = "that is what is asked for")]
pub async fn a_range_out_of_bounds_is_invalid<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put(noise(1, 1_000)).await;
    let empty = case.put("").await;
    case.put(noise(2, 1_000)).await;
    let wrong = [
        0..1_001,
        999..1_001,
        1_000..1_001,
        1_001..1_001,
        5..4,
        1_000..0,
        0..u32::MAX,
        u32::MAX..u32::MAX,
    ];
    for range in wrong {
        let answer = case.store().get(&blob, range).await;
        assert_kind(answer, ErrorKind::Invalid);
    }
    assert_kind(case.store().get(&empty, 0..1).await, ErrorKind::Invalid);
}

pub async fn an_empty_range_gives_no_bytes<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put(noise(1, 1_000)).await;
    for at in [0, 1, 500, 999, 1_000] {
        let part = case.store().get(&blob, at..at).await;
        assert_eq!(part.expect("get"), Bytes::new(), "at {at}");
    }
}

pub async fn an_unknown_hash_is_not_found<H: BlobHarness>(case: &mut BlobCase<H>) {
    for round in 0..2 {
        let blob = unknown(1);
        assert_kind(case.get(&blob).await, ErrorKind::NotFound);
        let missing = case.store().verify(&blob.hash).await;
        assert_kind(missing, ErrorKind::NotFound);
        assert_eq!(case.store().stat(&blob.hash).await.expect("stat"), None);
        let [answer] = <[_; 1]>::try_from(case.store().get_many(&[blob]).await).expect("one");
        assert_kind(answer, ErrorKind::NotFound);
        case.put(format!("something else {round}")).await;
    }
}

pub async fn a_wrong_hash_never_gives_other_bytes<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blob = case.put(noise(1, 1_000)).await;
    // Where something lies, but not what was asked for.
    for bit in [0, 255] {
        let mut wrong = blob;
        wrong.hash.0[bit / 8] ^= 1 << (bit % 8);
        assert_kind(case.get(&wrong).await, ErrorKind::NotFound);
    }
}

pub async fn a_stale_hint_still_reads<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 2_000);
    let blob = case.put(content.clone()).await;
    let other = case.put(noise(2, 2_000)).await;
    let last = case.put(noise(3, 10)).await;
    let hints = [
        0,
        1,
        other.hint,
        last.hint,
        blob.hint ^ 1,
        blob.hint + 1,
        1 << 40,
        u64::MAX,
    ];
    for _ in 0..2 {
        for hint in hints {
            let stale = BlobRef { hint, ..blob };
            assert_eq!(case.get(&stale).await.expect("get"), content, "{hint:x}");
            let part = case.store().get(&stale, 1_000..1_001).await;
            assert_eq!(part.expect("get"), content.slice(1_000..1_001), "{hint:x}");
            let many = case.store().get_many(&[stale, other]).await;
            assert!(many.iter().all(Result::is_ok), "{hint:x}");
        }
        case.reopen().await;
    }
}

pub async fn many_come_in_the_order_asked_for<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut blobs = Vec::new();
    for number in 0..300u64 {
        let content = noise(number, 10 + number as usize * 7);
        blobs.push((case.put(content.clone()).await, content));
    }
    let mut rng = Rng::new(seed());
    for round in 0..4 {
        // Any order, some of them twice, some with no hint.
        let asked: Vec<&(BlobRef, Bytes)> = (0..400)
            .map(|_| &blobs[rng.below(blobs.len() as u64) as usize])
            .collect();
        let mut references: Vec<BlobRef> = asked.iter().map(|(blob, _)| *blob).collect();
        references
            .iter_mut()
            .step_by(5)
            .for_each(|blob| blob.hint = 0);
        let answers = case.store().get_many(&references).await;
        assert_eq!(answers.len(), asked.len());
        for ((_, content), answer) in asked.into_iter().zip(answers) {
            assert_eq!(answer.expect("get_many"), *content);
        }
        if round == 1 {
            case.reopen().await;
        }
    }
}

pub async fn many_fail_one_by_one<H: BlobHarness>(case: &mut BlobCase<H>) {
    let first = case.put("first").await;
    let second = case.put("second").await;
    let asked = [unknown(1), first, unknown(2), second, first, unknown(3)];
    let answers = case.store().get_many(&asked).await;
    let expected = [
        None,
        Some("first"),
        None,
        Some("second"),
        Some("first"),
        None,
    ];
    assert_eq!(answers.len(), expected.len());
    for (answer, expected) in answers.into_iter().zip(expected) {
        match expected {
            Some(content) => assert_eq!(answer.expect("get_many"), bytes(content)),
            None => assert_kind(answer, ErrorKind::NotFound),
        }
    }
}

pub async fn none_asked_for_gives_none<H: BlobHarness>(case: &mut BlobCase<H>) {
    assert!(case.store().get_many(&[]).await.is_empty());
    case.put("something").await;
    assert!(case.store().get_many(&[]).await.is_empty());
}

pub async fn verify_accepts_what_was_put<H: BlobHarness>(case: &mut BlobCase<H>) {
    for length in [0, 1, 1_000, 1_000_000] {
        let blob = case.put(noise(1, length)).await;
        case.store().verify(&blob.hash).await.expect("verify");
        case.reopen().await;
        case.store().verify(&blob.hash).await.expect("verify");
    }
}

pub async fn readers_beside_writers_see_whole_blobs<H: BlobHarness>(case: &mut BlobCase<H>) {
    let blobs: Vec<_> = (0..8u64).map(|number| noise(number, 50_000)).collect();
    let mut references = Vec::new();
    for content in &blobs {
        references.push(case.put(content.clone()).await);
    }
    let mut running = Vec::new();
    for task in 0..4u64 {
        let (store, blobs, references) = (case.store(), blobs.clone(), references.clone());
        running.push(tokio::spawn(async move {
            for round in 0..40u64 {
                if task == 0 {
                    let content = noise(1_000 + round, 5_000);
                    store.put(content, &Default::default()).await.expect("put");
                    continue;
                }
                let which = ((task + round) % 8) as usize;
                let blob = &references[which];
                let found = store.get(blob, 0..blob.size).await.expect("get");
                assert!(found == blobs[which], "blob {which}");
            }
        }));
    }
    for task in running {
        task.await.expect("the task ends");
    }
}
