//! The hot pieces alone: `cargo bench -p gatepost-bench`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use imap::grammar::{Command, Cursor, Names};
use imap::registry;
use message::{Digest, FieldSet, Needle, body_texts, digest};
use storage::{BlobStore as _, Provenance};
use testkit::corpus::Corpus;

/// Arguments of commands that clients send most.
const COMMANDS: [(&str, &str); 4] = [
    (
        "FETCH",
        " 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
    ),
    ("STORE", " 4711 +FLAGS.SILENT (\\Seen $Forwarded)"),
    ("SELECT", " INBOX"),
    (
        "SEARCH",
        " OR FROM alice SUBJECT invoice UNSEEN SINCE 1-Oct-2026",
    ),
];
/// What a mail client shows in its list.
const FIELDS: [&str; 9] = [
    "DATE",
    "FROM",
    "TO",
    "CC",
    "SUBJECT",
    "MESSAGE-ID",
    "REFERENCES",
    "IN-REPLY-TO",
    "CONTENT-TYPE",
];

fn parse(criterion: &mut Criterion) {
    for (name, arguments) in COMMANDS {
        let spec = registry::find(name.as_bytes()).unwrap();
        let command = Command {
            text: arguments.as_bytes().into(),
            literals: Vec::new(),
        };
        criterion.bench_function(&format!("parse {name}"), |bencher| {
            bencher.iter(|| {
                (spec.parse)(&mut Cursor::new(black_box(&command), Names::Utf7), false).is_ok()
            });
        });
    }
}

fn messages(criterion: &mut Criterion) {
    let messages = Corpus::messages(17, 100);
    let octets = messages.iter().map(Vec::len).sum::<usize>() as u64;
    let digests: Vec<Vec<u8>> = messages.iter().map(|message| digest(message)).collect();
    let set = FieldSet::resolve(FIELDS).unwrap();
    let absent = Needle::new("zqxjkvwpy");

    let mut group = criterion.benchmark_group("message");
    group.throughput(Throughput::Bytes(octets));
    group.bench_function("digest", |bencher| {
        bencher.iter(|| {
            messages
                .iter()
                .map(|message| digest(message).len())
                .sum::<usize>()
        });
    });
    group.bench_function("search body", |bencher| {
        bencher.iter(|| {
            messages
                .iter()
                .filter(|message| contains(message, &absent))
                .count()
        });
    });
    group.throughput(Throughput::Elements(messages.len() as u64));
    group.bench_function("format envelope and bodystructure", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for encoded in &digests {
                let digest = Digest::parse(black_box(encoded)).unwrap();
                out.extend_from_slice(digest.envelope());
                out.extend_from_slice(digest.bodystructure());
            }
            out.len()
        });
    });
    group.bench_function("format header fields", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for encoded in &digests {
                let digest = Digest::parse(black_box(encoded)).unwrap();
                black_box(digest.header_fields(set, &mut out));
            }
            out.len()
        });
    });
    group.finish();
}

fn contains(message: &[u8], needle: &Needle) -> bool {
    let mut found = false;
    body_texts(message, &mut |text| {
        found = needle.is_in(text);
        if found {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found
}

fn packs(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let store = blob_packs::PackStore::open(dir.path(), Default::default(), |_| ()).unwrap();
    let messages = Corpus::messages(17, 100);
    let octets = messages.iter().map(Vec::len).sum::<usize>() as u64;
    let blobs = runtime.block_on(async {
        let mut blobs = Vec::new();
        for message in messages {
            blobs.push(
                store
                    .put(message.into(), &Provenance::default())
                    .await
                    .unwrap(),
            );
        }
        blobs
    });
    let mut group = criterion.benchmark_group("pack");
    group.throughput(Throughput::Bytes(octets));
    group.bench_function("get one by one", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                for blob in &blobs {
                    black_box(store.get(blob, 0..blob.size).await.unwrap());
                }
            });
        });
    });
    group.bench_function("get many", |bencher| {
        bencher.iter(|| runtime.block_on(store.get_many(&blobs)).len());
    });
    group.finish();
    runtime.block_on(store.close()).unwrap();
}

criterion_group!(micro, parse, messages, packs);
criterion_main!(micro);
