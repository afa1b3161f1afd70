//! The numbers, as they stand in the JSON file.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::strategy::Strategy;
use crate::wire::Result;

/// What happened between two visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    New,
    Flags,
}

/// The JSON file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) servers: Vec<Measured>,
}

/// One server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) server: String,
    pub(crate) cells: Vec<Cell>,
    /// Strategies that the server does not offer, and what is missing.
    pub(crate) absent: Vec<(String, String)>,
    /// Proxied visits, and at how many of them the proxy and the client counted other round trips.
    pub(crate) proxied: usize,
    pub(crate) miscounted: usize,
}

/// One visit, or for pushes all changes between two visits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) strategy: String,
    pub(crate) size: usize,
    pub(crate) change: Change,
    pub(crate) changes: usize,
    /// Changes that the client knew of afterwards.
    pub(crate) found: usize,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    pub(crate) round_trips: f64,
    /// Absent for a server that runs elsewhere.
    pub(crate) server_cpu_ms: Option<f64>,
    pub(crate) walls: Vec<Wall>,
    /// Fewer changes were measured, and the numbers multiplied.
    pub(crate) scaled: bool,
}

/// The time of a visit at one distance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wall {
    pub(crate) rtt_ms: u64,
    pub(crate) ms: f64,
    /// Until the first new message, or the first changed flag, was with the client.
    pub(crate) first_ms: Option<f64>,
    /// Not measured: round trips times the distance, and the time without distance.
    pub(crate) predicted: bool,
}

impl Cell {
    pub(crate) fn wall(&self, rtt_ms: u64) -> Option<&Wall> {
        self.walls.iter().find(|wall| wall.rtt_ms == rtt_ms)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_up + self.bytes_down
    }

    /// What the time should be where a round trip takes `rtt_ms`.
    pub(crate) fn predicted_ms(&self, rtt_ms: u64) -> f64 {
        let near = self.wall(0).map_or(0.0, |wall| wall.ms);
        near + self.round_trips * rtt_ms as f64
    }
}

impl Measured {
    pub(crate) fn cell(
        &self,
        strategy: &str,
        size: usize,
        change: Change,
        changes: usize,
    ) -> Option<&Cell> {
        // Without a change there is no kind of change.
        let change = if changes == 0 { Change::New } else { change };
        self.cells.iter().find(|cell| {
            cell.strategy == strategy
                && cell.size == size
                && cell.change == change
                && cell.changes == changes
        })
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            machine: machine(),
            at: at.map_or(0, |at| at.as_secs()),
            servers: Vec::new(),
        }
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.servers.iter().flat_map(|server| &server.cells)
    }

    pub(crate) fn sizes(&self) -> Vec<usize> {
        sorted(self.cells().map(|cell| cell.size))
    }

    pub(crate) fn changes(&self) -> Vec<usize> {
        sorted(self.cells().map(|cell| cell.changes))
    }

    pub(crate) fn rtts(&self) -> Vec<u64> {
        let all = self.cells().flat_map(|cell| &cell.walls);
        sorted(all.map(|wall| wall.rtt_ms))
    }

    /// The strategies that were measured, in their order.
    pub(crate) fn strategies(&self) -> Vec<&'static Strategy> {
        let all = super::strategy::ALL.iter();
        all.filter(|strategy| self.cells().any(|cell| cell.strategy == strategy.name))
            .collect()
    }

    /// How well predictions agree with what was measured through the proxy.
    pub(crate) fn check(&self) -> Check {
        let mut off: Vec<f64> = Vec::new();
        for cell in self.cells() {
            for wall in &cell.walls {
                if wall.rtt_ms > 0 && !wall.predicted && !cell.scaled {
                    off.push(wall.ms / cell.predicted_ms(wall.rtt_ms) - 1.0);
                }
            }
        }
        off.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (off.len().saturating_sub(1) as f64 * part).round();
            off.get(index as usize).copied().unwrap_or(0.0)
        };
        Check {
            measured: off.len(),
            median: at(0.5),
            low: at(0.05),
            high: at(0.95),
        }
    }
}

/// Measured over predicted time, less one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) measured: usize,
    pub(crate) median: f64,
    /// Nine of ten lie between these.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Check {
    pub(crate) fn text(&self) -> String {
        format!(
            "{} times were measured through the proxy; measured against predicted: median {:+.1} %, \
             nine of ten between {:+.1} % and {:+.1} %",
            self.measured,
            self.median * 100.0,
            self.low * 100.0,
            self.high * 100.0,
        )
    }
}

fn sorted<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let all: std::collections::BTreeSet<T> = values.collect();
    all.into_iter().collect()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |text| {
        text.trim_start_matches(['\t', ' ', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Reads a JSON file of an earlier run.
pub(crate) fn load(path: &std::path::Path) -> Result<Report> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
