//! Logs on standard error: text on a terminal, JSON otherwise. `GATEPOST_LOG` sets what is logged.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("GATEPOST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    if terminal {
        builder.init();
    } else {
        // Spans do not nest: the list of them would say the same a second time.
        let builder = builder.json().flatten_event(true);
        builder.with_span_list(false).init();
    }
}
