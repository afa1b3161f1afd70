//! The dialogue scripts; each ends with the engine's invariants.

use crate::common::Rig;
use std::path::Path;
use testkit::dialogue::{Script, run, scripts_under};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_holds() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let scripts = scripts_under(&dir);
    assert!(scripts.len() >= 4);
    let mut failures = Vec::new();
    for path in scripts {
        let script = Script::load(&path).expect("a script");
        let mut rig = Rig::start().await;
        if let Err(failure) = run(&script, &mut rig).await {
            failures.push(failure.to_string());
        }
        rig.assert_sound().await;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
