//! Listeners, TLS, buffered connections, limits, shutdown and metrics. Knows no mail.
//!
//! A front implements [`Front`]; a [`Listener`] accepts connections, applies limits and gives the
//! front a [`Wire`] (lines and literals in, coalesced writes out) and a [`Context`] (who is there).
#![forbid(unsafe_code)]

mod conn;
mod deflate;
mod input;
mod limits;
mod listener;
mod metrics;
mod output;
mod room;
mod shutdown;
mod tls;
mod wire;

pub use conn::{Conn, Io, Layer, Peer, TlsInfo};
pub use deflate::Deflate;
pub use input::Excess;
pub use limits::Refused;
pub use listener::{
    BindError, Context, Front, Listener, ListenerConfig, Local, Served, TlsMode, UnixPath,
};
pub use metrics::{CommandTimer, ConnState, FrontMetrics, Metrics, Outcome};
pub use room::{Room, Share};
pub use shutdown::{Shutdown, Token};
pub use tls::{Tls, TlsError};
pub use wire::{Timeouts, Wire, WireError};
