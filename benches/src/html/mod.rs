//! The report as one page: no scripts, nothing loaded from anywhere, light and dark.

mod plot;
mod plots;
mod tables;

use std::fmt::Write as _;

use self::plot::escaped;
use crate::sync::result::Report;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>sync-cost: what one visit costs</title>\n<style>\n{STYLE}</style></head><body>\n\
         <h1>sync-cost: what one visit to a mailbox costs</h1>\n"
    );
    let names: Vec<_> = report
        .servers
        .iter()
        .map(|server| escaped(&server.server))
        .collect();
    let _ = writeln!(
        out,
        "<p class=\"soft\">{} &middot; {} &middot; {}</p>",
        names.join(", "),
        escaped(&report.machine),
        day(report.at)
    );
    out.push_str(&plots::all(report));
    out.push_str(&method(report));
    out.push_str(&tables::strategies(report));
    out.push_str(&tables::numbers(report));
    out.push_str("</body></html>\n");
    out
}

fn method(report: &Report) -> String {
    let check = escaped(&report.check().text());
    let mut out = format!(
        "<h2>How it is measured</h2>\n<ul class=\"method\">\n\
         <li>A visit is a connection without TLS, a login, finding out what has changed since the \
         last visit, fetching the whole of each new message, and a logout. IMAP and POP3 fetch the \
         same messages whole. Every visit is checked: one that finds too much or too little fails \
         the run.</li>\n\
         <li>A push is a connection that is kept; its cost is that of the changes alone, and 0 \
         while nothing changes. Five deliveries are measured one after the other and multiplied \
         (marked *). With NOTIFY they come a second and a half apart where the server is Dovecot, \
         which begins to watch only then.</li>\n\
         <li>Octets are those of TCP payload. A round trip is a turn-around from client to server \
         and back, counted whenever the client has to wait for an answer to what it has sent; the TCP \
         handshake and the greeting are one each; a push that arrives unasked is half a one.</li>\n\
         <li>Distance is simulated by a proxy that passes every octet on half a round trip later, in \
         order, at any bandwidth; TCP's slow start is not simulated.</li>\n\
         <li>A time that would be long is predicted (marked ~, italic): time without distance and \
         round trips times distance. {check}.</li>\n\
         <li>Processor time is that of all the server's threads on a processor, without distance, \
         per visit; for pushes less what the same deliveries cost with nobody listening. \
         &ldquo;First seen&rdquo; is the time from the visit's begin, or from the \
         acknowledged delivery of a push, until the first new message (with STAT: the knowledge of \
         it) is with the client, without distance.</li>\n\
         <li>RETR and DELE of everything finds only what came since the last visit; mailbox size \
         plays no part there, and it is measured once for all sizes. RETR of everything without DELE \
         is measured up to 10 000 messages.</li>\n"
    );
    for server in &report.servers {
        let _ = writeln!(
            out,
            "<li>{}: proxy and client counted the same round trips at {} of {} visits.</li>",
            escaped(&server.server),
            server.proxied - server.miscounted,
            server.proxied
        );
    }
    out.push_str("</ul>\n");
    out
}

/// The day of a Unix time, as `2026-11-25`.
fn day(at: u64) -> String {
    // Civil from days, with years that begin in March.
    let days = at / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::result::{Cell, Change, Measured, Wall};

    fn cell(strategy: &str, size: usize, changes: usize) -> Cell {
        let wall = |rtt_ms: u64| Wall {
            rtt_ms,
            ms: 1.0 + 6.0 * rtt_ms as f64,
            first_ms: (changes > 0).then_some(0.5),
            predicted: rtt_ms == 300,
        };
        Cell {
            strategy: strategy.to_owned(),
            size,
            change: Change::New,
            changes,
            found: changes,
            bytes_up: 200,
            bytes_down: 1_000 + size as u64,
            round_trips: 6.0,
            server_cpu_ms: Some(0.25),
            walls: [0, 20, 100, 300].map(wall).to_vec(),
            scaled: false,
        }
    }

    fn fixed() -> Report {
        let mut cells = Vec::new();
        for strategy in ["imap-full", "imap-qresync", "imap-idle", "pop3-uidl"] {
            for size in [100, 1_000] {
                for changes in [0, 10] {
                    cells.push(cell(strategy, size, changes));
                }
            }
        }
        Report {
            machine: "a <fast> machine".to_owned(),
            at: 1_795_600_000,
            servers: vec![Measured {
                server: "gatepost & co".to_owned(),
                cells,
                absent: vec![("imap-notify".to_owned(), "not offered: NOTIFY".to_owned())],
                proxied: 8,
                miscounted: 0,
            }],
        }
    }

    #[test]
    fn the_page_stands_alone_and_is_well_formed() {
        let page = page(&fixed());
        for part in [
            "<script", "http://", "https://", "src=", "@import", "NaN", "inf",
        ] {
            assert!(!page.contains(part), "{part}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
        assert!(page.contains("a &lt;fast&gt; machine") && page.contains("gatepost &amp; co"));
        for name in [
            "svg", "figure", "table", "details", "g", "ul", "tr", "td", "th", "text",
        ] {
            let opened = page.matches(&format!("<{name} ")).count()
                + page.matches(&format!("<{name}>")).count();
            let closed = page.matches(&format!("</{name}>")).count();
            assert_eq!(opened, closed, "{name}");
            assert!(opened > 0, "{name}");
        }
    }

    #[test]
    fn every_strategy_is_in_a_plot_and_in_the_tables() {
        let page = page(&fixed());
        for strategy in ["imap-full", "imap-qresync", "imap-idle", "pop3-uidl"] {
            assert!(
                page.contains(&format!("<title>{strategy}</title>")),
                "{strategy}"
            );
            assert!(page.contains(&format!("<td>{strategy}</td>")), "{strategy}");
        }
        assert!(page.contains("not offered: NOTIFY"));
        // Predicted times are marked.
        assert!(page.contains("<td class=\"p\">~1801</td>"));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(1_709_164_800), "2024-02-29");
    }
}
