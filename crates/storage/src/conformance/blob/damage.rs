//! Bytes that are not what was put.

use crate::conformance::support::{assert_kind, noise};
use crate::conformance::{BlobCase, BlobHarness};
use crate::{BlobStore, ErrorKind};

pub async fn a_damaged_blob_is_corrupt<H: BlobHarness>(case: &mut BlobCase<H>) {
    case.put(noise(1, 3_000)).await;
    let blob = case.put(noise(2, 10_000)).await;
    case.damage(&blob).await;
    assert_kind(case.get(&blob).await, ErrorKind::Corrupt);
    let verified = case.store().verify(&blob.hash).await;
    assert_kind(verified, ErrorKind::Corrupt);
    let [answer] = <[_; 1]>::try_from(case.store().get_many(&[blob]).await).expect("one");
    assert_kind(answer, ErrorKind::Corrupt);
}

pub async fn damage_stays_in_its_blob<H: BlobHarness>(case: &mut BlobCase<H>) {
    let before = case.put(noise(1, 3_000)).await;
    let also_before = case.put(noise(2, 100)).await;
    let blob = case.put(noise(3, 10_000)).await;
    case.damage(&blob).await;
    let asked = [blob, before, also_before];
    let mut answers = case.store().get_many(&asked).await.into_iter();
    assert_kind(answers.next().expect("three"), ErrorKind::Corrupt);
    for answer in answers {
        answer.expect("the others are sound");
    }
    case.check().await;
    for blob in [before, also_before] {
        case.store().verify(&blob.hash).await.expect("verify");
    }
    // And the store goes on.
    case.put(noise(4, 3_000)).await;
    case.check().await;
}

pub async fn a_range_of_a_damaged_blob_is_sound_or_corrupt<H: BlobHarness>(case: &mut BlobCase<H>) {
    let content = noise(1, 100_000);
    let blob = case.put(content.clone()).await;
    case.damage(&blob).await;
    for start in (0..100_000u32).step_by(10_000) {
        let range = start..start + 10_000;
        let sound = content.slice(range.start as usize..range.end as usize);
        // The contract asks for no more than the format can tell: at most one byte differs, or it
        // is told.
        match case.store().get(&blob, range).await {
            Ok(part) => {
                let differ = part.iter().zip(&sound).filter(|(a, b)| a != b).count();
                assert!(part.len() == sound.len() && differ <= 1, "from {start}");
            }
            answer => assert_kind(answer, ErrorKind::Corrupt),
        }
    }
}
