//! Which plots the page has.

use super::plot::{Bars, Lines, Mark, Series, escaped};
use crate::sync::result::{Cell, Change, Measured, Report};

/// Strategies whose lines are drawn, with their colours; all of them would be too many.
const DRAWN: &[(&str, usize, bool)] = &[
    ("imap-full", 0, false),
    ("imap-full+compress", 0, true),
    ("imap-uidnext", 1, false),
    ("imap-condstore", 2, false),
    ("imap-qresync", 3, false),
    ("imap-qresync+compress", 3, true),
    ("imap-idle", 6, false),
    ("imap-notify", 8, false),
    ("pop3-uidl", 4, false),
    ("pop3-uidl-pipelined", 4, true),
    ("pop3-all-pipelined", 5, true),
    ("pop3-dele-pipelined", 7, true),
];

/// The plots, with what they say about.
pub(super) fn all(report: &Report) -> String {
    let sizes = report.sizes();
    let changes = report.changes();
    let rtts = report.rtts();
    // The usual visit: not the smallest mailbox, a few new messages, a server on the continent.
    let size = nearest(&sizes, 10_000);
    let few = nearest(&changes, 10);
    let rtt = rtts.iter().copied().find(|rtt| *rtt >= 100);
    let rtt = rtt.or_else(|| rtts.last().copied()).unwrap_or(0);
    let none = nearest(&changes, 0);
    let mut out = String::new();

    out.push_str("<h2>One visit, all strategies</h2>\n<div class=\"plots wide\">\n");
    let title = format!("Time of a visit: {size} messages, {few} new, {rtt} ms away");
    out.push_str(&bars(report, &title, "milliseconds", size, few, |cell| {
        cell.wall(rtt).map(|wall| wall.ms)
    }));
    let title = format!("Octets both ways: {size} messages, {few} new");
    out.push_str(&bars(report, &title, "octets", size, few, |cell| {
        Some(cell.bytes() as f64)
    }));
    let title = format!("Processor time of the server: {size} messages, {few} new");
    out.push_str(&bars(report, &title, "milliseconds", size, few, |cell| {
        cell.server_cpu_ms
    }));
    let one = changes.iter().copied().find(|changes| *changes > 0);
    let one = one.unwrap_or(few);
    let title =
        format!("Until the first new message is there: {size} messages, {one} new, {rtt} ms away");
    out.push_str(&bars(report, &title, "milliseconds", size, one, |cell| {
        cell.wall(rtt)?.first_ms
    }));
    out.push_str("</div>\n");

    for server in &report.servers {
        out.push_str(&format!(
            "<h2>{}</h2>\n<div class=\"plots\">\n",
            escaped(&server.server)
        ));
        let by_size = |title: &str, y: &str, changes, value: &dyn Fn(&Cell) -> Option<f64>| {
            let xs = sizes.iter().map(|&size| (size.to_string(), size, changes));
            lines(
                server,
                title,
                "messages in the mailbox",
                y,
                xs.collect(),
                value,
            )
        };
        let title = format!("Octets both ways, {none} new");
        out.push_str(&by_size(&title, "octets", none, &|cell| {
            Some(cell.bytes() as f64)
        }));
        let title = format!("Processor time of the server, {few} new");
        out.push_str(&by_size(&title, "ms", few, &|cell| cell.server_cpu_ms));
        let xs = changes
            .iter()
            .map(|&changes| (changes.to_string(), size, changes));
        let title = format!("Time of a visit, {size} messages, {rtt} ms away");
        out.push_str(&lines(
            server,
            &title,
            "new messages",
            "ms",
            xs.collect(),
            &|cell| Some(cell.wall(rtt)?.ms),
        ));
        out.push_str(&by_distance(server, &rtts, size, few));
        out.push_str("</div>\n");
    }
    out
}

fn nearest(all: &[usize], wanted: usize) -> usize {
    let near = all
        .iter()
        .copied()
        .min_by_key(|value| value.abs_diff(wanted));
    near.unwrap_or(wanted)
}

fn bars(
    report: &Report,
    title: &str,
    unit: &str,
    size: usize,
    changes: usize,
    value: impl Fn(&Cell) -> Option<f64>,
) -> String {
    let strategies = report.strategies();
    let of = |server: &Measured| -> Vec<Option<f64>> {
        let cells = strategies
            .iter()
            .map(|strategy| server.cell(strategy.name, size, Change::New, changes));
        cells.map(|cell| value(cell?)).collect()
    };
    let series = report
        .servers
        .iter()
        .enumerate()
        .map(|(index, server)| Series {
            name: server.server.clone(),
            // Blue and orange are told apart by everyone.
            colour: [3, 0, 2, 4].get(index).copied().unwrap_or(7),
            dashed: false,
            mark: Mark::Square,
            values: of(server),
        });
    Bars {
        title,
        unit,
        labels: strategies.iter().map(|one| one.name.to_owned()).collect(),
        series: series.collect(),
    }
    .svg()
}

fn lines(
    server: &Measured,
    title: &str,
    x_title: &str,
    y_title: &str,
    xs: Vec<(String, usize, usize)>,
    value: &dyn Fn(&Cell) -> Option<f64>,
) -> String {
    let of = |name: &str| -> Vec<Option<f64>> {
        let cells = xs
            .iter()
            .map(|(_, size, changes)| server.cell(name, *size, Change::New, *changes));
        cells.map(|cell| value(cell?)).collect()
    };
    Lines {
        title,
        x_title,
        y_title,
        series: drawn(of),
        xs: xs.iter().map(|(label, ..)| label.clone()).collect(),
    }
    .svg()
}

fn by_distance(server: &Measured, rtts: &[u64], size: usize, changes: usize) -> String {
    let of = |name: &str| -> Vec<Option<f64>> {
        let cell = server.cell(name, size, Change::New, changes);
        let walls = rtts.iter().map(|rtt| Some(cell?.wall(*rtt)?.ms));
        walls.collect()
    };
    Lines {
        title: &format!("Time of a visit, {size} messages, {changes} new"),
        x_title: "round-trip time in ms",
        y_title: "ms",
        series: drawn(of),
        xs: rtts.iter().map(u64::to_string).collect(),
    }
    .svg()
}

/// The lines of which anything is known.
fn drawn(of: impl Fn(&str) -> Vec<Option<f64>>) -> Vec<Series> {
    let all = DRAWN.iter().map(|&(name, colour, dashed)| Series {
        name: name.to_owned(),
        colour,
        dashed,
        mark: match name {
            "imap-idle" | "imap-notify" => Mark::Diamond,
            name if name.starts_with("pop3") => Mark::Square,
            _ => Mark::Circle,
        },
        values: of(name),
    });
    all.filter(|series| series.values.iter().any(Option::is_some))
        .collect()
}
