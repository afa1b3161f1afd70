//! The table and the JSON file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::rows::{ROWS, Row, Unit};

/// What one server did: a value or a reason per row name.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) server: String,
    pub(crate) values: BTreeMap<&'static str, f64>,
    pub(crate) failures: BTreeMap<&'static str, String>,
}

/// The JSON file.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) messages: usize,
    pub(crate) servers: &'a [Measured],
    pub(crate) units: BTreeMap<&'static str, &'static str>,
    pub(crate) budget: BTreeMap<&'static str, f64>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(messages: usize, servers: &'a [Measured]) -> Self {
        let units = ROWS.iter().map(|row| (row.name, row.unit.text())).collect();
        let budget = ROWS.iter().map(|row| (row.name, row.budget)).collect();
        Self {
            messages,
            servers,
            units,
            budget,
        }
    }
}

/// One line per row that any server has; ratios above 1 speak for the first server.
pub(crate) fn table(servers: &[Measured]) -> String {
    let mut lines = Vec::new();
    let mut head = vec!["workload".to_owned(), "unit".to_owned()];
    head.extend(servers.iter().map(|server| server.server.clone()));
    if servers.len() > 1 {
        head.push("ratio".to_owned());
    }
    head.extend(["budget".to_owned(), "of budget".to_owned()]);
    lines.push(head);
    for row in ROWS {
        let touched = |server: &Measured| {
            server.values.contains_key(row.name) || server.failures.contains_key(row.name)
        };
        if servers.iter().any(touched) {
            lines.push(line(row, servers));
        }
    }
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut out = String::new();
    for line in &lines {
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
    for server in servers {
        for (name, reason) in &server.failures {
            out.push_str(&format!("{}: {name}: {reason}\n", server.server));
        }
    }
    out
}

fn line(row: &Row, servers: &[Measured]) -> Vec<String> {
    let value = |server: &Measured| server.values.get(row.name).copied();
    let mut line = vec![row.what.to_owned(), row.unit.text().to_owned()];
    for server in servers {
        line.push(value(server).map_or_else(|| "-".to_owned(), number));
    }
    let ours = servers.first().and_then(value);
    if servers.len() > 1 {
        let theirs = servers.get(1).and_then(value);
        let ratio = ours
            .zip(theirs)
            .map(|(ours, theirs)| better(row.unit, ours, theirs));
        line.push(ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{}x", number(ratio))));
    }
    line.push(number(row.budget));
    let of_budget = ours.map(|ours| better(row.unit, ours, row.budget));
    line.push(of_budget.map_or_else(
        || "-".to_owned(),
        |part| format!("{}x{}", number(part), if part < 1.0 { " !" } else { "" }),
    ));
    line
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
fn number(value: f64) -> String {
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

    fn measured(server: &str, name: &'static str, value: f64) -> Measured {
        let values = BTreeMap::from([(name, value)]);
        Measured {
            server: server.to_owned(),
            values,
            failures: BTreeMap::new(),
        }
    }

    #[test]
    fn a_ratio_above_one_speaks_for_the_first_server() {
        let fast = table(&[
            measured("a", "append", 3000.0),
            measured("b", "append", 1000.0),
        ]);
        assert!(fast.contains("3.00x"), "{fast}");
        let short = table(&[measured("a", "qresync", 0.5), measured("b", "qresync", 1.0)]);
        assert!(
            short.contains("2.00x") && short.contains("0.80x !"),
            "{short}"
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(number(1_234_567.0), "1.23 M");
        assert_eq!(number(12_345.0), "12.3 k");
        assert_eq!(number(1_234.0), "1234");
        assert_eq!(number(0.4), "0.40");
    }
}
