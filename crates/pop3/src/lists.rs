//! LIST and UIDL (RFC 1939 5, 7): a line for each message, as many as there are.

use mail::{Listed, UniqueIds, native_text};
use net::Wire;

use crate::maildrop::{Maildrop, Place};
use crate::registry::Arguments;
use crate::session::{Answer, Session, Stop};

/// Octets of a list at which it is sent: the client reads while the rest is written.
const PIECE: usize = 64 << 10;
/// Lines written before it is looked whether there are as many.
const LINES: usize = 256;

/// `LIST [msg]`: octets of each message.
pub(crate) async fn list(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let language = session.language;
    let (transaction, wire, _) = session.transaction()?;
    let maildrop = &transaction.maildrop;
    if let Some(argument) = arguments.first() {
        let (place, row) = maildrop.find(argument)?;
        let mut line = Line::default();
        scan_listing(&mut line, place, row.pop3_size());
        wire.write(b"+OK ");
        wire.write(line.octets());
        return Ok(());
    }
    wire.write(maildrop.in_words(language).as_bytes());
    let say = |line: &mut Line, place, listed: &Listed| scan_listing(line, place, listed.octets);
    lines(maildrop, wire, say).await?;
    wire.write(b".\r\n");
    Ok(())
}

/// `UIDL [msg]` (RFC 1939 7): the stored unique id of each message.
pub(crate) async fn uidl(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let (transaction, wire, front) = session.transaction()?;
    let maildrop = &transaction.maildrop;
    let ids = maildrop.unique_ids();
    if let Some(argument) = arguments.first() {
        let (place, row) = maildrop.find(argument)?;
        let mut line = Line::default();
        unique_id(&mut line, place, ids, row.uidl);
        wire.write(b"+OK ");
        wire.write(line.octets());
        return Ok(());
    }
    wire.write(b"+OK\r\n");
    let say = |line: &mut Line, place, listed: &Listed| unique_id(line, place, ids, listed.uidl);
    let octets = lines(maildrop, wire, say).await?;
    wire.write(b".\r\n");
    front.counters.uidl_bytes.inc_by(octets);
    Ok(())
}

/// Writes a line for each message that is not deleted. Returns their octets.
async fn lines(
    maildrop: &Maildrop,
    wire: &mut Wire,
    say: impl Fn(&mut Line, Place, &Listed),
) -> Result<u64, Stop> {
    let (mut listing, mut octets) = (maildrop.listing(), 0);
    let mut line = Line::default();
    loop {
        let out = wire.buffer();
        let (before, mut written) = (out.len(), 0);
        listing.by_ref().take(LINES).for_each(|(place, listed)| {
            line.clear();
            say(&mut line, place, &listed);
            out.extend_from_slice(line.octets());
            written += 1;
        });
        octets += (out.len() - before) as u64;
        wire.flush_if_over(PIECE).await?;
        if written < LINES {
            return Ok(octets);
        }
    }
}

fn scan_listing(line: &mut Line, place: Place, octets: u64) {
    line.number(place.number());
    line.text(b" ");
    line.number(octets);
    line.text(b"\r\n");
}

fn unique_id(line: &mut Line, place: Place, ids: &UniqueIds, number: u64) {
    line.number(place.number());
    line.text(b" ");
    match ids.adopted(number) {
        Some(id) => line.text(id.as_bytes()),
        None => line.text(&native_text(number)),
    }
    line.text(b"\r\n");
}

/// A number of 20 digits, a blank, a unique id of 70 octets (RFC 1939 7), CRLF.
const LONGEST: usize = 20 + 1 + 70 + 2;

/// A line that is put together in one place: ten thousand of them take a fraction of a millisecond.
struct Line {
    octets: [u8; LONGEST],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        let octets = [0; LONGEST];
        Self { octets, len: 0 }
    }
}

impl Line {
    fn clear(&mut self) {
        self.len = 0;
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// Appends what there is room for, which is all of it.
    fn text(&mut self, text: &[u8]) {
        let room = self.octets.get_mut(self.len..self.len + text.len());
        if let Some(room) = room {
            room.copy_from_slice(text);
            self.len += text.len();
        }
    }

    fn number(&mut self, number: u64) {
        self.text(itoa::Buffer::new().format(number).as_bytes());
    }
}
