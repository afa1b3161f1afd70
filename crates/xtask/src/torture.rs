//! `cargo xtask torture`: the faults of `crates/server/tests/faults.rs`, then the long form of
//! `crates/server/tests/torture.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::shell::{call, cargo};
use crate::{Stop, install};

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
    if !["", "block", "fuse", "kill"].contains(&only.as_str()) {
        return Err(Stop::unable("--only wants block, fuse or kill"));
    }
    install::missing()?;
    // The test profile has debug assertions and overflow checks; --release is what ships.
    let test = |name| {
        let mut test = cargo(&["test", "--package", "server", "--test", name]);
        if release {
            test.arg("--release");
        }
        test
    };
    if only.is_empty() {
        call(&mut test("faults"))?;
    }
    let mut test = test("torture");
    test.args([
        "--",
        "--ignored",
        "--exact",
        "--nocapture",
        "as_long_as_wanted",
    ]);
    test.env("TORTURE_MINUTES", minutes.to_string());
    test.env("TORTURE_SEED", seed.to_string());
    test.env("TORTURE_ONLY", only);
    call(&mut test)
}
