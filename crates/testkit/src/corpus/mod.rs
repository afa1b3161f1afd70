//! Realistic mail from a seed: the same seed gives the same bytes on every machine.
//!
//! The mix is that of an office mailbox: short plain notes, HTML newsletters, attachments,
//! forwarded mail, a share of it not ASCII. The mean is 17 KB (DESIGN 10 measures with it).

mod chance;
mod words;

use std::fmt::Write as _;

pub use chance::Chance;

/// An endless, reproducible stream of messages with CRLF line ends.
#[derive(Debug, Clone)]
pub struct Corpus {
    chance: Chance,
    number: u64,
    /// The last message ids and their subjects: one message in three answers one of them.
    threads: Vec<(String, String)>,
}

impl Corpus {
    /// The corpus of this seed, from its first message.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            number: 0,
            threads: Vec::new(),
        }
    }

    /// The first `count` messages of the corpus with this seed.
    #[must_use]
    pub fn messages(seed: u64, count: usize) -> Vec<Vec<u8>> {
        Self::new(seed).take(count).collect()
    }

    fn message(&mut self) -> Vec<u8> {
        self.number += 1;
        let mut out = self.header();
        match self.chance.below(100) {
            0..40 => self.plain(&mut out),
            40..78 => self.alternative(&mut out),
            78..92 => self.attachments(&mut out),
            92..97 => self.forwarded(&mut out),
            _ => self.latin1(&mut out),
        }
        out
    }

    fn header(&mut self) -> Vec<u8> {
        let chance = &mut self.chance;
        let from = words::person(chance);
        let to = words::person(chance);
        let id = format!(
            "<{:016x}.{}@{}>",
            chance.next(),
            self.number,
            words::host(chance)
        );
        let answered = (chance.below(3) == 0 && !self.threads.is_empty()).then(|| {
            let at = chance.below(self.threads.len() as u64) as usize;
            self.threads[at].clone()
        });
        let subject = match &answered {
            Some((_, subject)) => format!("Re: {subject}"),
            None => words::subject(chance),
        };
        let date = words::date(self.number);
        let mut out = String::new();
        for hop in 0..2 + chance.below(3) {
            let _ = write!(
                out,
                "Received: from {} (unknown [192.0.2.{}])\r\n\
                 \tby {} (Postfix) with ESMTPS id {:010X}\r\n\
                 \tfor <{}>; {date}\r\n",
                words::host(chance),
                1 + hop,
                words::host(chance),
                chance.next() >> 24,
                to.address,
            );
        }
        let _ = write!(
            out,
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={}; s=mail;\r\n\
             \th=from:to:subject:date:message-id; bh={}=;\r\n\tb={}\r\n\t {}==\r\n",
            words::host(chance),
            chance.base64(43),
            chance.base64(66),
            chance.base64(66),
        );
        let _ = write!(
            out,
            "Message-ID: {id}\r\nDate: {date}\r\nFrom: {}\r\nTo: {}\r\n",
            from.mailbox(),
            to.mailbox()
        );
        if chance.below(4) == 0 {
            let cc: Vec<String> = (0..1 + chance.below(4))
                .map(|_| words::person(chance).mailbox())
                .collect();
            let _ = write!(out, "Cc: {}\r\n", cc.join(",\r\n\t"));
        }
        let _ = write!(out, "Subject: {subject}\r\n");
        if let Some((parent, _)) = &answered {
            let _ = write!(out, "In-Reply-To: {parent}\r\nReferences: {parent}\r\n");
        }
        out.push_str("MIME-Version: 1.0\r\n");
        if chance.below(5) == 0 {
            let _ = write!(
                out,
                "List-Id: <list-{}.{}>\r\n",
                chance.below(20),
                words::host(chance)
            );
        }
        if self.threads.len() == 64 {
            self.threads.remove(0);
        }
        if answered.is_none() {
            self.threads.push((id, subject));
        }
        out.into_bytes()
    }

    fn plain(&mut self, out: &mut Vec<u8>) {
        let utf8 = self.chance.below(4) == 0;
        let size = self.chance.between(300, 6_000);
        if utf8 {
            out.extend_from_slice(
                b"Content-Type: text/plain; charset=utf-8\r\n\
                  Content-Transfer-Encoding: 8bit\r\n\r\n",
            );
        } else {
            out.extend_from_slice(b"Content-Type: text/plain; charset=us-ascii\r\n\r\n");
        }
        words::prose(&mut self.chance, out, size, utf8);
    }

    fn alternative(&mut self, out: &mut Vec<u8>) {
        let boundary = self.open(out, "alternative");
        let size = self.chance.between(800, 4_000);
        part(
            out,
            &boundary,
            "Content-Type: text/plain; charset=utf-8\r\n",
        );
        words::prose(&mut self.chance, out, size, true);
        part(
            out,
            &boundary,
            "Content-Type: text/html; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n",
        );
        let size = self.chance.between(4_000, 22_000);
        words::html(&mut self.chance, out, size);
        close(out, &boundary);
    }

    fn attachments(&mut self, out: &mut Vec<u8>) {
        let boundary = self.open(out, "mixed");
        part(
            out,
            &boundary,
            "Content-Type: text/plain; charset=us-ascii\r\n",
        );
        let size = self.chance.between(200, 2_500);
        words::prose(&mut self.chance, out, size, false);
        for index in 0..1 + self.chance.below(2) {
            let (kind, name) = words::attachment(&mut self.chance, index);
            part(
                out,
                &boundary,
                &format!(
                    "Content-Type: {kind};\r\n\tname=\"{name}\"\r\n\
                     Content-Disposition: attachment;\r\n\
                     \tfilename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n"
                ),
            );
            for _ in 0..self.chance.between(60, 880) {
                out.extend_from_slice(self.chance.base64(76).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        }
        close(out, &boundary);
    }

    fn forwarded(&mut self, out: &mut Vec<u8>) {
        let boundary = self.open(out, "mixed");
        part(out, &boundary, "Content-Type: text/plain\r\n");
        words::prose(&mut self.chance, out, 300, false);
        part(
            out,
            &boundary,
            "Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n",
        );
        let mut inner = self.header();
        self.alternative(&mut inner);
        out.extend_from_slice(&inner);
        close(out, &boundary);
    }

    /// Bytes above 127 that are not UTF-8.
    fn latin1(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"Content-Type: text/plain; charset=iso-8859-1\r\n\
              Content-Transfer-Encoding: 8bit\r\n\r\n",
        );
        let size = self.chance.between(300, 5_000);
        let from = out.len();
        words::prose(&mut self.chance, out, size, false);
        for byte in &mut out[from..] {
            if *byte == b'e' && self.chance.below(6) == 0 {
                *byte = 0xe9;
            }
        }
    }

    fn open(&mut self, out: &mut Vec<u8>, kind: &str) -> String {
        let boundary = format!("=_{:016x}", self.chance.next());
        let head = format!("Content-Type: multipart/{kind};\r\n\tboundary=\"{boundary}\"\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"This is a message in MIME format.\r\n");
        boundary
    }
}

impl Iterator for Corpus {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.message())
    }
}

fn part(out: &mut Vec<u8>, boundary: &str, header: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}\r\n{header}\r\n").as_bytes());
}

fn close(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::Corpus;

    #[test]
    fn the_mean_is_17_kilobytes_and_the_seed_decides() {
        let messages = Corpus::messages(1, 4_000);
        let total: usize = messages.iter().map(Vec::len).sum();
        let mean = total / messages.len();
        assert!((16_000..18_000).contains(&mean), "mean {mean}");
        assert_eq!(messages[..50], Corpus::messages(1, 50));
        assert_ne!(messages[..50], Corpus::messages(2, 50));
    }

    #[test]
    fn lines_end_with_crlf_and_fit_smtp() {
        for message in Corpus::new(3).take(500) {
            assert!(message.ends_with(b"\r\n"));
            for line in message.split_inclusive(|byte| *byte == b'\n') {
                assert!(line.ends_with(b"\r\n") && line.len() <= 1000);
            }
        }
    }
}
