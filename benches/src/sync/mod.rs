//! `gatepost-bench sync-cost`: what one visit to a mailbox costs, for every way to make it.

mod cpu;
mod grid;
mod measure;
mod pop;
mod push;
mod pushing;
pub(crate) mod result;
mod scan;
mod strategy;
mod table;
mod target;
mod visit;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use self::grid::{Grid, Plan};
use self::measure::Timing;
use self::result::{Measured, Report};
pub(crate) use self::table::number;
use self::target::Target;
use crate::clients::Door;
use crate::peers::{self, Kind, PASSWORD, READER};
use crate::wire::Result;

/// What one visit costs: octets, round trips, processor time of the server, time near and far.
///
/// Without addresses it starts its own Gatepost and, where it is installed, Dovecot, on loopback.
/// With --imap, --pop3, --lmtp it visits the server there and sends nothing anywhere else; without
/// --may-write it only looks, at what a visit costs that finds nothing new. With --may-write it
/// needs an account whose INBOX is empty: it fills it, receives mail in it, and empties it again.
#[derive(Debug, Args)]
pub(crate) struct SyncCost {
    /// Messages in the mailbox: 100,1000,10000,100000 when absent.
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<usize>,
    /// New messages, or changed flags, between two visits: 0,1,10,100,1000 when absent.
    #[arg(long, value_delimiter = ',')]
    changes: Vec<usize>,
    /// Milliseconds of a simulated round trip: 0,20,100,300 when absent.
    #[arg(long, value_delimiter = ',')]
    rtt: Vec<u64>,
    /// Strategies, by the names of the table; a beginning of a name stands for all that have it.
    #[arg(long, value_delimiter = ',')]
    strategies: Vec<String>,
    /// Short: where not said otherwise 100 and 1 000 messages, 0 and 10 changes, 0 and 20 ms.
    #[arg(long)]
    quick: bool,
    /// Write the numbers to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write a page with plots to this file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Measure nothing: show the numbers of this JSON file.
    #[arg(long)]
    show: Option<PathBuf>,
    /// The server to compare with; Dovecot where it is installed, when absent.
    #[arg(long, value_enum)]
    against: Option<Against>,
    /// Our server's binary; the one beside this program when absent.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// HOST:PORT of any server's IMAP, without TLS.
    #[arg(long)]
    imap: Option<String>,
    /// HOST:PORT of its POP3.
    #[arg(long)]
    pop3: Option<String>,
    /// HOST:PORT of its LMTP; without it new mail is APPENDed.
    #[arg(long, requires = "may_write")]
    lmtp: Option<String>,
    /// The account there.
    #[arg(long, default_value = READER)]
    user: String,
    /// Its password.
    #[arg(long, default_value = PASSWORD)]
    password: String,
    /// The INBOX of the account, which must be empty, may be filled and emptied.
    #[arg(long)]
    may_write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    Dovecot,
    None,
}

/// Measures what is asked for and shows it.
pub(crate) fn run(args: &SyncCost) -> Result<()> {
    if let Some(path) = &args.show {
        return show(args, &result::load(path)?);
    }
    let mut plan = plan(args)?;
    let mut report = Report::new();
    if args.imap.is_some() || args.pop3.is_some() {
        let target = elsewhere(args)?;
        // One visit at a time: others live there too.
        plan.timing.parallel = 1;
        measure(args, &mut report, &target, &plan)?;
    } else {
        let beside = std::env::current_exe()?.with_file_name("gatepost");
        let gatepost = peers::gatepost(args.binary.as_ref().unwrap_or(&beside))?;
        measure(args, &mut report, &Target::of(&*gatepost), &plan)?;
        drop(gatepost);
        let dovecot = match args.against {
            Some(Against::Dovecot) => true,
            Some(Against::None) => false,
            None => Kind::Dovecot.installed(),
        };
        if dovecot {
            let dovecot = Kind::Dovecot.start()?;
            measure(args, &mut report, &Target::of(&*dovecot), &plan)?;
        }
    }
    show(args, &report)
}

fn plan(args: &SyncCost) -> Result<Plan> {
    let all = strategy::ALL.iter();
    let wanted = |name: &str| {
        let begins = |begin: &String| name.starts_with(begin.as_str());
        args.strategies.is_empty() || args.strategies.iter().any(begins)
    };
    let strategies: Vec<_> = all.filter(|strategy| wanted(strategy.name)).collect();
    if strategies.is_empty() {
        let names: Vec<_> = strategy::ALL.iter().map(|strategy| strategy.name).collect();
        return Err(format!("no strategy is named so; there are {}", names.join(" ")).into());
    }
    let quick = args.quick;
    let usual_sizes: &[usize] = if quick {
        &[100, 1_000]
    } else {
        &[100, 1_000, 10_000, 100_000]
    };
    let usual_changes: &[usize] = if quick {
        &[0, 10]
    } else {
        &[0, 1, 10, 100, 1_000]
    };
    let usual_rtts: &[u64] = if quick { &[0, 20] } else { &[0, 20, 100, 300] };
    let mut sizes = given_or(&args.sizes, usual_sizes);
    let mut changes = given_or(&args.changes, usual_changes);
    let mut rtts = given_or(&args.rtt, usual_rtts);
    // The prediction starts from here.
    rtts.push(0);
    for list in [&mut sizes, &mut changes] {
        list.sort_unstable();
        list.dedup();
    }
    rtts.sort_unstable();
    rtts.dedup();
    if sizes.first() == Some(&0) {
        return Err("a mailbox of no messages: --sizes begins at 1".into());
    }
    Ok(Plan {
        sizes,
        changes,
        rtts,
        strategies,
        timing: Timing {
            least: Duration::from_millis(if quick { 30 } else { 250 }),
            least_visits: if quick { 2 } else { 3 },
            limit: Duration::from_secs(if quick { 1 } else { 5 }),
            parallel: 16,
        },
    })
}

fn given_or<T: Clone>(given: &[T], usual: &[T]) -> Vec<T> {
    let list = if given.is_empty() { usual } else { given };
    list.to_vec()
}

fn elsewhere(args: &SyncCost) -> Result<Target> {
    let door = |address| Door {
        address,
        user: args.user.clone(),
        password: args.password.clone(),
        tls: None,
        quick_ack: false,
    };
    let doors = [&args.imap, &args.pop3, &args.lmtp].map(|door| door.as_deref().unwrap_or("-"));
    Ok(Target {
        name: format!("IMAP {}, POP3 {}, LMTP {}", doors[0], doors[1], doors[2]),
        imap: peers::resolve(args.imap.as_ref())?.map(door),
        pop3: peers::resolve(args.pop3.as_ref())?.map(door),
        lmtp: peers::resolve(args.lmtp.as_ref())?.map(|address| (address, args.user.clone())),
        root: None,
        notify_begins: peers::NOTIFY_BEGINS_LATE,
        may_write: args.may_write,
    })
}

/// One server; what is there is written to the JSON file whenever a mailbox size is done.
fn measure(args: &SyncCost, report: &mut Report, target: &Target, plan: &Plan) -> Result<()> {
    eprintln!("== {}", target.name);
    let bar = ProgressBar::new(plan.steps());
    let template = "{elapsed:>5} {bar:30} {percent:>3} %  {msg}";
    bar.set_style(ProgressStyle::with_template(template)?);
    bar.enable_steady_tick(Duration::from_millis(500));
    let before = std::mem::take(&mut report.servers);
    let (machine, at) = (report.machine.clone(), report.at);
    let save = |measured: &Measured| {
        let Some(path) = &args.json else {
            return;
        };
        let so_far = Saved {
            machine: &machine,
            at,
            servers: before.iter().chain([measured]).collect(),
        };
        if let Err(error) = write_json(path, &so_far) {
            bar.println(error.to_string());
        }
    };
    let measured = Grid::new(target, plan, &bar)?.run(&save)?;
    bar.finish_and_clear();
    report.servers = before;
    report.servers.push(measured);
    Ok(())
}

/// [`Report`] by reference.
#[derive(serde::Serialize)]
struct Saved<'a> {
    machine: &'a str,
    at: u64,
    servers: Vec<&'a Measured>,
}

fn write_json(path: &Path, report: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(report)?;
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn show(args: &SyncCost, report: &Report) -> Result<()> {
    println!("{}", table::text(report));
    if let Some(path) = &args.json {
        write_json(path, report)?;
    }
    if let Some(path) = &args.html {
        let page = crate::html::page(report);
        fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
