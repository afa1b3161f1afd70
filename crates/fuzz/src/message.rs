//! Messages: any bytes are one.

use ::message::{
    Digest, Needle, Part, Section, TransferEncoding, base_subject, body_texts, decode_params,
    decode_words, digest as digest_of, header_len, header_texts,
};
use std::ops::ControlFlow;

/// A digest of anything can be read back, and says only what is there.
pub fn digest(data: &[u8]) {
    let encoded = digest_of(data);
    let digest = Digest::parse(&encoded).expect("what was encoded can be read");
    assert_eq!(digest.size() as usize, data.len());
    assert!(digest.header_len() as usize <= data.len());
    for form in [digest.envelope(), digest.body(), digest.bodystructure()] {
        balanced(form);
    }
    assert!(digest.preview().chars().count() <= 200, "RFC 8970 3.1");
    let _ = (digest.sent_date(), digest.sent_day(), digest.message_id());
    assert!(digest.references().count() <= ::message::MAX_IDS);
    let header = data.get(..header_len(data)).unwrap_or_default();
    let needle = Needle::new("hello");
    let is_ruled_out = needle.is_ruled_out(header);
    header_texts(header, &mut |text| {
        let found = is_ruled_out && needle.is_in(text);
        assert!(!found, "the fast path must not rule out what is there");
        ControlFlow::Continue(())
    });
    body_texts(data, &mut |_| ControlFlow::Continue(()));
    let text = decode_words(data);
    let (base, _) = base_subject(&text);
    // RFC 5256 2.1: the base subject of a base subject is itself.
    assert_eq!(base_subject(&base).0, base);
    let _ = decode_params(data);
}

/// Parentheses outside strings and literals balance: the form can stand in a FETCH response.
fn balanced(form: &[u8]) {
    let (mut depth, mut at) = (0i64, 0);
    while let Some(&octet) = form.get(at) {
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => {
                at += 1;
                while form[at] != b'"' {
                    at += 1 + usize::from(form[at] == b'\\');
                }
            }
            b'{' => {
                let close = at
                    + form[at..]
                        .iter()
                        .position(|&c| c == b'}')
                        .expect("a closed literal");
                let digits = std::str::from_utf8(&form[at + 1..close]).expect("digits");
                let len: usize = digits.parse().expect("a length");
                assert_eq!(&form[close + 1..close + 3], b"\r\n");
                at = close + 2 + len;
            }
            0..=31 | 127 => panic!("control character {octet}"),
            _ => {}
        }
        assert!(depth >= 0);
        at += 1;
    }
    assert_eq!(depth, 0);
}

/// The first octets name a section, the rest is a message: what is located lies within it.
pub fn sections(data: &[u8]) {
    let Some((head, bytes)) = data.split_at_checked(6) else {
        return;
    };
    let encoded = digest_of(bytes);
    let digest = Digest::parse(&encoded).expect("what was encoded can be read");
    let depth = usize::from(head[0] % 5);
    let path = head[1..=depth].iter().map(|&n| u32::from(n)).collect();
    let part = [Part::Whole, Part::Header, Part::Text, Part::Mime][usize::from(head[5] % 4)];
    if let Some(located) = digest.locate(&Section { path, part }) {
        let range = located.range.start as usize..located.range.end as usize;
        let octets = bytes.get(range).expect("a section lies within its message");
        let _ = located.encoding.decode(octets);
        for token in [b"base64".as_slice(), b"quoted-printable"] {
            let _ = TransferEncoding::from_token(token).decode(octets);
        }
    }
}
