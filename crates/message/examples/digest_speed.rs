//! Prints how fast messages are digested, digests read and texts searched:
//! `cargo run --release -p message --example digest_speed [MESSAGE...]`, on made-up mail when no
//! files are named.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

use message::{Digest, FieldSet, Needle, Part, Section, body_texts, digest};

fn main() -> std::io::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        run("plain text, 4 KB", &[plain(4 << 10)]);
        run("alternative + attachment, 17 KB", &[mixed(12 << 10)]);
        run("alternative + attachment, 8 MB", &[mixed(8 << 20)]);
        run("text of short lines, 50 MB", &[plain(50 << 20)]);
        run("10 000 parts", &[parts(10_000)]);
    } else {
        let messages = files
            .iter()
            .map(std::fs::read)
            .collect::<Result<Vec<_>, _>>()?;
        run("files", &messages);
    }
    Ok(())
}

fn run(name: &str, messages: &[Vec<u8>]) {
    let octets: usize = messages.iter().map(Vec::len).sum();
    let digests: Vec<Vec<u8>> = messages.iter().map(|message| digest(message)).collect();
    let kept: usize = digests.iter().map(Vec::len).sum();
    println!(
        "{name}: {} messages, {octets} octets, digests of {} each",
        messages.len(),
        kept / digests.len()
    );

    let (seconds, rounds) = timed(|| {
        messages
            .iter()
            .map(|m| black_box(digest(m)).len())
            .sum::<usize>()
    });
    report("digest", seconds, rounds, messages.len(), octets);

    let (seconds, rounds) = timed(|| {
        digests
            .iter()
            .filter_map(|d| Digest::parse(black_box(d)))
            .count()
    });
    report("Digest::parse", seconds, rounds, messages.len(), 0);

    let names = [
        "From",
        "To",
        "Cc",
        "Subject",
        "Date",
        "Message-ID",
        "References",
        "Content-Type",
        "Reply-To",
    ];
    let set = FieldSet::resolve(names).unwrap_or_default();
    let mut out = Vec::new();
    let (seconds, rounds) = timed(|| {
        out.clear();
        for digest in digests.iter().filter_map(|d| Digest::parse(d)) {
            black_box(digest.header_fields(set, &mut out));
        }
        out.len()
    });
    report("header_fields, 9 names", seconds, rounds, messages.len(), 0);

    let section = Section {
        path: vec![2],
        part: Part::Mime,
    };
    let parsed: Vec<_> = digests.iter().filter_map(|d| Digest::parse(d)).collect();
    let (seconds, rounds) = timed(|| {
        parsed
            .iter()
            .filter_map(|d| black_box(d).locate(&section))
            .count()
    });
    report("locate", seconds, rounds, messages.len(), 0);

    search(messages, &parsed, octets);
}

fn search(messages: &[Vec<u8>], parsed: &[Digest<'_>], octets: usize) {
    let needle = Needle::new("no such thing");
    let (seconds, rounds) = timed(|| {
        let mut found = 0;
        for message in messages {
            body_texts(message, &mut |text| {
                found += usize::from(needle.is_in(text));
                ControlFlow::Continue(())
            });
        }
        found
    });
    report(
        "search, body_texts",
        seconds,
        rounds,
        messages.len(),
        octets,
    );

    let (seconds, rounds) = timed(|| {
        let pairs = messages.iter().zip(parsed);
        pairs
            .filter(|(message, digest)| digest.body_contains(message, &needle))
            .count()
    });
    report(
        "search, body_contains",
        seconds,
        rounds,
        messages.len(),
        octets,
    );
}

/// Runs `f` for about half a second: seconds and rounds.
fn timed(mut f: impl FnMut() -> usize) -> (f64, usize) {
    let start = Instant::now();
    let mut rounds = 0;
    // Ever longer batches, so that reading the clock costs nothing.
    let mut batch = 1;
    while start.elapsed().as_secs_f64() < 0.5 {
        for _ in 0..batch {
            black_box(f());
        }
        rounds += batch;
        batch *= 2;
    }
    (start.elapsed().as_secs_f64(), rounds)
}

fn report(what: &str, seconds: f64, rounds: usize, messages: usize, octets: usize) {
    let each = seconds / rounds as f64;
    print!("  {what:24} {:>12.0} ns each", each / messages as f64 * 1e9);
    if octets > 0 {
        print!(" {:>10.0} MB/s", octets as f64 / each / 1e6);
    }
    println!();
}

const HEADER: &str = "Return-Path: <alice@example.org>\r\n\
    Delivered-To: bob@example.com\r\n\
    Received: from mx.example.org (mx.example.org [192.0.2.1])\r\n\tby mail.example.com with ESMTPS id 4XyZ12\r\n\
    \tfor <bob@example.com>; Mon, 1 Sep 2025 10:00:00 +0200 (CEST)\r\n\
    Received: from [10.0.0.7] by mx.example.org with ESMTPSA; Mon, 1 Sep 2025 10:00:00 +0200\r\n\
    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=mail;\r\n\
    \th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\
    \tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\r\n\
    From: =?utf-8?Q?Alice_Exempel=C3=A4?= <alice@example.org>\r\n\
    To: \"Bob, the builder\" <bob@example.com>, carol@example.net\r\n\
    Cc: Dave <dave@example.com>\r\n\
    Subject: Re: [list] =?utf-8?B?UXVhcnRlcmx5IG51bWJlcnM=?= for the board\r\n\
    Date: Mon, 1 Sep 2025 10:00:00 +0200\r\n\
    Message-ID: <5d8c1d7e-0b0f-4a5e-9c1c-1f2e3d4c5b6a@example.org>\r\n\
    In-Reply-To: <CAF1-x=abc@mail.example.com>\r\n\
    References: <CAF1-x=000@mail.example.com> <CAF1-x=abc@mail.example.com>\r\n\
    User-Agent: Mozilla Thunderbird\r\n\
    MIME-Version: 1.0\r\n";

fn text(octets: usize) -> String {
    "The quick brown fox jumps over the lazy dog while the board reads on and on.\r\n"
        .repeat(octets / 78 + 1)
}

fn plain(octets: usize) -> Vec<u8> {
    format!(
        "{HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\n{}",
        text(octets)
    )
    .into_bytes()
}

fn mixed(octets: usize) -> Vec<u8> {
    let base64 = "JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0\r\n";
    let base64 = base64.repeat(octets / base64.len() + 1);
    let text = text(2048);
    format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=\"=_mixed\"\r\n\r\n--=_mixed\r\n\
         Content-Type: multipart/alternative; boundary=\"=_alt\"\r\n\r\n--=_alt\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n--=_alt\r\n\
         Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         <p>{text}</p>\r\n--=_alt--\r\n\r\n--=_mixed\r\n\
         Content-Type: application/pdf; name=\"numbers.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"numbers.pdf\"\r\n\r\n{base64}\r\n--=_mixed--\r\n"
    )
    .into_bytes()
}

fn parts(count: usize) -> Vec<u8> {
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n".repeat(count);
    format!("{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}--b--\r\n").into_bytes()
}
