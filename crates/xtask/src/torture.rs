//! `cargo xtask torture`: everything that may go wrong, for as long as wanted, and what came of it
//! in a table.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::shell::{call, cargo};
use crate::{Stop, install};

/// One thing that is done to the server.
struct Ordeal {
    name: &'static str,
    /// The file below `crates/server/tests/suite`, and the test; all that are not ignored if empty.
    test: (&'static str, &'static str),
    /// What makes it long.
    environment: &'static [(&'static str, &'static str)],
    /// Whether it takes the minutes that were asked for.
    timed: bool,
}

const fn long(
    name: &'static str,
    test: (&'static str, &'static str),
    environment: &'static [(&'static str, &'static str)],
) -> Ordeal {
    Ordeal {
        name,
        test,
        environment,
        timed: false,
    }
}

const fn ends(name: &'static str, environment: &'static [(&'static str, &'static str)]) -> Ordeal {
    Ordeal {
        timed: true,
        ..long(name, ("torture", "as_long_as_wanted"), environment)
    }
}

const ORDEALS: [Ordeal; 9] = [
    long("faults", ("faults", ""), &[]),
    ends("block", &[("TORTURE_ONLY", "block")]),
    ends("fuse", &[("TORTURE_ONLY", "fuse")]),
    ends("kill", &[("TORTURE_ONLY", "kill")]),
    ends("memory", &[("TORTURE_ONLY", "memory")]),
    long("damage", ("damage", ""), &[("GATEPOST_DAMAGE", "long")]),
    long("space", ("space", ""), &[("GATEPOST_SPACE", "2048")]),
    long("bounds", ("bounds", "bounds_in_full"), &[]),
    long("soak", ("bounds", "soak"), &[("SOAK_MINUTES", "30")]),
];

pub(crate) fn run(args: &[String]) -> Result<(), Stop> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let (mut minutes, mut seed) = (10_u64, clock.map_or(1, |since| since.as_secs()));
    let (mut only, mut release) = (String::new(), false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let number = args.next().and_then(|n| n.parse().ok());
            number.ok_or_else(|| Stop::unable(format!("{arg} wants a number")))
        };
        match arg.as_str() {
            "--minutes" => minutes = number()?,
            "--seed" => seed = number()?,
            "--only" => only = args.next().cloned().unwrap_or_default(),
            "--release" => release = true,
            _ => return Err(Stop::unable(format!("torture knows no `{arg}`"))),
        }
    }
    let wanted = |ordeal: &&Ordeal| only.is_empty() || only == ordeal.name;
    let ordeals: Vec<&Ordeal> = ORDEALS.iter().filter(wanted).collect();
    if ordeals.is_empty() {
        let names = ORDEALS.map(|ordeal| ordeal.name).join(", ");
        return Err(Stop::unable(format!("--only wants one of {names}")));
    }
    install::missing()?;
    let timed = ordeals.iter().filter(|ordeal| ordeal.timed).count() as u64;
    let each = (minutes / timed.max(1)).max(1);
    let mut table = vec!["| what | result | took |\n|---|---|---|".to_owned()];
    let mut failed = false;
    for ordeal in ordeals {
        let began = Instant::now();
        let done = ordeal.go(each, seed, release);
        failed |= done.is_err();
        let result = done.map_or_else(|stop| stop.reason, |()| "held".to_owned());
        let took = began.elapsed().as_secs();
        table.push(format!("| {} | {result} | {took} s |", ordeal.name));
    }
    println!("seed {seed}\n{}", table.join("\n"));
    match failed {
        true => Err(Stop::failed("not everything held")),
        false => Ok(()),
    }
}

impl Ordeal {
    fn go(&self, minutes: u64, seed: u64, release: bool) -> Result<(), Stop> {
        let (file, name) = self.test;
        let mut test = cargo(&["test", "--package", "server", "--test", "suite"]);
        // The test profile has debug assertions and overflow checks; --release is what ships. Its
        // memory and its pace are what is promised.
        if release || file == "bounds" {
            test.arg("--release");
        }
        test.args(["--", "--nocapture", &format!("{file}::{name}")]);
        if !name.is_empty() {
            test.args(["--ignored", "--exact"]);
        }
        test.envs(self.environment.iter().copied());
        test.env("TORTURE_MINUTES", minutes.to_string());
        test.env("TORTURE_SEED", seed.to_string());
        call(&mut test)
    }
}
