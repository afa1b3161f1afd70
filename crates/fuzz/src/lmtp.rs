//! LMTP: whole sessions.

use crate::world::{World, block_on};
use lmtp::{Deps, Lmtp, Settings, front_metrics};
use std::sync::Arc;

/// A session before or after RCPT, then whatever the input says. Every line has a code.
pub fn session(data: &[u8]) {
    let Some((&state, rest)) = data.split_first() else {
        return;
    };
    let openings = [
        "",
        "LHLO x\r\n",
        "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice>\r\n",
    ];
    let opening = openings[usize::from(state) % openings.len()];
    let input = [opening.as_bytes(), rest, b"\r\n.\r\nRSET\r\nQUIT\r\n"].concat();
    let said = block_on(async {
        let world = World::new().await;
        let metrics = front_metrics(&world.metrics);
        let deps = Deps {
            mail: world.mail.clone(),
            auth: Arc::clone(&world.auth),
            settings: Settings::default(),
            metrics: Arc::clone(&metrics),
        };
        world.talk(Lmtp::new(deps), metrics, &input).await
    });
    for line in said.split_inclusive(|&c| c == b'\n') {
        let code = line.iter().take_while(|c| c.is_ascii_digit()).count();
        assert!(
            code == 3 && line.ends_with(b"\r\n"),
            "{:?}",
            String::from_utf8_lossy(line)
        );
    }
}
