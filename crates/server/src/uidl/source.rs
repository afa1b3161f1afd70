//! Where another server is: `pop3://user@host:port`, `pop3s:`, `imap:`, `imaps:`.

use std::str::FromStr;

/// What is spoken there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    Pop3,
    Imap,
}

/// An account of another server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    pub(super) protocol: Protocol,
    pub(super) tls: bool,
    pub(super) user: String,
    pub(super) host: String,
    pub(super) port: u16,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "give pop3://user@host, pop3s://, imap:// or imaps://".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wanted)?;
        let (protocol, tls, usual) = match scheme {
            "pop3" => (Protocol::Pop3, false, 110),
            "pop3s" => (Protocol::Pop3, true, 995),
            "imap" => (Protocol::Imap, false, 143),
            "imaps" => (Protocol::Imap, true, 993),
            _ => return Err(wanted()),
        };
        // A user's name may have an @ in it.
        let (user, host) = rest
            .trim_end_matches('/')
            .rsplit_once('@')
            .ok_or_else(wanted)?;
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (
                host,
                port.parse().map_err(|_| format!("{port} is no port"))?,
            ),
            _ => (host, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let fits = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control());
        if !fits(user) || !fits(host) {
            return Err(wanted());
        }
        Ok(Self {
            protocol,
            tls,
            user: user.to_owned(),
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        let read = |text: &str| {
            let s: Source = text.parse().unwrap();
            format!(
                "{:?} {} {} {} {}",
                s.protocol, s.tls, s.user, s.host, s.port
            )
        };
        assert_eq!(
            read("pop3://ann@example.org"),
            "Pop3 false ann example.org 110"
        );
        assert_eq!(
            read("imaps://ann@b.org@[::1]:9993/"),
            "Imap true ann@b.org ::1 9993"
        );
        assert_eq!(read("imaps://ann@[::1]"), "Imap true ann ::1 993");
        for bad in [
            "",
            "host",
            "pop3://host",
            "pop3://@host",
            "pop3://a@",
            "http://a@b",
            "pop3://a@b:x",
            "pop3://a\r\n@b",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}
