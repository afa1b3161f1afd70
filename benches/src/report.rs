//! The tables and the JSON file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::limits::{Limits, Load};
use crate::rows::{ROWS, Row, Unit};
use crate::stats::{Latency, Spread};

/// What one server did in one round: a value or a reason per row name.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Round {
    pub(crate) values: BTreeMap<&'static str, f64>,
    pub(crate) failures: BTreeMap<&'static str, String>,
    /// Of single operations.
    pub(crate) latency: BTreeMap<&'static str, Latency>,
    /// Octets that one operation in the row's unit brought.
    pub(crate) answers: BTreeMap<&'static str, f64>,
}

/// One server in all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) server: String,
    /// Medians over the rounds.
    values: BTreeMap<&'static str, f64>,
    /// The same of each percentile.
    latency: BTreeMap<&'static str, Latency>,
    failures: BTreeMap<&'static str, String>,
    rounds: Vec<Round>,
}

impl Measured {
    pub(crate) fn new(server: String, rounds: Vec<Round>) -> Self {
        let mut values = BTreeMap::new();
        let mut latency = BTreeMap::new();
        let mut failures = BTreeMap::new();
        for row in ROWS {
            let found = rounds.iter().filter_map(|round| round.values.get(row.name));
            if let Some(spread) = Spread::of(found.copied().collect()) {
                values.insert(row.name, spread.median);
            }
            let found = rounds
                .iter()
                .filter_map(|round| round.latency.get(row.name));
            if let Some(median) = Latency::median(&found.copied().collect::<Vec<_>>()) {
                latency.insert(row.name, median);
            }
            let why = rounds.iter().find_map(|round| round.failures.get(row.name));
            if let Some(why) = why {
                failures.insert(row.name, why.clone());
            }
        }
        Self {
            server,
            values,
            latency,
            failures,
            rounds,
        }
    }

    pub(crate) fn value(&self, row: &str) -> Option<f64> {
        self.values.get(row).copied()
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }
}

/// What a run has found.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) messages: usize,
    /// Octets of all messages.
    pub(crate) octets: usize,
    pub(crate) limits: Limits,
    /// The first is the one that the others are compared with.
    pub(crate) servers: Vec<Measured>,
    /// How many times better the first is than each other, paired by round.
    ratios: BTreeMap<String, BTreeMap<&'static str, Spread>>,
    /// The machine's limit in the row's unit.
    limit: BTreeMap<&'static str, f64>,
    units: BTreeMap<&'static str, &'static str>,
    budget: BTreeMap<&'static str, f64>,
}

impl Report {
    pub(crate) fn new(
        messages: usize,
        octets: usize,
        limits: Limits,
        servers: Vec<Measured>,
    ) -> Self {
        let mut ratios = BTreeMap::new();
        let mut limit = BTreeMap::new();
        if let Some((first, others)) = servers.split_first() {
            for other in others {
                ratios.insert(other.server.clone(), paired(first, other));
            }
            let answers = first.rounds.last().map(|round| &round.answers);
            for row in ROWS {
                let load = Load {
                    corpus: octets as f64,
                    answer: answers.and_then(|answers| answers.get(row.name)).copied(),
                };
                let rate = limits.per_second(row.bound, load);
                if let Some(rate) = rate.filter(|_| first.values.contains_key(row.name)) {
                    let less = row.unit == Unit::Milliseconds;
                    limit.insert(row.name, if less { 1e3 / rate } else { rate });
                }
            }
        }
        let budget = |row: &Row| Some((row.name, row.budget?));
        Self {
            messages,
            octets,
            limits,
            servers,
            ratios,
            limit,
            units: ROWS.iter().map(|row| (row.name, row.unit.text())).collect(),
            budget: ROWS.iter().filter_map(budget).collect(),
        }
    }

    /// One line per row that any server has; ratios above 1 speak for the first server.
    pub(crate) fn table(&self) -> String {
        let mut head = vec!["workload".to_owned(), "unit".to_owned()];
        for (index, server) in self.servers.iter().enumerate() {
            head.push(server.server.clone());
            if index > 0 {
                head.push("ratio".to_owned());
            }
        }
        let last = ["budget", "of budget", "limit", "of limit"];
        head.extend(last.map(str::to_owned));
        let mut lines = vec![head];
        let touched = |row: &&Row| {
            self.servers.iter().any(|server| {
                server.values.contains_key(row.name) || server.failures.contains_key(row.name)
            })
        };
        lines.extend(ROWS.iter().filter(touched).map(|row| self.line(row)));
        let mut out = aligned(&lines);
        out.push_str(&self.failures());
        out.push_str(&self.limits.text());
        out
    }

    /// A line per row that could not be measured.
    pub(crate) fn failures(&self) -> String {
        let mut out = String::new();
        for server in &self.servers {
            for (name, reason) in &server.failures {
                out.push_str(&format!("{}: {name}: {reason}\n", server.server));
            }
        }
        out
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let none = || "-".to_owned();
        let mut line = vec![row.what.to_owned(), row.unit.text().to_owned()];
        for (index, server) in self.servers.iter().enumerate() {
            let value = server.values.get(row.name);
            line.push(value.map_or_else(none, |value| number(*value)));
            if index > 0 {
                let ratios = self.ratios.get(&server.server);
                let spread = ratios.and_then(|ratios| ratios.get(row.name));
                line.push(spread.map_or_else(none, ratio));
            }
        }
        let ours = self.servers.first();
        let ours = ours.and_then(|server| server.values.get(row.name)).copied();
        line.push(row.budget.map_or_else(none, number));
        let of_budget = ours.zip(row.budget);
        line.push(of_budget.map_or_else(none, |(ours, budget)| {
            let part = better(row.unit, ours, budget);
            format!("{}x{}", number(part), if part < 1.0 { " !" } else { "" })
        }));
        let limit = self.limit.get(row.name).copied();
        line.push(limit.map_or_else(none, number));
        line.push(ours.zip(limit).map_or_else(none, |(ours, limit)| {
            format!("{} %", number(100.0 * better(row.unit, ours, limit)))
        }));
        line
    }

    /// Milliseconds of single operations.
    pub(crate) fn percentiles(&self) -> String {
        let head = ["workload", "server", "count", "p50 ms", "p95", "p99", "max"];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        for row in ROWS {
            for server in &self.servers {
                if let Some(latency) = server.latency.get(row.name) {
                    let mut line = vec![row.what.to_owned(), server.server.clone()];
                    line.extend(latency.cells());
                    lines.push(line);
                }
            }
        }
        aligned(&lines)
    }
}

impl Latency {
    /// Count and milliseconds as a table shows them.
    pub(crate) fn cells(&self) -> [String; 5] {
        let [p50, p95, p99, max] = [self.p50, self.p95, self.p99, self.max].map(number);
        [self.count.to_string(), p50, p95, p99, max]
    }
}

fn paired(first: &Measured, other: &Measured) -> BTreeMap<&'static str, Spread> {
    let ratios = |row: &Row| {
        let rounds = first.rounds.iter().zip(&other.rounds);
        let ratios = rounds.filter_map(|(ours, theirs)| {
            let (ours, theirs) = (ours.values.get(row.name)?, theirs.values.get(row.name)?);
            Some(better(row.unit, *ours, *theirs))
        });
        Some((row.name, Spread::of(ratios.collect())?))
    };
    ROWS.iter().filter_map(ratios).collect()
}

/// The median, and where there are several rounds the least and the most.
fn ratio(spread: &Spread) -> String {
    let (median, least, most) = (spread.median, spread.least, spread.most);
    if least < most {
        format!("{}x ({}-{})", number(median), number(least), number(most))
    } else {
        format!("{}x", number(median))
    }
}

/// Columns of equal width, the first two to the left.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            let (before, after) = if column < 2 {
                ("", pad.as_str())
            } else {
                (pad.as_str(), "")
            };
            out.push_str(&format!("{before}{cell}{after}  "));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// Row names that do not exist.
pub(crate) fn unknown(names: &BTreeSet<String>) -> Option<String> {
    let known: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
    let wrong = names.iter().find(|name| !known.contains(name.as_str()))?;
    let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    Some(format!(
        "no row is named `{wrong}`; there are {}",
        all.join(" ")
    ))
}

/// How many times better `a` is than `b`.
fn better(unit: Unit, a: f64, b: f64) -> f64 {
    let (over, under) = if unit.more_is_better() {
        (a, b)
    } else {
        (b, a)
    };
    if under > 0.0 {
        over / under
    } else {
        f64::INFINITY
    }
}

/// Three significant digits, thousands as `k`, millions as `M`.
pub(crate) fn number(value: f64) -> String {
    // A ratio to nothing, like memory too little to be told from noise.
    if value.is_infinite() {
        return "inf".to_owned();
    }
    let (scaled, suffix) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    format!("{scaled:.digits$}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        loopback: 1e9,
        round_trips: 50e3,
        connections: 20e3,
        synced: 6000.0,
        synced_group: 30e3,
        memcpy: 10e9,
    };

    fn report(name: &'static str, ours: &[f64], theirs: &[f64]) -> Report {
        let measured = |server: &str, values: &[f64]| {
            let round = |value: &f64| Round {
                values: BTreeMap::from([(name, *value)]),
                ..Round::default()
            };
            Measured::new(server.to_owned(), values.iter().map(round).collect())
        };
        let servers = vec![measured("a", ours), measured("b", theirs)];
        Report::new(1_000, 17_000_000, LIMITS, servers)
    }

    #[test]
    fn a_ratio_above_one_speaks_for_the_first_server() {
        let fast = report("append", &[3000.0], &[1000.0]).table();
        assert!(fast.contains("3.00x"), "{fast}");
        let short = report("qresync", &[0.5], &[1.0]).table();
        assert!(
            short.contains("2.00x") && short.contains("0.80x !"),
            "{short}"
        );
    }

    #[test]
    fn ratios_are_paired_by_round_and_have_a_spread() {
        let table = report("append", &[4000.0, 100.0, 900.0], &[1000.0, 50.0, 300.0]).table();
        assert!(table.contains("3.00x (2.00-4.00)"), "{table}");
        // The medians of the values are of their own.
        assert!(
            table.contains(" 900 ") && table.contains(" 300 "),
            "{table}"
        );
    }

    /// The last cells of the line that begins with `name`.
    fn cells<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
        let mut lines = table.lines();
        let line = lines.find(|line| line.to_ascii_lowercase().starts_with(name));
        let cells: Vec<&str> = line.unwrap().split_whitespace().collect();
        cells[cells.len() - 3..].to_vec()
    }

    #[test]
    fn a_limit_is_in_the_unit_of_the_row() {
        let table = report("append", &[3000.0], &[1000.0]).table();
        assert_eq!(cells(&table, "append"), ["6000", "50.0", "%"]);
        // 17 MB at 10 GB/s are 1.7 ms.
        let table = report("search-body", &[3.4], &[100.0]).table();
        assert_eq!(cells(&table, "search"), ["1.70", "50.0", "%"]);
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(number(1_234_567.0), "1.23 M");
        assert_eq!(number(12_345.0), "12.3 k");
        assert_eq!(number(1_234.0), "1234");
        assert_eq!(number(0.4), "0.40");
    }
}
