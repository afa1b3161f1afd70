//! The project's own tools: `cargo xtask test|tidy|rfc|conformance-count|fuzz|bench|torture`.
#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod fuzz;
mod install;
mod rfc;
mod shell;
mod source;
mod test;
mod tidy;
mod torture;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test [ARGS]           install what the tests need, then run all of them;
                                  ARGS go to cargo nextest run (a filter, --no-capture, ...)
cargo xtask tidy [--fix PATH...]  crate edges, file and line length, leftovers;
                                  --fix breaks long comment lines below the paths
cargo xtask rfc [--check]         write docs/RFC-MAP.md, or fail when it is out of date
cargo xtask conformance-count     every backend runs every case of the conformance suite
cargo xtask fuzz [--seconds N] [TARGET...]
                                  every fuzz target for N seconds (60); wants a nightly
                                  toolchain and cargo-fuzz (cargo install cargo-fuzz)
cargo xtask bench [ARGS]          the workloads of the performance budget, beside Dovecot
                                  where it is installed; --help lists ARGS
cargo xtask bench instructions    hot code alone, counted by callgrind (wants valgrind)
cargo xtask torture [--minutes N] [--seed S] [--only WHAT] [--release]
                                  failing disks; power cuts on two disks and kills of a busy server,
                                  N minutes (10) together, from seed S (the clock); damaged files,
                                  space given back, crowds, and a soak; as root. WHAT: faults,
                                  block, fuse, kill, damage, space, bounds or soak";

/// A reason to stop: printed, and the process ends with `code`.
struct Stop {
    code: u8,
    reason: String,
}

impl Stop {
    /// Something is wrong with the code: exit code 1.
    fn failed(reason: impl Into<String>) -> Self {
        Self {
            code: 1,
            reason: reason.into(),
        }
    }

    /// The tool cannot do its work here: exit code 2.
    fn unable(reason: impl Into<String>) -> Self {
        Self {
            code: 2,
            reason: reason.into(),
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("test") => test::run(rest),
        Some("tidy") => tidy::run(rest),
        Some("rfc") => rfc::run(rest),
        Some("conformance-count") => conformance::run(),
        Some("fuzz") => fuzz::run(rest),
        Some("bench") => bench::run(rest),
        Some("torture") => torture::run(rest),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(())
        }
        Some(other) => Err(Stop::unable(format!(
            "xtask knows no task `{other}`\n{HELP}"
        ))),
        None => Err(Stop::unable(HELP)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{}", stop.reason);
            ExitCode::from(stop.code)
        }
    }
}
