//! The load generator: the workloads of the performance budget (DESIGN 10) against the release
//! binary and, where it is installed, against Debian's Dovecot with the same messages and the same
//! client. Loopback only; every workload is bounded in time and in number.
#![forbid(unsafe_code)]

mod bench;
mod clients;
mod delay;
mod html;
mod peers;
mod report;
mod rows;
mod sync;
mod wire;
mod workloads;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::bench::Plan;
use crate::peers::Gatepost;
use crate::report::{Measured, Report};
use crate::wire::Result;
use testkit::Dovecot;

/// Measures Gatepost beside Dovecot. Data lies in the temporary directory (TMPDIR).
#[derive(Parser)]
#[command(name = "gatepost-bench", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Messages in the mailbox; the budget is for 10 000.
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// 1 000 messages, short runs, 100 idle connections: to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Rows to measure, by the names of the JSON file; all when absent.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The server to compare with; `auto` is Dovecot where it is installed.
    #[arg(long, value_enum, default_value = "auto")]
    against: Against,
    /// Leave Gatepost out and measure only the other server.
    #[arg(long)]
    without_gatepost: bool,
    /// The server's binary; the one beside this program when absent.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Write the numbers to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    SyncCost(Box<sync::SyncCost>),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    Auto,
    Dovecot,
    None,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gatepost-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every workload of ours ran.
fn run(args: &Args) -> Result<bool> {
    if let Some(Command::SyncCost(args)) = &args.command {
        return sync::run(args).map(|()| true);
    }
    for name in &args.only {
        if !rows::ROWS.iter().any(|row| row.name == name) {
            let known: Vec<_> = rows::ROWS.iter().map(|row| row.name).collect();
            return Err(format!("no row is named `{name}`; there are {}", known.join(" ")).into());
        }
    }
    let dovecot = match args.against {
        Against::None => false,
        Against::Auto => Dovecot::installed(),
        Against::Dovecot if Dovecot::installed() => true,
        Against::Dovecot => {
            return Err(
                "Dovecot is not installed: as root, apt-get install dovecot-imapd \
                        dovecot-pop3d dovecot-lmtpd"
                    .into(),
            );
        }
    };
    let messages = if args.quick {
        args.messages.min(1_000)
    } else {
        args.messages
    };
    let only: BTreeSet<String> = args.only.iter().cloned().collect();
    eprintln!("making {messages} messages");
    let plan = Plan::new(messages, args.quick, only);
    let octets: usize = plan.messages.iter().map(Vec::len).sum();
    eprintln!("{} octets on average", octets / messages.max(1));

    let mut servers: Vec<Measured> = Vec::new();
    if !args.without_gatepost {
        let beside = std::env::current_exe()?.with_file_name("gatepost");
        let mut gatepost = Gatepost::start(args.binary.as_ref().unwrap_or(&beside))?;
        servers.push(bench::run(&mut gatepost, &plan));
    }
    if dovecot {
        servers.push(bench::run(&mut peers::dovecot()?, &plan));
    }
    println!("{}", report::table(&servers));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&Report::new(messages, &servers))?;
        std::fs::write(path, json)?;
    }
    Ok(servers
        .first()
        .is_some_and(|server| server.failures.is_empty()))
}
