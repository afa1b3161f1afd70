//! Prints the digest of each message file named on the command line, one `key<TAB>value` line per
//! fact, values escaped: for looking at a message, and for comparing with other servers.

use message::{Digest, Part, Section, digest};

fn main() -> std::io::Result<()> {
    for path in std::env::args().skip(1) {
        let message = std::fs::read(&path)?;
        println!("file\t{path}");
        match Digest::parse(&digest(&message)) {
            Some(digest) => show(&digest),
            None => println!("damaged"),
        }
    }
    Ok(())
}

fn show(digest: &Digest<'_>) {
    let line = |key: &str, value: &[u8]| println!("{key}\t{}", value.escape_ascii());
    line("size", digest.size().to_string().as_bytes());
    line("header_len", digest.header_len().to_string().as_bytes());
    line("crlf_extra", digest.crlf_extra().to_string().as_bytes());
    line("envelope", digest.envelope());
    line("body", digest.body());
    line("bodystructure", digest.bodystructure());
    line("preview", digest.preview().as_bytes());
    line("subject", digest.subject().as_bytes());
    line("base_subject", digest.base_subject().as_bytes());
    line("sent_date", format!("{:?}", digest.sent_date()).as_bytes());
    line("message_id", digest.message_id().unwrap_or_default());
    for id in digest.in_reply_to() {
        line("in_reply_to", id);
    }
    for id in digest.references() {
        line("references", id);
    }
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        for part in [Part::Whole, Part::Header, Part::Text, Part::Mime] {
            if let Some(at) = digest.locate(&Section {
                path: path.clone(),
                part,
            }) {
                println!(
                    "section\t{path:?} {part:?} {:?} {:?}",
                    at.range, at.encoding
                );
            }
        }
        for number in (1..).map_while(|number| {
            let path: Vec<u32> = path.iter().copied().chain([number]).collect();
            let section = Section {
                path,
                part: Part::Whole,
            };
            digest.locate(&section).map(|_| section.path)
        }) {
            paths.push(number);
        }
    }
}
