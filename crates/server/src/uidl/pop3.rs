//! What another POP3 server shows of a maildrop: unique ids and headers. Nothing is changed there.

use super::fingerprint::Fingerprint;
use super::lines::Lines;
use super::{Known, Source};
use crate::failure::Failure;
use std::path::Path;

/// All messages of the maildrop, in its order.
pub(super) async fn list(
    source: &Source,
    password: &str,
    roots: Option<&Path>,
) -> Result<Vec<Known>, Failure> {
    let mut pop3 = Pop3(Lines::connect(source, roots).await?);
    pop3.answer("greeting").await?;
    pop3.command(&format!("USER {}", source.user)).await?;
    pop3.0.send(&format!("PASS {password}")).await?;
    pop3.answer("PASS").await?;
    let mut all = Vec::new();
    for (number, unique_id) in pop3.unique_ids().await? {
        let header = pop3.header(&number).await?;
        all.push(Known {
            unique_id,
            fingerprint: Fingerprint::of(&header),
        });
    }
    // A DELE was never said: QUIT changes nothing.
    pop3.command("QUIT").await?;
    Ok(all)
}

struct Pop3(Lines);

impl Pop3 {
    async fn command(&mut self, command: &str) -> Result<(), Failure> {
        self.0.send(command).await?;
        self.answer(command).await
    }

    async fn answer(&mut self, to: &str) -> Result<(), Failure> {
        let answer = self.0.line().await?;
        if answer.starts_with(b"+OK") {
            return Ok(());
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Err(self.0.trouble(&format!("{to}: {answer}")))
    }

    /// A line of an answer of several, without the dot in front; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut line = self.0.line().await?;
        if line == b"." {
            return Ok(None);
        }
        if line.starts_with(b".") {
            line.remove(0);
        }
        Ok(Some(line))
    }

    async fn unique_ids(&mut self) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        self.command("UIDL").await?;
        let mut all = Vec::new();
        while let Some(line) = self.next().await? {
            let space = line.iter().position(|&c| c == b' ');
            let (number, id) = space.map_or((&line[..], &[][..]), |at| line.split_at(at));
            let number = String::from_utf8_lossy(number).into_owned();
            if number.is_empty() || !number.bytes().all(|c| c.is_ascii_digit()) {
                return Err(self.0.trouble(&"UIDL: no message number"));
            }
            all.push((number, id.trim_ascii().to_vec()));
        }
        Ok(all)
    }

    async fn header(&mut self, number: &str) -> Result<Vec<u8>, Failure> {
        self.command(&format!("TOP {number} 0")).await?;
        let mut header = Vec::new();
        while let Some(line) = self.next().await? {
            header.extend_from_slice(&line);
            header.extend_from_slice(b"\r\n");
        }
        Ok(header)
    }
}
