//! `gatepost-bench sync-cost` against the debug binary, as small as it can be.

use std::path::Path;
use std::process::Command;

/// The `gatepost` of this build, beside this test's own programs.
fn gatepost() -> std::path::PathBuf {
    let bench = Path::new(env!("CARGO_BIN_EXE_gatepost-bench"));
    let binary = bench.with_file_name("gatepost");
    assert!(binary.is_file(), "{binary:?}: cargo build -p server first");
    binary
}

#[test]
fn every_visit_finds_what_was_delivered_and_the_page_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let (json, html) = (dir.path().join("cost.json"), dir.path().join("cost.html"));
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost-bench"))
        .args(["sync-cost", "--quick", "--sizes", "20", "--changes", "0,2"])
        .args(["--rtt", "0,10", "--against", "none", "--binary"])
        .arg(gatepost())
        .arg("--json")
        .arg(&json)
        .arg("--html")
        .arg(&html)
        .output()
        .expect("gatepost-bench");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = std::fs::read_to_string(&json).expect("the JSON file");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let server = &report["servers"][0];
    assert_eq!(server["absent"], serde_json::json!([]));
    let cells = server["cells"].as_array().expect("cells");
    // 19 strategies without changes and with new messages, 12 over IMAP with changed flags.
    assert_eq!(cells.len(), 2 * 19 + 12);
    for cell in cells {
        let blind = cell["change"] == "flags"
            && cell["strategy"]
                .as_str()
                .is_some_and(|name| name.starts_with("imap-uidnext"));
        let found = if blind {
            0.into()
        } else {
            cell["changes"].clone()
        };
        assert_eq!(cell["found"], found, "{cell}");
        assert!(cell["walls"][0]["ms"].is_number(), "{cell}");
    }
    let page = std::fs::read_to_string(&html).expect("the page");
    assert!(page.contains("imap-qresync") && page.ends_with("</html>\n"));
}
