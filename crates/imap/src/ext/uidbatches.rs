//! UIDBATCHES (RFC 10022): ranges of uids with so many messages each, the newest first.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 10022",
    file: file!(),
    capabilities: &[Capability::always("UIDBATCHES")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `message-batches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]`.
static SPEC: Spec = Spec {
    name: "UIDBATCHES",
    uid: UidForm::No,
    states: States::SELECTED,
    effects: Effects::NONE,
    rfc: &["RFC 10022 3"],
    parse,
};

/// RFC 10022 3: smaller batches a server need not give.
const MIN_SIZE: u32 = 500;

struct UidBatches {
    size: u32,
    /// The first and the last batch wanted, from 1.
    wanted: (u32, u32),
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let size = c.nz_number()?;
    let mut wanted = (1, u32::MAX);
    if c.eat(b" ") {
        let first = c.nz_number()?;
        c.expect(b":", "expected a range of batches")?;
        wanted = (first, c.nz_number()?);
    }
    Ok(Box::new(UidBatches { size, wanted }))
}

impl Run for UidBatches {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let (first, last) = self.wanted;
        if first > last {
            // RFC 10022 3.
            return Err(Refusal::BadWith(
                Code::Word("CLIENTBUG"),
                "batches are counted upwards",
            ));
        }
        if self.size < MIN_SIZE {
            return Err(Refusal::no(
                Code::Word("TOOFEW"),
                "a batch has at least 500 messages",
            ));
        }
        let told = cx.state.selection()?.told().clone();
        let out = cx.wire.buffer();
        out.raw(b"* UIDBATCHES (TAG ").string(&cx.tag).raw(b")");
        // RFC 10022 3: the response comes even if it has no ranges. How many it can have is bounded
        // by the messages there are, and the size.
        let batches = batches(told.len(), self.size as usize);
        let batches = batches.skip(first as usize - 1);
        let mut separator: &[u8] = b" ";
        for (from, to) in batches.take((last - first) as usize + 1) {
            let (Some(oldest), Some(newest)) = (told.get(from), told.get(to - 1)) else {
                break;
            };
            out.raw(separator).num(newest.uid.get());
            out.raw(b":").num(oldest.uid.get());
            separator = b",";
        }
        out.crlf();
        Done::ok("that is all of them")
    }
}

/// The batches of `count` messages, the newest first, as positions, the last one excluded.
fn batches(count: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    let ends = std::iter::successors(Some(count), move |end| end.checked_sub(size));
    ends.take_while(|end| *end > 0)
        .map(move |end| (end.saturating_sub(size), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_full_but_the_oldest() {
        let of = |count, size| batches(count, size).collect::<Vec<_>>();
        assert_eq!(of(0, 500), []);
        assert_eq!(of(1, 500), [(0, 1)]);
        assert_eq!(of(500, 500), [(0, 500)]);
        assert_eq!(of(1001, 500), [(501, 1001), (1, 501), (0, 1)]);
        assert_eq!(of(3, usize::MAX), [(0, 3)]);
    }
}
