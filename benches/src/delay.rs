//! A TCP proxy that is far away: every octet arrives half a round trip later, in order, and nothing
//! else is slower than on loopback.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What went through, as the client's side of the proxy saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// How often octets came back after something had been sent: a connection (whose SYN the
    /// greeting answers) or octets of the client. The TCP handshake is one more.
    pub(crate) turns: u64,
}

#[derive(Default)]
struct Counters {
    up: AtomicU64,
    down: AtomicU64,
    turns: AtomicU64,
    /// Something was sent that nothing has answered yet.
    asked: AtomicBool,
}

/// A listening proxy. Dropping it stops the listening; connections end with their ends.
pub(crate) struct Delay {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
}

impl Delay {
    /// Forwards every connection to `target`, which seems to be `rtt` away.
    pub(crate) fn start(target: SocketAddr, rtt: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (counts, stopped) = (Arc::clone(&counters), Arc::clone(&stop));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let counts = Arc::clone(&counts);
                thread::spawn(move || {
                    // A refused connection is seen as one that is closed at once.
                    let _ = connection(client, target, rtt, &counts);
                });
            }
        });
        Ok(Self {
            address,
            counters,
            stop,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that went through so far.
    pub(crate) fn passed(&self) -> Passed {
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Passed {
            up: load(&self.counters.up),
            down: load(&self.counters.down),
            turns: load(&self.counters.turns),
        }
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// Octets, and when they are due.
type Queued = (Instant, Vec<u8>);

fn connection(
    client: TcpStream,
    target: SocketAddr,
    rtt: Duration,
    counts: &Arc<Counters>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    // Loopback has done the handshake in no time. On a real path the SYN and its answer take a
    // round trip, and the server accepts when the client's ACK has come, half a one later.
    counts.turns.fetch_add(1, Ordering::AcqRel);
    counts.asked.store(true, Ordering::Release);
    thread::sleep(rtt * 3 / 2);
    let server = TcpStream::connect(target)?;
    server.set_nodelay(true)?;
    let half = rtt / 2;
    let asked = Arc::clone(counts);
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let sent = move |count| {
            asked.up.fetch_add(count, Ordering::AcqRel);
            asked.asked.store(true, Ordering::Release);
        };
        forward(from, to, half, sent, |_| ());
    });
    let answered = Arc::clone(counts);
    let arrives = move |count| {
        answered.down.fetch_add(count, Ordering::AcqRel);
        if answered.asked.swap(false, Ordering::AcqRel) {
            answered.turns.fetch_add(1, Ordering::AcqRel);
        }
    };
    forward(server, client, half, |_| (), arrives);
    let _ = up.join();
    Ok(())
}

/// One direction until its end: reads at once, writes when it is due.
fn forward(
    mut from: TcpStream,
    to: TcpStream,
    delay: Duration,
    read: impl Fn(u64),
    written: impl Fn(u64) + Send + 'static,
) {
    let (queue, due) = channel::<Queued>();
    let writing = thread::spawn(move || write_when_due(to, &due, written));
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        read(count as u64);
        if queue
            .send((Instant::now() + delay, buffer[..count].to_vec()))
            .is_err()
        {
            break;
        }
    }
    drop(queue);
    let _ = writing.join();
}

fn write_when_due(mut to: TcpStream, due: &Receiver<Queued>, written: impl Fn(u64)) {
    for (at, octets) in due {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        // Counted before the client can have read it and said something new.
        written(octets.len() as u64);
        if to.write_all(&octets).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every line with itself, each line at once.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut other = stream.try_clone().expect("a handle");
            other.write_all(b"hello\n").expect("a greeting");
            io::copy(&mut stream, &mut other)
        });
        address
    }

    fn take(stream: &mut TcpStream, count: usize) {
        let mut buffer = vec![0; count];
        stream.read_exact(&mut buffer).expect("an answer");
    }

    #[test]
    fn a_pipelined_batch_waits_once_and_lockstep_every_time() {
        let rtt = Duration::from_millis(200);
        let delay = Delay::start(echo(), rtt).expect("a proxy");
        let from = Instant::now();
        let mut stream = TcpStream::connect(delay.address()).expect("a connection");
        take(&mut stream, 6);
        assert!(from.elapsed() >= 2 * rtt, "{:?}", from.elapsed());

        let from = Instant::now();
        for _ in 0..10 {
            stream.write_all(b"ping\n").expect("a line");
        }
        take(&mut stream, 50);
        assert!(from.elapsed() >= rtt && from.elapsed() < 5 * rtt);

        let from = Instant::now();
        for _ in 0..3 {
            stream.write_all(b"ping\n").expect("a line");
            take(&mut stream, 5);
        }
        assert!(from.elapsed() >= 3 * rtt);
        // Handshake, greeting, the batch, three lines.
        let passed = delay.passed();
        assert_eq!((passed.up, passed.down), (65, 71));
        assert_eq!(passed.turns, 6);
    }
}
