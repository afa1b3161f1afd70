//! UIDONLY (RFC 9586): a client that gave up sequence numbers. Nothing has to be done for a new
//! command: the session refuses what [`needs_uid`] and the cursor say, `view` writes UIDFETCH and
//! VANISHED.

use super::*;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9586",
    file: file!(),
    capabilities: &[Capability::always("UIDONLY")],
    on_enable: Some(|enabled| enabled.uid_only = true),
    ..Extension::EMPTY
};

/// RFC 9586 3: the code is a MUST.
pub(crate) const UIDREQUIRED: Refusal =
    Refusal::BadWith(Code::Word("UIDREQUIRED"), "sequence numbers are not used");

/// Whether a command is refused whatever its arguments: the form without UID of one that has both,
/// unless that names no messages.
pub(crate) fn needs_uid(spec: &Spec, uid: bool) -> bool {
    !uid && spec.uid == UidForm::Also && !spec.effects.contains(Effects::NO_SET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn a_command_with_numbers_has_a_form_without_them() {
        for spec in registry::commands() {
            // What answers with sequence numbers is refused, so there must be something to use
            // instead.
            if spec.effects.contains(Effects::USES_SEQ) {
                assert!(needs_uid(spec, false), "{}", spec.name);
            }
            assert!(!needs_uid(spec, true), "{}", spec.name);
        }
        let only = registry::commands().filter(|spec| spec.effects.contains(Effects::NO_SET));
        assert_eq!(
            only.map(|spec| spec.name).collect::<Vec<_>>(),
            ["EXPUNGE", "ESEARCH"]
        );
    }
}
