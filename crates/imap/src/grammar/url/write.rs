//! Writing URLs.

use super::*;

pub(super) fn encode(raw: &[u8], plain: fn(u8) -> bool, out: &mut Vec<u8>) {
    for &b in raw {
        match plain(b) && b != b'%' {
            true => out.push(b),
            false => {
                let digit = |n: u8| b"0123456789ABCDEF".get(n as usize).copied();
                out.push(b'%');
                out.extend(digit(b >> 4).into_iter().chain(digit(b & 15)));
            }
        }
    }
}

impl Server {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(user) = &self.user {
            encode(user.as_bytes(), is_achar, out);
        }
        if let Some(auth) = &self.auth {
            encode(auth.as_bytes(), is_achar, out.raw(b";AUTH="));
        }
        if self.user.is_some() || self.auth.is_some() {
            out.raw(b"@");
        }
        out.text(&self.host);
        if let Some(port) = self.port {
            out.raw(b":").num(port);
        }
    }
}

impl MailboxRef {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (i, level) in self.name.split('/').enumerate() {
            // RFC 5092 7.1: a name that begins with a slash does not begin a server.
            let is_second = i == 1 && self.name.starts_with('/');
            out.raw(if is_second { b"%2F" } else { b"/" });
            match level {
                // RFC 5092 7: no dot segments.
                "." => drop(out.raw(b"%2E")),
                ".." => drop(out.raw(b"%2E%2E")),
                _ => encode(level.as_bytes(), is_bchar, out),
            }
        }
        if let Some(uid_validity) = self.uid_validity {
            out.raw(b";UIDVALIDITY=").num(uid_validity.get());
        }
    }
}

impl MessageRef {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(mailbox) = &self.mailbox {
            mailbox.write(out);
            out.raw(b"/");
        }
        out.raw(b";UID=").num(self.uid.get());
        if let Some(section) = &self.section {
            encode(section, is_bchar, out.raw(b"/;SECTION="));
        }
        if let Some((first, count)) = self.partial {
            out.raw(b"/;PARTIAL=").num(first);
            if let Some(count) = count {
                out.raw(b".").num(count.get());
            }
        }
        if let Some(grant) = &self.grant {
            grant.write(out);
        }
    }
}

impl Grant {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(expire) = self.expire {
            crate::grammar::dates::write_internet_date_time(out.raw(b";EXPIRE="), expire);
        }
        out.raw(b";URLAUTH=");
        match &self.access {
            Access::Submit(user) => encode(user.as_bytes(), is_achar, out.raw(b"submit+")),
            Access::User(user) => encode(user.as_bytes(), is_achar, out.raw(b"user+")),
            Access::AuthUser => {
                out.raw(b"authuser");
            }
            Access::Anonymous => {
                out.raw(b"anonymous");
            }
        }
        if let Some(proof) = &self.proof {
            out.raw(b":").text(&proof.mechanism.to_ascii_lowercase());
            write_token(&proof.token, out.raw(b":"));
        }
    }
}

/// `enc-urlauth`.
pub fn write_token(token: &[u8], out: &mut Vec<u8>) {
    for b in token {
        let digit = |n: u8| b"0123456789abcdef".get(n as usize).copied();
        out.extend(digit(b >> 4).into_iter().chain(digit(b & 15)));
    }
}
