//! How many instructions each piece takes, by callgrind: the same from run to run, whatever else
//! the machine does. Time in the kernel and in the caches is not in it.

use std::process::{Command, ExitCode, Stdio};

use crate::{Amount, Piece};

/// A piece runs so often in the one process and once more in the other; what lies between their
/// counts is free of what starting and preparing take.
const MORE: u64 = 10;

/// Counts and prints all.
pub(crate) fn table(pieces: &[&Piece]) -> ExitCode {
    println!("{:<32} {:>14} per", "piece", "instructions");
    for piece in pieces {
        match instructions(piece.name) {
            Ok(per_run) => {
                let (count, of) = match (piece.prepare)().amount {
                    Amount::Octets(count) => (count, "octet"),
                    Amount::Items(count, of) => (count, of),
                };
                println!("{:<32} {:>14.2} {of}", piece.name, per_run / count as f64);
            }
            Err(error) => {
                eprintln!("{}: {error}", piece.name);
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

/// `NAME TIMES`: the process that is counted.
pub(crate) fn run(pieces: &[&Piece], args: &[String]) -> ExitCode {
    let wanted = args.first().and_then(|name| {
        let mut pieces = pieces.iter();
        pieces.find(|piece| piece.name == name)
    });
    let times = args.get(1).and_then(|times| times.parse::<u64>().ok());
    let (Some(piece), Some(times)) = (wanted, times) else {
        eprintln!("run NAME TIMES");
        return ExitCode::from(2);
    };
    let mut ready = (piece.prepare)();
    (0..times).for_each(|_| (ready.run)());
    ExitCode::SUCCESS
}

/// Of one run.
fn instructions(name: &str) -> Result<f64, String> {
    let once = counted(name, 1)?;
    let more = counted(name, 1 + MORE)?;
    Ok(more.saturating_sub(once) as f64 / MORE as f64)
}

fn counted(name: &str, times: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["run", name, &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind cannot be started ({error}): is it installed?"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // `==123== Collected : 4711`
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("callgrind has counted nothing: {said}")),
    }
}
