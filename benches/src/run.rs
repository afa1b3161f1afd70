//! The rows of the performance budget, for every server that is asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::bench::{self, Plan};
use crate::limits::Limits;
use crate::peers::{self, Kind, Peer, Remote, Target};
use crate::report::{self, Measured, Report};
use crate::wire::Result;

#[derive(Debug, clap::Args)]
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
    #[command(flatten)]
    servers: Servers,
    /// Each round starts every server anew and measures one after the other: A B A B.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Print how long single operations took too.
    #[arg(long)]
    percentiles: bool,
    /// Write the numbers to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Which servers are measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Servers {
    /// The servers to compare with: `dovecot`, ...; `auto` is Dovecot where it is installed;
    /// `none`.
    #[arg(long, value_delimiter = ',', default_value = "auto")]
    against: Vec<String>,
    /// Leave Gatepost out and measure only the others.
    #[arg(long)]
    without_gatepost: bool,
    /// The server's binary; the one beside this program when absent.
    #[arg(long)]
    binary: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// Starts one of the servers.
pub(crate) enum Start {
    Gatepost(PathBuf),
    Peer(Kind),
    Remote(Box<Target>),
}

impl Start {
    pub(crate) fn start(&self) -> Result<Box<dyn Peer>> {
        match self {
            Self::Gatepost(binary) => peers::gatepost(binary),
            Self::Peer(kind) => kind.start(),
            Self::Remote(target) => Ok(Box::new(Remote::new(target)?)),
        }
    }
}

impl Servers {
    /// In the order in which they are measured.
    pub(crate) fn list(&self) -> Result<Vec<Start>> {
        if self.target.is_given() {
            return Ok(vec![Start::Remote(Box::new(self.target.clone()))]);
        }
        let mut list = Vec::new();
        if !self.without_gatepost {
            let beside = std::env::current_exe()?.with_file_name("gatepost");
            list.push(Start::Gatepost(self.binary.clone().unwrap_or(beside)));
        }
        for name in &self.against {
            match name.as_str() {
                "none" => {}
                "auto" if Kind::Dovecot.installed() => list.push(Start::Peer(Kind::Dovecot)),
                "auto" => {}
                name => {
                    let kind = Kind::from_str(name, true)
                        .map_err(|_| format!("--against {name}: no such server"))?;
                    if !kind.installed() {
                        return Err(format!("{name} is not installed: {}", kind.how()).into());
                    }
                    list.push(Start::Peer(kind));
                }
            }
        }
        if list.is_empty() {
            return Err("no server to measure".into());
        }
        Ok(list)
    }
}

/// Whether every workload of the first server ran.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let only: BTreeSet<String> = args.only.iter().cloned().collect();
    if let Some(wrong) = report::unknown(&only) {
        return Err(wrong.into());
    }
    let servers = args.servers.list()?;
    let messages = if args.quick {
        args.messages.min(1_000)
    } else {
        args.messages
    };
    let report = measure(&servers, args.rounds, &plan(messages, args.quick, only))?;
    println!("{}", report.table());
    if args.percentiles {
        println!("{}", report.percentiles());
    }
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    Ok(report
        .servers
        .first()
        .is_some_and(|first| !first.has_failed()))
}

pub(crate) fn plan(messages: usize, quick: bool, only: BTreeSet<String>) -> Plan {
    eprintln!("making {messages} messages");
    let plan = Plan::new(messages, quick, only);
    eprintln!("{} octets on average", plan.octets() / messages.max(1));
    plan
}

pub(crate) fn measure(servers: &[Start], rounds: usize, plan: &Plan) -> Result<Report> {
    let messages = plan.messages.len();
    let average = plan.octets() / messages.max(1);
    let mut limits = Limits::measure(plan.least, average)?;
    eprint!("{}", limits.text());
    let mut found: Vec<(String, Vec<_>)> = Vec::new();
    for round in 0..rounds.max(1) {
        for (index, start) in servers.iter().enumerate() {
            let mut peer = start.start()?;
            if round == 0 {
                found.push((peer.name(), Vec::new()));
            }
            let measured = bench::run(peer.as_mut(), plan)?;
            if let Some((_, rounds)) = found.get_mut(index) {
                rounds.push(measured);
            }
        }
        // Before, between and after: a machine that is busy for a while shows its limits later.
        limits = limits.or(Limits::measure(plan.least, average)?);
    }
    let measured = found
        .into_iter()
        .map(|(server, rounds)| Measured::new(server, rounds))
        .collect();
    Ok(Report::new(messages, plan.octets(), limits, measured))
}

pub(crate) fn write_json(path: &Path, report: &impl serde::Serialize) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    Ok(std::fs::write(path, serde_json::to_vec_pretty(report)?)?)
}
