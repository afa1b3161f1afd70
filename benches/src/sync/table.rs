//! The numbers on a terminal.

use super::result::{Cell, Change, Measured, Report};

/// All cells, by server, mailbox size and change.
pub(crate) fn text(report: &Report) -> String {
    let mut out = String::new();
    for server in &report.servers {
        out.push_str(&format!("\n{}\n", server.server));
        for size in report.sizes() {
            for change in [Change::New, Change::Flags] {
                for changes in report.changes() {
                    out.push_str(&block(report, server, size, change, changes));
                }
            }
        }
        for (name, why) in &server.absent {
            out.push_str(&format!("{name}: {why}\n"));
        }
        out.push_str(&format!(
            "round trips: proxy and client counted the same at {} of {} visits\n",
            server.proxied - server.miscounted,
            server.proxied
        ));
    }
    out.push_str(&format!("\n{}\n", report.check().text()));
    out.push_str(
        "~ predicted: time near and round trips times distance; * scaled from 5 changes\n",
    );
    out
}

fn block(
    report: &Report,
    server: &Measured,
    size: usize,
    change: Change,
    changes: usize,
) -> String {
    let cells: Vec<&Cell> = server
        .cells
        .iter()
        .filter(|cell| (cell.size, cell.change, cell.changes) == (size, change, changes))
        .collect();
    if cells.is_empty() {
        return String::new();
    }
    let what = match change {
        Change::New => "new messages",
        Change::Flags => "changed flags",
    };
    let mut out = format!("\n{size} messages, {changes} {what}\n");
    let mut head = format!(
        "{:<25}{:>10}{:>13}{:>9}{:>10}",
        "strategy", "octets up", "octets down", "trips", "CPU ms"
    );
    for rtt in report.rtts() {
        head.push_str(&format!("{:>12}", format!("at {rtt} ms")));
    }
    head.push_str(&format!("{:>12}\n", "first seen"));
    out.push_str(&head);
    for strategy in report.strategies() {
        if let Some(cell) = cells.iter().find(|cell| cell.strategy == strategy.name) {
            out.push_str(&line(report, cell));
        }
    }
    out
}

fn line(report: &Report, cell: &Cell) -> String {
    let scaled = if cell.scaled { "*" } else { "" };
    let cpu = cell.server_cpu_ms.map_or_else(|| "-".to_owned(), number);
    let mut line = format!(
        "{:<25}{:>10}{:>13}{:>9}{:>10}",
        format!("{}{scaled}", cell.strategy),
        cell.bytes_up,
        cell.bytes_down,
        number(cell.round_trips),
        cpu
    );
    for rtt in report.rtts() {
        let wall = cell.wall(rtt).map_or_else(
            || "-".to_owned(),
            |wall| {
                let predicted = if wall.predicted && wall.ms > 0.0 {
                    "~"
                } else {
                    ""
                };
                format!("{predicted}{}", number(wall.ms))
            },
        );
        line.push_str(&format!("{wall:>12}"));
    }
    let first = cell.walls.first().and_then(|wall| wall.first_ms);
    let first = first.map_or_else(|| "-".to_owned(), number);
    line.push_str(&format!("{first:>12}\n"));
    line
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.split_once('.') {
        Some((whole, part)) if part.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => text,
    }
}
