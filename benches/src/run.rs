//! The rows of the performance budget, for every server that is asked for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use testkit::Dovecot;

use crate::bench::{self, Plan};
use crate::peers::{self, Gatepost};
use crate::report::{self, Measured, Report};
use crate::rows::ROWS;
use crate::wire::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    Auto,
    Dovecot,
    None,
}

/// Whether every workload of ours ran.
pub(crate) fn run(args: &Args) -> Result<bool> {
    for name in &args.only {
        if !ROWS.iter().any(|row| row.name == name) {
            let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
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
