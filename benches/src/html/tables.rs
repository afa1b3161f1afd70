//! All numbers, folded away by mailbox size.

use std::fmt::Write as _;

use super::plot::escaped;
use crate::sync::number;
use crate::sync::result::{Cell, Change, Measured, Report};

/// What each strategy does.
pub(super) fn strategies(report: &Report) -> String {
    let mut out = String::from(
        "<h2>The strategies</h2>\n<table><thead><tr><th>name</th>\
         <th class=\"what\">what the client does</th></tr></thead><tbody>\n",
    );
    for strategy in report.strategies() {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"what\">{}</td></tr>",
            strategy.name,
            escaped(strategy.what)
        );
    }
    out.push_str("</tbody></table>\n");
    for server in &report.servers {
        for (name, why) in &server.absent {
            let (server, why) = (escaped(&server.server), escaped(why));
            let _ = writeln!(out, "<p class=\"soft\">{server}: {name}: {why}.</p>");
        }
    }
    out
}

/// All cells; times in milliseconds.
pub(super) fn numbers(report: &Report) -> String {
    let mut out = String::from("<h2>All numbers</h2>\n");
    for server in &report.servers {
        for size in report.sizes() {
            let _ = writeln!(
                out,
                "<details><summary>{}, {size} messages</summary><div class=\"scroll\">",
                escaped(&server.server)
            );
            out.push_str(&table(report, server, size));
            out.push_str("</div></details>\n");
        }
    }
    out
}

fn table(report: &Report, server: &Measured, size: usize) -> String {
    let rtts = report.rtts();
    let mut out = String::from(
        "<table><thead><tr><th>strategy</th><th>octets up</th><th>octets down</th>\
         <th>round trips</th><th>CPU ms</th>",
    );
    for rtt in &rtts {
        let _ = write!(out, "<th>at {rtt} ms</th>");
    }
    out.push_str("<th>first seen ms</th></tr></thead><tbody>\n");
    for change in [Change::New, Change::Flags] {
        for changes in report.changes() {
            let here = (size, change, changes);
            let cells = server.cells.iter();
            let cells: Vec<_> = cells
                .filter(|cell| (cell.size, cell.change, cell.changes) == here)
                .collect();
            if cells.is_empty() {
                continue;
            }
            let what = match change {
                Change::New => "new messages",
                Change::Flags => "changed flags",
            };
            let columns = 6 + rtts.len();
            let _ = writeln!(
                out,
                "<tr><th colspan=\"{columns}\">{changes} {what}</th></tr>"
            );
            for strategy in report.strategies() {
                if let Some(cell) = cells.iter().find(|cell| cell.strategy == strategy.name) {
                    row(&mut out, cell, &rtts);
                }
            }
        }
    }
    out.push_str("</tbody></table>");
    out
}

fn row(out: &mut String, cell: &Cell, rtts: &[u64]) {
    let scaled = if cell.scaled { "*" } else { "" };
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    let _ = write!(
        out,
        "<tr><td>{}{scaled}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
        cell.strategy,
        cell.bytes_up,
        cell.bytes_down,
        number(cell.round_trips),
        optional(cell.server_cpu_ms)
    );
    for rtt in rtts {
        let Some(wall) = cell.wall(*rtt) else {
            out.push_str("<td>-</td>");
            continue;
        };
        if wall.predicted && wall.ms > 0.0 {
            let _ = write!(out, "<td class=\"p\">~{}</td>", number(wall.ms));
        } else {
            let _ = write!(out, "<td>{}</td>", number(wall.ms));
        }
    }
    let first = cell.walls.first().and_then(|wall| wall.first_ms);
    let _ = writeln!(out, "<td>{}</td></tr>", optional(first));
}
