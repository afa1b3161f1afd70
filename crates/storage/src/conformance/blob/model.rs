//! Random operations on the store and on a map; they must agree all along.

use crate::conformance::support::{assert_kind, noise, seed};
use crate::conformance::{BlobCase, BlobHarness};
use crate::rng::Rng;
use crate::{BlobRef, BlobStore, ErrorKind};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Of a small set, so that the same contents come again; number 0 is the empty blob.
fn content(number: u64) -> Bytes {
    noise(number, (number * number * 40) as usize)
}

/// What became of a content that was put at least once.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Alive,
    Released,
    Collected,
}

async fn agrees<H: BlobHarness>(case: &BlobCase<H>, blob: &BlobRef, number: u64, state: State) {
    let answer = case.get(blob).await;
    match state {
        State::Alive => assert_eq!(answer.expect("get"), content(number)),
        State::Collected => assert_kind(answer, ErrorKind::NotFound),
        // Within the grace period, or not any more.
        State::Released => match answer {
            Ok(found) => assert_eq!(found, content(number)),
            answer => assert_kind(answer, ErrorKind::NotFound),
        },
    }
}

pub async fn random_operations_agree_with_a_model<H: BlobHarness>(case: &mut BlobCase<H>) {
    let mut rng = Rng::new(seed());
    let mut model: BTreeMap<u64, (BlobRef, State)> = BTreeMap::new();
    for _ in 0..600 {
        let number = rng.below(30);
        match (rng.below(24), model.get_mut(&number)) {
            (0..8, known) => {
                let blob = case.put(content(number)).await;
                match known {
                    // The reference from the first put must do for ever.
                    Some((_, state)) => *state = State::Alive,
                    None => drop(model.insert(number, (blob, State::Alive))),
                }
            }
            (8..14, Some((blob, state))) => {
                case.release(blob).await;
                if *state == State::Alive {
                    *state = State::Released;
                }
            }
            (14, _) => {
                case.collect().await;
                let states = model.values_mut().map(|(_, state)| state);
                for state in states.filter(|state| **state == State::Released) {
                    *state = State::Collected;
                }
            }
            (15, _) => case.reopen().await,
            (_, Some((blob, state))) => agrees(case, blob, number, *state).await,
            (_, None) => {}
        }
    }
    for (number, (blob, state)) in model {
        agrees(case, &blob, number, state).await;
        let stat = case.store().stat(&blob.hash).await.expect("stat");
        match state {
            State::Alive => assert!(stat.is_some(), "{number} is alive"),
            State::Collected => assert!(stat.is_none(), "{number} is collected"),
            State::Released => {}
        }
    }
}
