//! THE list: every extension, and the base protocol, one row each. Dispatch, CAPABILITY, ENABLE,
//! the items of FETCH and STATUS, metric labels and the tests over all commands come from it.

use crate::cmd::{self, fetch, search};
use crate::ext;
use crate::session::{Session, State};
use crate::spec::{Capability, Extension, Spec, StatusItem, When};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::LazyLock;

/// All rows, in the order CAPABILITY lists them.
pub static EXTENSIONS: &[&Extension] = &[
    &BASE,
    &ext::rev2::EXTENSION,
    &LITERAL_PLUS,
    &SASL_IR,
    &ext::starttls::EXTENSION,
    &ext::id::EXTENSION,
    &ext::enable::EXTENSION,
    &ext::utf8::EXTENSION,
    &ext::idle::EXTENSION,
    &ext::namespace::EXTENSION,
    &UIDPLUS,
    &cmd::append::MULTIAPPEND,
    &ext::binary::EXTENSION,
    &ext::r#move::EXTENSION,
    &ext::catenate::EXTENSION,
    &ext::replace::EXTENSION,
    &ext::unselect::EXTENSION,
    &CHILDREN,
    &SPECIAL_USE,
    &LIST_EXTENDED,
    &LIST_STATUS,
    &ext::status_size::EXTENSION,
    &ESEARCH,
    &SEARCHRES,
    &ext::partial::EXTENSION,
    &ext::uidonly::EXTENSION,
    &ext::uidbatches::EXTENSION,
    &search::WITHIN,
    &search::FUZZY,
    &ext::filters::EXTENSION,
    &ext::comparator::EXTENSION,
    &ext::language::EXTENSION,
    &ext::sort::EXTENSION,
    &ext::sort::DISPLAY,
    &ext::sort::ESORT,
    &ext::sort::CYRUS_KEYS,
    &ext::multisearch::EXTENSION,
    &ext::context::SEARCH,
    &ext::context::SORT,
    &ext::thread::EXTENSION,
    &ext::thread::REFS,
    &ext::objectid::EXTENSION,
    &ext::preview::EXTENSION,
    &ext::savedate::EXTENSION,
    &ext::appendlimit::EXTENSION,
    &ext::acl::EXTENSION,
    &ext::acl::LIST_MYRIGHTS,
    &ext::quota::EXTENSION,
    &ext::metadata::EXTENSION,
    &ext::metadata::LIST_METADATA,
    &ext::condstore::EXTENSION,
    &ext::qresync::EXTENSION,
    &ext::compress::EXTENSION,
    &ext::notify::EXTENSION,
    &ext::inprogress::EXTENSION,
    &ext::unauthenticate::EXTENSION,
    &ext::messagelimit::EXTENSION,
    &ext::urlauth::EXTENSION,
    &ext::urlauth::fetch::EXTENSION,
    &ext::urlauth::PARTIAL,
];

/// RFC 3501.
static BASE: Extension = Extension {
    rfc: "RFC 3501",
    file: "crates/imap/src/cmd/mod.rs",
    capabilities: &[
        Capability::always("IMAP4rev1"),
        Capability {
            name: "AUTH=PLAIN",
            when: When::Passwords,
        },
        Capability {
            name: "AUTH=LOGIN",
            when: When::Passwords,
        },
        Capability {
            name: "LOGINDISABLED",
            when: When::NoPasswords,
        },
    ],
    commands: &[
        &cmd::capability::SPEC,
        &cmd::noop::SPEC,
        &cmd::logout::SPEC,
        &cmd::authenticate::SPEC,
        &cmd::login::SPEC,
        &cmd::select::SELECT,
        &cmd::select::EXAMINE,
        &cmd::create::SPEC,
        &cmd::delete::SPEC,
        &cmd::rename::SPEC,
        &cmd::subscribe::SUBSCRIBE,
        &cmd::subscribe::UNSUBSCRIBE,
        &cmd::list::SPEC,
        &cmd::lsub::SPEC,
        &cmd::status::SPEC,
        &cmd::append::SPEC,
        &cmd::check::SPEC,
        &cmd::close::SPEC,
        &cmd::expunge::SPEC,
        &search::SPEC,
        &fetch::SPEC,
        &cmd::store::SPEC,
        &cmd::copy::SPEC,
    ],
    fetch_items: &fetch::ITEMS,
    search_keys: &search::KEYS,
    status_items: cmd::status::ITEMS,
    ..Extension::EMPTY
};

/// RFC 7888: non-synchronising literals, read by the session.
// RFC 7888 5: LITERAL- of RFC 9051 is the smaller half of this, and must not be announced too.
static LITERAL_PLUS: Extension = Extension {
    rfc: "RFC 7888",
    file: "crates/imap/src/session/read.rs",
    capabilities: &[Capability::always("LITERAL+")],
    ..Extension::EMPTY
};

/// RFC 4959: the initial response of AUTHENTICATE.
static SASL_IR: Extension = Extension {
    rfc: "RFC 4959",
    file: "crates/imap/src/cmd/authenticate.rs",
    capabilities: &[Capability::always("SASL-IR")],
    ..Extension::EMPTY
};

/// RFC 4315: UID EXPUNGE, APPENDUID and COPYUID, in their commands.
static UIDPLUS: Extension = Extension {
    rfc: "RFC 4315",
    file: "crates/imap/src/cmd/copy.rs",
    capabilities: &[Capability::always("UIDPLUS")],
    ..Extension::EMPTY
};

/// RFC 3348: `\HasChildren`, told by LIST.
static CHILDREN: Extension = Extension {
    rfc: "RFC 3348",
    file: "crates/imap/src/cmd/list.rs",
    capabilities: &[Capability::always("CHILDREN")],
    ..Extension::EMPTY
};

/// RFC 6154: the uses of mailboxes, told by LIST and given by CREATE.
static SPECIAL_USE: Extension = Extension {
    rfc: "RFC 6154",
    file: "crates/imap/src/cmd/list.rs",
    capabilities: &[
        Capability::always("SPECIAL-USE"),
        Capability::always("CREATE-SPECIAL-USE"),
    ],
    ..Extension::EMPTY
};

/// RFC 5258: the options of LIST.
static LIST_EXTENDED: Extension = Extension {
    rfc: "RFC 5258",
    file: "crates/imap/src/cmd/list.rs",
    capabilities: &[Capability::always("LIST-EXTENDED")],
    ..Extension::EMPTY
};

/// RFC 5819: STATUS as an option of LIST.
static LIST_STATUS: Extension = Extension {
    rfc: "RFC 5819",
    file: "crates/imap/src/cmd/list.rs",
    capabilities: &[Capability::always("LIST-STATUS")],
    ..Extension::EMPTY
};

/// RFC 4731: the options of SEARCH, in its file.
static ESEARCH: Extension = Extension {
    rfc: "RFC 4731",
    file: "crates/imap/src/cmd/search/answer.rs",
    capabilities: &[Capability::always("ESEARCH")],
    ..Extension::EMPTY
};

/// RFC 5182: SAVE, an option of SEARCH, and `$` in the place of sets of messages.
static SEARCHRES: Extension = Extension {
    rfc: "RFC 5182",
    file: "crates/imap/src/cmd/search/answer.rs",
    capabilities: &[Capability::always("SEARCHRES")],
    ..Extension::EMPTY
};

/// All commands.
pub fn commands() -> impl Iterator<Item = &'static Spec> {
    EXTENSIONS
        .iter()
        .flat_map(|extension| extension.commands.iter().copied())
}

/// The command of a name, in any letter case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    static INDEX: LazyLock<HashMap<&'static [u8], &'static Spec>> = LazyLock::new(|| {
        commands()
            .map(|spec| (spec.name.as_bytes(), spec))
            .collect()
    });
    INDEX.get(name.to_ascii_uppercase().as_slice()).copied()
}

/// The STATUS item of a name, in any letter case.
pub fn status_item(name: &[u8]) -> Option<&'static StatusItem> {
    let mut items = EXTENSIONS
        .iter()
        .flat_map(|extension| extension.status_items);
    items.find(|item| item.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The FETCH item of a name, in any letter case.
pub fn fetch_item(name: &[u8]) -> Option<&'static fetch::FetchItem> {
    let mut items = EXTENSIONS
        .iter()
        .flat_map(|extension| extension.fetch_items.iter().copied().flatten());
    items.find(|item| item.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The key of SEARCH of a name, in any letter case.
pub fn search_key(name: &[u8]) -> Option<&'static search::SearchKey> {
    let mut keys = EXTENSIONS
        .iter()
        .flat_map(|extension| extension.search_keys.iter().copied().flatten());
    keys.find(|key| key.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The row of an extension that can be enabled, by its capability.
pub fn enableable(name: &[u8]) -> Option<&'static Extension> {
    EXTENSIONS.iter().copied().find(|extension| {
        extension.on_enable.is_some()
            && extension
                .capabilities
                .first()
                .is_some_and(|c| c.name.as_bytes().eq_ignore_ascii_case(name))
    })
}

/// What the server can, in this state of this session.
pub fn capabilities(session: &Session) -> String {
    let before_login = matches!(session.state, State::Login);
    let passwords = session
        .deps
        .cleartext
        .allows(session.wire.is_tls(), session.wire.is_loopback());
    let limits = &session.deps.limits;
    let holds = |when| match when {
        When::Always | When::WithAppendLimit => true,
        When::WithMessageLimit => limits.message_limit.is_some(),
        When::WithSaveLimit => limits.save_limit.is_some(),
        When::StartTls => before_login && session.context.starttls.is_some(),
        When::Passwords => before_login && passwords,
        When::NoPasswords => before_login && !passwords,
    };
    let octets = session.deps.mail.options().max_message_bytes;
    let count = |limit: Option<NonZeroU32>| limit.map_or(0, NonZeroU32::get);
    let mut words = String::with_capacity(1024);
    let all = EXTENSIONS
        .iter()
        .flat_map(|extension| extension.capabilities);
    for capability in all.filter(|capability| holds(capability.when)) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(capability.name);
        let number = match capability.when {
            When::WithAppendLimit => octets,
            When::WithMessageLimit => count(limits.message_limit),
            When::WithSaveLimit => count(limits.save_limit),
            _ => continue,
        };
        words.push_str(itoa::Buffer::new().format(number));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_command_has_one_row_and_says_where_it_is_written_down() {
        let mut names = HashSet::new();
        for spec in commands() {
            assert!(names.insert(spec.name), "{} twice", spec.name);
            assert_eq!(spec.name, spec.name.to_ascii_uppercase());
            assert!(!spec.rfc.is_empty(), "{}", spec.name);
            for rfc in spec.rfc {
                let mut words = rfc.split(' ');
                assert_eq!(words.next(), Some("RFC"), "{rfc}");
                assert!(
                    words.next().is_some_and(|n| n.parse::<u32>().is_ok()),
                    "{rfc}"
                );
                assert!(words.next().is_some(), "{rfc}: no section");
            }
        }
    }

    #[test]
    fn every_extension_says_its_rfc_and_its_file() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        for extension in EXTENSIONS {
            let name = extension.capabilities.first().map_or("?", |c| c.name);
            assert!(!extension.rfc.is_empty(), "{name}: no RFC");
            assert!(
                root.join(extension.file).is_file(),
                "{name}: {}",
                extension.file
            );
        }
    }

    #[test]
    fn every_item_and_capability_has_one_row() {
        let mut names = HashSet::new();
        for extension in EXTENSIONS {
            for name in extension
                .fetch_items
                .iter()
                .copied()
                .flatten()
                .map(|i| i.name)
            {
                assert!(names.insert(format!("fetch {name}")), "{name} twice");
            }
            for key in extension.search_keys.iter().copied().flatten() {
                assert!(
                    names.insert(format!("search {}", key.name)),
                    "{} twice",
                    key.name
                );
                assert!(key.rfc.starts_with("RFC "), "{}", key.name);
            }
            for name in extension.status_items.iter().map(|i| i.name) {
                assert!(names.insert(format!("status {name}")), "{name} twice");
            }
            for name in extension.capabilities.iter().map(|c| c.name) {
                assert!(names.insert(format!("capability {name}")), "{name} twice");
            }
        }
    }
}
