//! The hot pieces alone: `cargo bench -p gatepost-bench` says how long they take, `cargo xtask
//! bench instructions` how many instructions.
#![allow(missing_docs, clippy::unwrap_used)]

mod commands;
mod fetch;
mod instructions;
mod messages;
mod packs;
mod replay;

use std::process::ExitCode;

use criterion::{Criterion, Throughput};

/// A hot piece.
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    pub(crate) prepare: fn() -> Ready,
}

/// What there is of something.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    Octets(usize),
    /// So many of these.
    Items(usize, &'static str),
}

/// A piece that can run again and again.
pub(crate) struct Ready {
    /// What one run does.
    pub(crate) amount: Amount,
    pub(crate) run: Box<dyn FnMut()>,
}

fn pieces() -> Vec<&'static Piece> {
    let files = [
        commands::PIECES,
        fetch::PIECES,
        messages::PIECES,
        packs::PIECES,
        replay::PIECES,
    ];
    files.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("instructions") => instructions::table(&pieces()),
        Some("run") => instructions::run(&pieces(), &args[1..]),
        _ => {
            criterion();
            ExitCode::SUCCESS
        }
    }
}

fn criterion() {
    let mut criterion = Criterion::default().configure_from_args();
    for piece in pieces() {
        let mut ready = (piece.prepare)();
        let mut group = criterion.benchmark_group("micro");
        group.throughput(match ready.amount {
            Amount::Octets(count) => Throughput::Bytes(count as u64),
            Amount::Items(count, _) => Throughput::Elements(count as u64),
        });
        group.bench_function(piece.name, |bencher| bencher.iter(|| (ready.run)()));
        group.finish();
    }
    criterion.final_summary();
}
