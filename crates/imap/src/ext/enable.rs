//! ENABLE (RFC 5161).

use super::*;
use crate::registry;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5161",
    file: file!(),
    capabilities: &[Capability::always("ENABLE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `enable = "ENABLE" 1*(SP capability)`.
static SPEC: Spec = Spec {
    name: "ENABLE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 5161 3.1", "RFC 9051 6.3.1"],
    parse,
};

struct Enable(Vec<&'static Extension>);

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut known: Vec<&'static Extension> = Vec::new();
    c.sp()?;
    loop {
        // RFC 5161 3.1: unknown capabilities, and those that need not be enabled, are ignored.
        if let Some(extension) = registry::enableable(c.atom()?)
            && !known.iter().any(|k| std::ptr::eq(*k, extension))
        {
            known.push(extension);
        }
        if !c.eat(b" ") {
            return Ok(Box::new(Enable(known)));
        }
    }
}

impl Run for Enable {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let state = cx.state.as_states();
        if !self
            .0
            .iter()
            .all(|extension| extension.enable_in.contains(state))
        {
            return Err(Refusal::bad(
                "too late to enable that, a mailbox is selected",
            ));
        }
        let at_first = cx.enabled;
        cx.wire.buffer().raw(b"* ENABLED");
        for extension in self.0 {
            let Some(enable) = extension.on_enable else {
                continue;
            };
            enable(&mut cx.enabled);
            // RFC 5161 3.2: the response names what was enabled by this command.
            let mut alone = at_first;
            enable(&mut alone);
            if alone != at_first
                && let Some(capability) = extension.capabilities.first()
            {
                cx.wire.buffer().raw(b" ").text(capability.name);
            }
        }
        cx.wire.buffer().crlf();
        cx.announce_modseq(at_first);
        Done::ok("enabled")
    }
}
