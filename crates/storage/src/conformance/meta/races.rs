//! Several tasks at once: conflicts are judged atomically, and nothing is lost.

use crate::conformance::support::{A, bytes, hash};
use crate::conformance::{MetaCase, MetaHarness};
use crate::{Batch, ErrorKind, MetaStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use types::{AccountId, EmailId};

/// Runs `count` tasks at once; their results, in order.
async fn together<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    task: impl Fn(usize) -> F,
) -> Vec<T> {
    let running: Vec<_> = (0..count)
        .map(|number| tokio::spawn(task(number)))
        .collect();
    let mut results = Vec::new();
    for task in running {
        results.push(task.await.expect("the task ends"));
    }
    results
}

/// Brings racers to the line, round by round. They come running: being woken would take longer than
/// the race.
#[derive(Default)]
struct Line(AtomicUsize);

impl Line {
    /// Returns when all `racers` have come as often as this one.
    async fn meet(&self, racers: usize) {
        let place = self.0.fetch_add(1, Ordering::SeqCst);
        let all_here = (place / racers + 1) * racers;
        while self.0.load(Ordering::SeqCst) < all_here {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether the batch was applied; anything but success and `Conflict` is a failure.
async fn wins(store: &impl MetaStore, account: AccountId, batch: Batch) -> bool {
    match store.commit(account, batch).await {
        Ok(commit) => {
            commit.relax();
            true
        }
        Err(error) if error.kind == ErrorKind::Conflict => false,
        Err(error) => panic!("{error}"),
    }
}

const ROUNDS: usize = 400;

/// In every round `racers` tasks commit at once what `prepare` makes for (round, racer), of which
/// exactly one may be applied; who that was in each round.
async fn race<H: MetaHarness>(
    case: &MetaCase<H>,
    racers: usize,
    prepare: fn(usize, usize) -> Batch,
) -> Vec<usize> {
    let line = Arc::new(Line::default());
    let won = together(racers, |racer| {
        let (store, line) = (case.store(), Arc::clone(&line));
        async move {
            let mut won = Vec::new();
            for round in 0..ROUNDS {
                let batch = prepare(round, racer);
                line.meet(racers).await;
                won.push(wins(&*store, A, batch).await);
            }
            won
        }
    })
    .await;
    let winner = |round: usize| {
        let of_round: Vec<usize> = (0..racers).filter(|racer| won[*racer][round]).collect();
        let [winner] = of_round[..] else {
            panic!("round {round}: winners are {of_round:?}");
        };
        winner
    };
    (0..ROUNDS).map(winner).collect()
}

/// Each round's key holds the number of who won it.
async fn check_winners<H: MetaHarness>(case: &MetaCase<H>, winners: Vec<usize>) {
    for (round, winner) in winners.into_iter().enumerate() {
        let value = case.get(A, format!("key {round}")).await;
        assert_eq!(value, Some(bytes(&winner.to_string())), "round {round}");
    }
    assert_eq!(case.all(A).await.len(), ROUNDS);
}

pub async fn of_two_on_an_absent_key_one_wins<H: MetaHarness>(case: &mut MetaCase<H>) {
    let winners = race(case, 2, |round, racer| {
        let key = format!("key {round}");
        let mut batch = Batch::new();
        batch
            .require_absent(key.clone())
            .put(key, racer.to_string());
        batch
    })
    .await;
    check_winners(case, winners).await;
}

pub async fn of_many_on_an_equal_value_one_wins<H: MetaHarness>(case: &mut MetaCase<H>) {
    let mut before = Batch::new();
    for round in 0..ROUNDS {
        before.put(format!("key {round}"), "before");
    }
    case.commit(A, before).await;
    let winners = race(case, 5, |round, racer| {
        let key = format!("key {round}");
        let mut batch = Batch::new();
        batch
            .require(key.clone(), "before")
            .put(key, racer.to_string());
        batch
    })
    .await;
    check_winners(case, winners).await;
}

pub async fn of_two_that_exclude_each_other_one_wins<H: MetaHarness>(case: &mut MetaCase<H>) {
    // Each requires the absence of what only the other writes: both seeing the state before would
    // win.
    race(case, 2, |round, racer| {
        let mut batch = Batch::new();
        batch.require_absent(format!("{round} of {}", 1 - racer));
        batch.put(format!("{round} of {racer}"), "");
        batch
    })
    .await;
    assert_eq!(case.all(A).await.len(), ROUNDS);
}

pub async fn racing_increments_lose_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    const TASKS: usize = 8;
    const EACH: u64 = 25;
    case.put(A, "counter", "0").await;
    together(TASKS, |_| {
        let store = case.store();
        async move {
            for _ in 0..EACH {
                while !increments(&*store).await {}
            }
        }
    })
    .await;
    let total = (TASKS as u64 * EACH).to_string();
    assert_eq!(case.get(A, "counter").await, Some(bytes(&total)));
}

async fn increments(store: &impl MetaStore) -> bool {
    let value = store.get(A, b"counter").await.expect("get");
    let value = value.expect("the counter is there");
    let text = std::str::from_utf8(&value).expect("a number");
    let number: u64 = text.parse().expect("a number");
    let mut batch = Batch::new();
    batch.require("counter", value.clone());
    batch.put("counter", (number + 1).to_string());
    wins(store, A, batch).await
}

pub async fn racing_journals_have_no_gap<H: MetaHarness>(case: &mut MetaCase<H>) {
    const TASKS: usize = 6;
    const EACH: u32 = 30;
    // As the mail engine writes its journal (DESIGN 3.3): the next number, if nobody else has it.
    together(TASKS, |task| {
        let store = case.store();
        async move {
            let mut next = 0u32;
            for entry in 0..EACH {
                loop {
                    let key = next.to_be_bytes().to_vec();
                    let mut batch = Batch::new();
                    batch.require_absent(key.clone());
                    batch.put(key, format!("{task} {entry}"));
                    next += 1;
                    if wins(&*store, A, batch).await {
                        break;
                    }
                }
            }
        }
    })
    .await;
    case.reopen().await;
    let entries = case.all(A).await;
    let numbers = (0..TASKS as u32 * EACH).map(|number| number.to_be_bytes());
    assert!(entries.iter().map(|(key, _)| &key[..]).eq(numbers), "a gap");
    for task in 0..TASKS {
        let of_task = |text: &str| text.starts_with(&format!("{task} "));
        let values = entries
            .iter()
            .map(|(_, value)| String::from_utf8_lossy(value));
        let own: Vec<String> = values
            .filter(|text| of_task(text))
            .map(Into::into)
            .collect();
        let expected: Vec<String> = (0..EACH).map(|entry| format!("{task} {entry}")).collect();
        assert_eq!(own, expected, "each once, in order");
    }
}

pub async fn writers_of_own_keys_lose_nothing<H: MetaHarness>(case: &mut MetaCase<H>) {
    const WRITERS: usize = 24;
    const EACH: u32 = 40;
    together(WRITERS, |writer| {
        let store = case.store();
        async move {
            // Half of them share an account, the others have their own.
            let account = AccountId(if writer % 2 == 0 { 1 } else { writer as u64 });
            for number in 0..EACH {
                let mut batch = Batch::new();
                batch.put(format!("{writer} {number}"), format!("value {number}"));
                let commit = store.commit(account, batch).await.expect("commit");
                commit.durable().await.expect("durable");
            }
        }
    })
    .await;
    for _ in 0..2 {
        for writer in 0..WRITERS {
            let account = AccountId(if writer % 2 == 0 { 1 } else { writer as u64 });
            for number in 0..EACH {
                let value = case.get(account, format!("{writer} {number}")).await;
                assert_eq!(value, Some(bytes(&format!("value {number}"))));
            }
        }
        case.reopen().await;
    }
}

pub async fn acknowledged_writers_survive_a_crash<H: MetaHarness>(case: &mut MetaCase<H>) {
    const WRITERS: usize = 12;
    const EACH: u32 = 25;
    together(WRITERS, |writer| {
        let store = case.store();
        async move {
            for number in 0..EACH {
                let mut batch = Batch::new();
                batch.put(format!("{writer} {number}"), "");
                let account = AccountId(writer as u64 % 3);
                let commit = store.commit(account, batch).await.expect("commit");
                commit.durable().await.expect("durable");
            }
        }
    })
    .await;
    let before = case.dump().await;
    case.crash().await;
    assert_eq!(case.dump().await, before);
}

pub async fn racing_links_are_all_there<H: MetaHarness>(case: &mut MetaCase<H>) {
    together(8, |task| {
        let store = case.store();
        async move {
            for email in 0..40u64 {
                let mut batch = Batch::new();
                batch.link(hash(1), EmailId(email));
                if email > 0 {
                    batch.unlink(hash(1), EmailId(email - 1));
                }
                batch.link(hash(2), EmailId(email));
                let commit = store.commit(AccountId(task as u64), batch).await;
                commit.expect("commit").relax();
            }
        }
    })
    .await;
    let one = case
        .store()
        .links(&hash(1), usize::MAX)
        .await
        .expect("links");
    let last = (0..8).map(|account| (AccountId(account), EmailId(39)));
    assert!(one.iter().map(|row| (row.account, row.email)).eq(last));
    let all = case
        .store()
        .links(&hash(2), usize::MAX)
        .await
        .expect("links");
    assert_eq!(all.len(), 8 * 40);
}

pub async fn readers_beside_writers_see_whole_values<H: MetaHarness>(case: &mut MetaCase<H>) {
    case.put(A, "key", vec![0; 8_000]).await;
    together(4, |task| {
        let store = case.store();
        async move {
            for round in 0..150u8 {
                if task < 2 {
                    let mut batch = Batch::new();
                    batch.put("key", vec![round; 8_000 + usize::from(round)]);
                    let commit = store.commit(A, batch).await;
                    commit.expect("commit").relax();
                } else {
                    let value = store.get(A, b"key").await.expect("get");
                    let value = value.expect("a put never takes a value away");
                    let round = value[0];
                    assert_eq!(value.len(), 8_000 + usize::from(round));
                    assert!(value.iter().all(|byte| *byte == round), "torn");
                }
            }
        }
    })
    .await;
}
