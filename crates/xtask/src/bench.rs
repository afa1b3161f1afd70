//! `cargo xtask bench`: the release binary under the load generator of `benches/`.

use crate::Stop;
use crate::shell::{call, cargo};

pub(crate) fn run(args: &[String]) -> Result<(), Stop> {
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
