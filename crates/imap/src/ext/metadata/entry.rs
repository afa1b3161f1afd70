//! Names of annotations (RFC 5464 3.2).

use crate::grammar::cursor::is_astring_char;
use crate::grammar::{BadSyntax, Cursor, Emit, Parsed};
use bytes::BytesMut;
use mail::{AnnotationOwner, MAX_ANNOTATION_NAME};
use types::AccountId;

/// Who sees an annotation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Scope {
    Private,
    Shared,
}

/// A name: its scope and the rest in lower case, from the slash; nothing for the scope itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Entry {
    pub(crate) scope: Scope,
    pub(crate) name: String,
}

impl Scope {
    /// Whose annotations are meant when `viewer` says this.
    pub(crate) fn owner(self, viewer: AccountId) -> AnnotationOwner {
        match self {
            Self::Private => AnnotationOwner::Private(viewer),
            Self::Shared => AnnotationOwner::Shared,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Private => "/private",
            Self::Shared => "/shared",
        }
    }
}

impl Entry {
    /// `entry = astring`; also the scopes alone, below which GETMETADATA can look.
    ///
    /// # Errors
    /// RFC 5464 3.2: an invalid name is BAD in any command.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let raw = c.astring()?;
        Self::read(&raw).ok_or(BadSyntax("not the name of an annotation"))
    }

    fn read(raw: &[u8]) -> Option<Self> {
        let is_fit = |b: &u8| (b' '..=b'~').contains(b) && !matches!(b, b'*' | b'%');
        if raw.len() > MAX_ANNOTATION_NAME || !raw.iter().all(is_fit) {
            return None;
        }
        // RFC 5464 3.2: names do not depend on letter case.
        let text = String::from_utf8(raw.to_ascii_lowercase()).ok()?;
        if text.contains("//") || text.ends_with('/') {
            return None;
        }
        [Scope::Private, Scope::Shared]
            .into_iter()
            .find_map(|scope| {
                let name = text.strip_prefix(scope.prefix())?;
                (name.is_empty() || name.starts_with('/')).then(|| Self {
                    scope,
                    name: name.to_owned(),
                })
            })
    }

    /// Whether there can be a value of that name. RFC 5464 3.2: at least two components, four of a
    /// vendor.
    pub(crate) fn is_whole(&self) -> bool {
        let below_vendor = self.name.strip_prefix("/vendor");
        match below_vendor.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            Some(rest) => rest.split('/').count() >= 3,
            None => !self.name.is_empty(),
        }
    }

    /// Whether this is the annotation of a scope.
    pub(crate) fn is(&self, scope: Scope, name: &str) -> bool {
        self.scope == scope && self.name == name
    }

    /// RFC 5464 4.2.2: how far `self` lies below `above`: 0 for itself.
    pub(crate) fn depth_below(&self, above: &Self) -> Option<usize> {
        let rest = self.name.strip_prefix(above.name.as_str())?;
        let is_below = rest.is_empty() || rest.starts_with('/');
        (self.scope == above.scope && is_below).then(|| rest.matches('/').count())
    }

    /// Writes it as an astring.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let text = format!("{}{}", self.scope.prefix(), self.name);
        match text.bytes().all(is_astring_char) {
            true => out.text(&text),
            false => out.string(text.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_are_refused() {
        for raw in [
            "",
            "/",
            "comment",
            "/comment",
            "/private/",
            "/private//a",
            "/shared/a*",
            "/shared/%",
            "/sharedcomment",
            "/shared/\u{e4}",
            "/shared/\ta",
            "shared/comment",
        ] {
            assert_eq!(Entry::read(raw.as_bytes()), None, "{raw}");
        }
        assert_eq!(
            Entry::read(format!("/shared/{}", "a".repeat(300)).as_bytes()),
            None
        );
    }

    #[test]
    fn names_have_parts() {
        let read = |raw: &str| Entry::read(raw.as_bytes()).unwrap();
        assert_eq!(read("/PRIVATE/Comment"), read("/private/comment"));
        for (raw, whole) in [
            ("/shared", false),
            ("/shared/comment", true),
            ("/shared/vendor", false),
            ("/shared/vendor/x", false),
            ("/shared/vendor/x/y", true),
            ("/shared/vendors", true),
        ] {
            assert_eq!(read(raw).is_whole(), whole, "{raw}");
        }
        let a = read("/shared/a");
        assert_eq!(read("/shared/a").depth_below(&a), Some(0));
        assert_eq!(read("/shared/a/b").depth_below(&a), Some(1));
        assert_eq!(read("/shared/a/b/c").depth_below(&a), Some(2));
        assert_eq!(read("/shared/ab").depth_below(&a), None);
        assert_eq!(read("/private/a/b").depth_below(&a), None);
    }
}
