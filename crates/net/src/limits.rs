//! How many connections a listener holds, altogether and per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Peer;

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The listener holds as many connections as it may.
    Full,
    /// This address holds as many connections as it may.
    TooManyFromPeer,
}

impl Refused {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::TooManyFromPeer => "peer",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Limits {
    total: usize,
    per_ip: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Limits {
    pub(crate) fn new(total: usize, per_ip: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_ip,
            held: Mutex::default(),
        })
    }

    /// Counts a connection in for as long as the permit lives.
    pub(crate) fn admit(self: &Arc<Self>, peer: Peer) -> Result<Permit, Refused> {
        let ip = peer.ip().map(network);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.total >= self.total {
            return Err(Refused::Full);
        }
        if let Some(ip) = ip {
            let count = held.by_ip.entry(ip).or_insert(0);
            if *count >= self.per_ip {
                return Err(Refused::TooManyFromPeer);
            }
            *count += 1;
        }
        held.total += 1;
        Ok(Permit {
            limits: Arc::clone(self),
            ip,
        })
    }
}

/// One customer of IPv6 holds a /64 and all its addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[derive(Debug)]
pub(crate) struct Permit {
    limits: Arc<Limits>,
    ip: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self
            .limits
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.total -= 1;
        if let Some(ip) = self.ip
            && let Some(count) = held.by_ip.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                held.by_ip.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Tcp((ip.parse::<IpAddr>().expect("an address"), 1).into())
    }

    #[test]
    fn limits_hold_per_address_and_altogether_and_are_given_back() {
        let limits = Limits::new(3, 2);
        let first = limits.admit(peer("192.0.2.1")).expect("room");
        let _second = limits.admit(peer("::ffff:192.0.2.1")).expect("room");
        assert_eq!(
            limits.admit(peer("192.0.2.1")).err(),
            Some(Refused::TooManyFromPeer)
        );
        let _third = limits.admit(peer("192.0.2.2")).expect("room");
        assert_eq!(limits.admit(peer("192.0.2.3")).err(), Some(Refused::Full));
        assert_eq!(limits.admit(Peer::Unix).err(), Some(Refused::Full));
        drop(first);
        limits.admit(peer("192.0.2.1")).expect("room again");
        assert_eq!(limits.held.lock().expect("unpoisoned").by_ip.len(), 2);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let limits = Limits::new(9, 1);
        let _held = limits.admit(peer("2001:db8::1")).expect("room");
        assert_eq!(
            limits.admit(peer("2001:db8::2")).err(),
            Some(Refused::TooManyFromPeer)
        );
        limits
            .admit(peer("2001:db8:0:1::1"))
            .expect("another network");
    }
}
