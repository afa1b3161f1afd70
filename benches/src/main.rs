//! The load generator: the workloads of the performance budget (DESIGN 10) against the release
//! binary and against other servers with the same messages and the same client. Loopback only,
//! unless it is given an address; every workload is bounded in time and in number.
#![forbid(unsafe_code)]

mod bench;
mod clients;
mod deflate;
mod delay;
mod growth;
mod html;
mod imap;
mod limits;
mod mixed;
mod peers;
mod report;
mod rows;
mod run;
mod stats;
mod sync;
mod tls;
mod wire;
mod workloads;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Gatepost beside other servers. Data lie in the temporary directory (TMPDIR).
///
/// Without a subcommand: the rows of the performance budget.
#[derive(Parser)]
#[command(name = "gatepost-bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    rows: run::Args,
}

#[derive(Subcommand)]
enum Command {
    /// The rows of the performance budget; the same as no subcommand.
    Rows(run::Args),
    /// Deliveries, IDLE, POP3 pollers and webmail at once, at a fixed rate, open loop.
    Mixed(mixed::Args),
    /// How cost grows with the number of messages in the mailbox.
    Growth(growth::Args),
    SyncCost(Box<sync::SyncCost>),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run::run(&cli.rows),
        Some(Command::Rows(args)) => run::run(&args),
        Some(Command::Mixed(args)) => mixed::run(&args),
        Some(Command::Growth(args)) => growth::run(&args),
        Some(Command::SyncCost(args)) => sync::run(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gatepost-bench: {error}");
            ExitCode::from(2)
        }
    }
}
