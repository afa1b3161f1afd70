//! `cargo xtask test`: everything, the real clients included.

use crate::shell::{call, cargo, installed};
use crate::{Stop, install};

pub(crate) fn run(filters: &[String]) -> Result<(), Stop> {
    install::missing()?;
    if installed("cargo-nextest") {
        let nextest = ["nextest", "run", "--workspace"];
        call(cargo(&nextest).args(filters))?;
    } else {
        eprintln!(
            "cargo-nextest is not installed: falling back to cargo test (same tests, slower)"
        );
        let test = [
            "test",
            "--workspace",
            "--all-features",
            "--lib",
            "--bins",
            "--tests",
        ];
        call(cargo(&test).args(filters))?;
    }
    if filters.is_empty() {
        call(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    }
    Ok(())
}
