//! POP3: whole sessions.

use crate::world::{World, block_on};
use pop3::{Deps, Pop3, Settings, front_metrics};
use std::sync::Arc;

/// A session before or after login, then whatever the input says.
pub fn session(data: &[u8]) {
    let Some((&state, rest)) = data.split_first() else {
        return;
    };
    let opening = ["", "USER alice\r\nPASS secret\r\n"][usize::from(state % 2)];
    let input = [opening.as_bytes(), rest, b"\r\nQUIT\r\n"].concat();
    let said = block_on(async {
        let world = World::new().await;
        let metrics = front_metrics(&world.metrics);
        let deps = Deps {
            mail: world.mail.clone(),
            auth: Arc::clone(&world.auth),
            settings: Settings::default(),
            metrics: Arc::clone(&metrics),
        };
        world.talk(Pop3::new(deps), metrics, &input).await
    });
    assert!(said.starts_with(b"+OK"), "the greeting");
}
