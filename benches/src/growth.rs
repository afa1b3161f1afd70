//! How cost grows with the mailbox: the same rows for several numbers of messages.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::bench::Plan;
use crate::report::{self, Report, aligned, number};
use crate::rows::ROWS;
use crate::run::{Servers, measure, write_json};
use crate::wire::Result;

/// What must not depend on the number of messages, or only in proportion to it.
const DEFAULT: &str = "append,lmtp-1,fetch-cold,fetch-flags,select,qresync,pop3-poll,\
                       pop3-uidl-list,memory-after";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Messages in the mailbox, small ones: it is their number that counts.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    sizes: Vec<usize>,
    /// Rows to measure.
    #[arg(long, value_delimiter = ',', default_value = DEFAULT)]
    only: Vec<String>,
    #[command(flatten)]
    servers: Servers,
    /// Rounds for each size.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Short runs.
    #[arg(long)]
    quick: bool,
    /// Write the numbers to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<bool> {
    let only: BTreeSet<String> = args.only.iter().cloned().collect();
    if let Some(wrong) = report::unknown(&only) {
        return Err(wrong.into());
    }
    let servers = args.servers.list()?;
    let mut reports = Vec::new();
    for size in &args.sizes {
        eprintln!("{size} messages");
        let plan = Plan::small(*size, args.quick, only.clone());
        reports.push(measure(&servers, args.rounds, &plan)?);
    }
    println!("{}", table(&reports));
    if let Some(path) = &args.json {
        write_json(path, &reports)?;
    }
    let first = |report: &Report| report.servers.first().is_some_and(|one| one.has_failed());
    Ok(!reports.iter().any(first))
}

/// A line per row and server, a column per size.
fn table(reports: &[Report]) -> String {
    let mut head = vec![
        "workload".to_owned(),
        "server".to_owned(),
        "unit".to_owned(),
    ];
    head.extend(reports.iter().map(|report| report.messages.to_string()));
    let mut lines = vec![head];
    for row in ROWS {
        let servers = reports.first().map_or(0, |report| report.servers.len());
        for index in 0..servers {
            let value = |report: &Report| report.servers[index].value(row.name);
            if reports.iter().all(|report| value(report).is_none()) {
                continue;
            }
            let server = &reports[0].servers[index].server;
            let unit = row.unit.text();
            let mut line = vec![row.what.to_owned(), server.clone(), unit.to_owned()];
            line.extend(
                reports
                    .iter()
                    .map(|report| value(report).map_or("-".into(), number)),
            );
            lines.push(line);
        }
    }
    let mut out = aligned(&lines);
    for report in reports {
        out.push_str(&report.failures());
    }
    out
}
