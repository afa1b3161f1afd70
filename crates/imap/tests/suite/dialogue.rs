//! Runs every script in `dialogues/<rfc>/<section>_<what>.test` over the in-memory stores, each on
//! a server of its own, and checks the store's invariants after each.

use std::path::Path;
use testkit::dialogue::{Script, run, scripts_under};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialogue_holds() {
    let scripts = scripts_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues"));
    assert!(!scripts.is_empty());
    let mut runs = tokio::task::JoinSet::new();
    let only = std::env::var("DIALOGUE").unwrap_or_default();
    for path in scripts
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(&only))
    {
        runs.spawn(async move {
            let mut server = crate::common::Setup::default().start().await;
            let result = match Script::load(&path) {
                Ok(script) => run(&script, &mut server).await,
                Err(failure) => Err(failure),
            };
            let mut report = result
                .err()
                .map(|failure| failure.to_string())
                .unwrap_or_default();
            for problem in server.problems().await {
                report += &format!("{}: {problem}\n", path.display());
            }
            report
        });
    }
    let reports = runs.join_all().await;
    let failed: Vec<_> = reports
        .into_iter()
        .filter(|report| !report.is_empty())
        .collect();
    assert!(
        failed.is_empty(),
        "{} scripts failed\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn every_command_has_a_dialogue() {
    let scripts = scripts_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues"));
    let mut said = std::collections::HashSet::new();
    for path in scripts {
        let text = std::fs::read_to_string(path).expect("a readable script");
        for line in text.lines().filter(|line| line.starts_with('C')) {
            let words = line.split([' ', '\\']).skip(2).take(2);
            said.extend(words.map(str::to_ascii_uppercase));
        }
    }
    let silent: Vec<_> = imap::registry::commands()
        .map(|spec| spec.name)
        .filter(|name| !said.contains(*name))
        .collect();
    assert!(silent.is_empty(), "no dialogue says {silent:?}");
}
