//! `cargo xtask bench`: the release binary under the load generator of `benches/`.

use crate::Stop;
use crate::shell::{call, cargo, installed};

pub(crate) fn run(args: &[String]) -> Result<(), Stop> {
    if args.first().is_some_and(|first| first == "instructions") {
        return instructions();
    }
    call(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "server",
        "--package",
        "gatepost-bench",
    ]))?;
    // gatepost-bench takes the `gatepost` that lies beside it.
    call(
        cargo(&[
            "run",
            "--release",
            "--quiet",
            "--package",
            "gatepost-bench",
            "--",
        ])
        .args(args),
    )
}

/// The micro-benchmarks under callgrind.
fn instructions() -> Result<(), Stop> {
    if !installed("valgrind") {
        let how = "counting instructions needs valgrind: apt-get install valgrind";
        return Err(Stop::unable(how));
    }
    call(&mut cargo(&[
        "bench",
        "--package",
        "gatepost-bench",
        "--bench",
        "micro",
        "--",
        "instructions",
    ]))
}
