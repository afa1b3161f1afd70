//! What this machine can do at best, measured in the same run by the same means: no server can be
//! faster than these, so each row says how near it comes.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::wire::{BULK, Result, Wire, dial};

/// Messages that one `fdatasync` covers where many connections deliver at once.
const GROUP: usize = 16;
/// Short command lines, about as long as a client's.
const LINE: &[u8] = b"a FETCH 4711 BODY.PEEK[]\r\n";

/// The limits of the machine.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Limits {
    /// Octets per second through one loopback connection from a sender that does nothing else.
    pub(crate) loopback: f64,
    /// A line there and a line back, per second.
    pub(crate) round_trips: f64,
    /// Connect, accept, close, per second.
    pub(crate) connections: f64,
    /// One message appended to a file and `fdatasync`ed, per second.
    pub(crate) synced: f64,
    /// Messages per second when 16 of them share an `fdatasync`.
    pub(crate) synced_group: f64,
    /// Octets per second.
    pub(crate) memcpy: f64,
}

/// The limit that binds a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Nothing physical is near.
    None,
    /// One `fdatasync` per operation.
    Sync,
    /// One per sixteen.
    GroupSync,
    /// One line each way per operation.
    RoundTrip,
    /// A connection and so many lines each way per operation.
    Session(u32),
    /// The octets of the answers through one socket.
    Loopback,
    /// All messages read once from memory.
    Memcpy,
}

/// What a bound's value in a row's unit depends on beside the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Octets of all messages.
    pub(crate) corpus: f64,
    /// Octets that one operation brings over the wire.
    pub(crate) answer: Option<f64>,
}

impl Limits {
    pub(crate) fn measure(least: Duration, message: usize) -> Result<Self> {
        Ok(Self {
            loopback: loopback(least)?,
            round_trips: round_trips(least)?,
            connections: connections(least)?,
            synced: synced(least, message, 1)?,
            synced_group: synced(least, message, GROUP)?,
            memcpy: memcpy(least),
        })
    }

    /// The better of two measurements, number by number.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            loopback: self.loopback.max(other.loopback),
            round_trips: self.round_trips.max(other.round_trips),
            connections: self.connections.max(other.connections),
            synced: self.synced.max(other.synced),
            synced_group: self.synced_group.max(other.synced_group),
            memcpy: self.memcpy.max(other.memcpy),
        }
    }

    /// Operations per second that `bound` allows; for [`Bound::Memcpy`] passes over all messages.
    pub(crate) fn per_second(&self, bound: Bound, load: Load) -> Option<f64> {
        match bound {
            Bound::None => None,
            Bound::Sync => Some(self.synced),
            Bound::GroupSync => Some(self.synced_group),
            Bound::RoundTrip => Some(self.round_trips),
            Bound::Session(lines) => {
                Some(1.0 / (1.0 / self.connections + f64::from(lines) / self.round_trips))
            }
            Bound::Loopback => load.answer.map(|octets| self.loopback / octets),
            Bound::Memcpy => Some(self.memcpy / load.corpus),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "limits of this machine: loopback {:.0} MB/s, {:.0} round trips/s, {:.0} connections/s; \
             fdatasync {:.0} messages/s alone, {:.0} in groups of {GROUP}; memcpy {:.0} MB/s\n",
            self.loopback / 1e6,
            self.round_trips,
            self.connections,
            self.synced,
            self.synced_group,
            self.memcpy / 1e6,
        )
    }
}

fn listener() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Through the client that reads the servers' answers too.
fn loopback(least: Duration) -> Result<f64> {
    let (listener, address) = listener()?;
    let sender = thread::spawn(move || {
        let block = vec![b'x'; 256 << 10];
        if let Ok((mut stream, _)) = listener.accept() {
            // Ends when the reader closes.
            while stream.write_all(&block).is_ok() {}
        }
    });
    let mut wire = Wire::connect(address, BULK)?;
    wire.skip(64 << 20)?;
    let mut rates = Vec::new();
    let until = Instant::now() + least;
    while rates.len() < 3 || Instant::now() < until {
        let from = Instant::now();
        wire.skip(64 << 20)?;
        rates.push(f64::from(64 << 20) / from.elapsed().as_secs_f64());
    }
    drop(wire);
    sender.join().map_err(|_| "the sender panicked")?;
    Ok(best(&rates))
}

fn round_trips(least: Duration) -> Result<f64> {
    let (listener, address) = listener()?;
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut line = [0; LINE.len()];
        while stream.read_exact(&mut line).is_ok() {
            stream.write_all(&line)?;
        }
        Ok(())
    });
    let mut wire = Wire::connect(address, BULK)?;
    let rate = rate(least, 1_000, || {
        wire.send(LINE)?;
        wire.line()?;
        Ok(())
    })?;
    drop(wire);
    echo.join().map_err(|_| "the echo panicked")??;
    Ok(rate)
}

fn connections(least: Duration) -> Result<f64> {
    let (listener, address) = listener()?;
    let accepting = thread::spawn(move || -> std::io::Result<()> {
        loop {
            let (mut stream, _) = listener.accept()?;
            // One octet says that it is over.
            if matches!(stream.read(&mut [0])?, 1..) {
                return Ok(());
            }
        }
    });
    let rate = rate(least, 100, || dial(address).map(drop))?;
    let mut last: TcpStream = dial(address)?;
    last.write_all(b".")?;
    accepting.join().map_err(|_| "the acceptor panicked")??;
    Ok(rate)
}

/// Messages per second, `group` of them with one `fdatasync`, appended to one file where the
/// servers' data lie.
fn synced(least: Duration, message: usize, group: usize) -> Result<f64> {
    let file = tempfile::tempfile()?;
    let bytes = vec![b'x'; message.max(1) * group];
    let mut at = 0;
    let groups = rate(least, 10, || {
        file.write_all_at(&bytes, at)?;
        at += bytes.len() as u64;
        // Bounded: a fast disk begins again at 1 GiB.
        if at > 1 << 30 {
            at = 0;
        }
        Ok(file.sync_data()?)
    })?;
    Ok(groups * group as f64)
}

fn memcpy(least: Duration) -> f64 {
    let from = vec![1_u8; 64 << 20];
    let mut to = vec![0_u8; 64 << 20];
    let mut rates = Vec::new();
    let until = Instant::now() + least;
    while rates.len() < 3 || Instant::now() < until {
        let start = Instant::now();
        black_box(&mut to).copy_from_slice(black_box(&from));
        rates.push(from.len() as f64 / start.elapsed().as_secs_f64());
    }
    best(&rates)
}

/// A limit is what was once reached: whatever else the machine does only takes from it.
fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

/// Operations per second: the best of runs of `batch` operations.
fn rate(least: Duration, batch: u32, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut rates = Vec::new();
    let until = Instant::now() + least;
    while rates.len() < 3 || Instant::now() < until {
        let from = Instant::now();
        for _ in 0..batch {
            work()?;
        }
        rates.push(f64::from(batch) / from.elapsed().as_secs_f64());
    }
    Ok(best(&rates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_measured() {
        let limits = Limits::measure(Duration::from_millis(1), 17_000).unwrap();
        let load = Load {
            corpus: 1e6,
            answer: Some(100.0),
        };
        for bound in [
            Bound::Sync,
            Bound::GroupSync,
            Bound::RoundTrip,
            Bound::Session(3),
            Bound::Loopback,
            Bound::Memcpy,
        ] {
            let rate = limits.per_second(bound, load).unwrap();
            assert!(rate.is_finite() && rate > 0.0, "{bound:?}: {limits:?}");
        }
        assert_eq!(limits.per_second(Bound::None, load), None);
    }
}
