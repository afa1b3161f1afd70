//! The MIME structure of a message, found in one pass over its lines.
//!
//! No recursion: open containers stand on a stack of at most [`MAX_DEPTH`]. Work per line is
//! constant but for lines that begin with `--`, which are compared with the boundary of each open
//! multipart.

use memchr::memchr;

use crate::content::MediaType;
use crate::header::{fields, is_blank};
use crate::slice;

/// Containers (multiparts and messages) may nest this deep. What lies deeper is one opaque part.
pub const MAX_DEPTH: usize = 100;

/// Entities that are told apart: the message, parts, and the messages within message parts. What
/// follows belongs to the last one.
pub const MAX_PARTS: usize = 40_000;

/// Longer boundaries delimit nothing. RFC 2046 5.1.1 allows 70 characters.
const MAX_BOUNDARY: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Leaf,
    Multipart,
    /// message/rfc822 or message/global: its only child is the message within.
    Message,
}

/// The MIME fields of one entity, raw; the first of each name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mime<'a> {
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) encoding: Option<&'a [u8]>,
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) description: Option<&'a [u8]>,
    pub(crate) disposition: Option<&'a [u8]>,
    pub(crate) language: Option<&'a [u8]>,
    pub(crate) location: Option<&'a [u8]>,
    pub(crate) md5: Option<&'a [u8]>,
}

/// One entity: a message or a part. Offsets count from the start of the outermost message.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind,
    pub(crate) media: MediaType<'a>,
    pub(crate) mime: Mime<'a>,
    pub(crate) parent: Option<u32>,
    pub(crate) first_child: Option<u32>,
    pub(crate) next_sibling: Option<u32>,
    pub(crate) children: u32,
    pub(crate) header: u32,
    pub(crate) body: u32,
    pub(crate) end: u32,
    /// LFs between `body` and `end`.
    pub(crate) lines: u32,
    /// LFs before `body`.
    body_line: u32,
    last_child: Option<u32>,
}

impl Node<'_> {
    /// Octets of the body.
    pub(crate) fn octets(&self) -> u32 {
        self.end.saturating_sub(self.body)
    }
}

/// The entities of a message in the order of their headers; the first is the message.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) nodes: Vec<Node<'a>>,
    /// LFs without a CR before them.
    pub(crate) bare_lfs: u32,
}

impl<'a> Tree<'a> {
    pub(crate) fn header(&self, node: &Node<'_>) -> &'a [u8] {
        slice(self.message, node.header as usize, node.body as usize)
    }

    pub(crate) fn body(&self, node: &Node<'_>) -> &'a [u8] {
        slice(self.message, node.body as usize, node.end as usize)
    }
}

/// Finds all entities of `message` (of its first 4 GiB).
pub(crate) fn scan(message: &[u8]) -> Tree<'_> {
    let message = slice(message, 0, message.len().min(u32::MAX as usize));
    let mut scanner = Scanner {
        message,
        pos: 0,
        lfs: 0,
        bare_lfs: 0,
        nodes: Vec::with_capacity(8),
        open: Vec::new(),
        leaf: None,
    };
    let mut next = Next::Entity(None);
    loop {
        let hit = match next {
            Next::Entity(parent) => scanner.entity(parent),
            Next::Lines => scanner.lines(),
        };
        next = match hit {
            Hit::Delimiter(delimiter) => scanner.delimiter(&delimiter),
            Hit::Header(container) => Next::Entity(Some(container)),
            Hit::Body => Next::Lines,
            Hit::End => break,
        };
    }
    let end = scanner.here();
    scanner.close(0, end);
    Tree {
        message,
        nodes: scanner.nodes,
        bare_lfs: scanner.bare_lfs,
    }
}

/// What the scanner reads next.
enum Next {
    /// The header of a message or of a child of this container.
    Entity(Option<u32>),
    /// Lines of a body, preamble or epilogue.
    Lines,
}

/// What the scanner came upon.
enum Hit {
    Delimiter(Delimiter),
    /// The header of the message within this message part.
    Header(u32),
    /// Anything else than a header.
    Body,
    End,
}

/// A boundary delimiter line.
struct Delimiter {
    /// Where the content before it ends: the line end before a delimiter belongs to the delimiter.
    before: Place,
    /// Which open container it belongs to.
    level: usize,
    closing: bool,
}

/// A position and the number of LFs before it.
#[derive(Clone, Copy)]
struct Place {
    pos: u32,
    lfs: u32,
}

/// A container whose end has not been seen.
struct Open {
    node: u32,
    /// None for messages, and for multiparts after their close delimiter.
    boundary: Option<Vec<u8>>,
}

struct Scanner<'a> {
    message: &'a [u8],
    /// Always the start of a line.
    pos: usize,
    lfs: u32,
    bare_lfs: u32,
    nodes: Vec<Node<'a>>,
    open: Vec<Open>,
    /// The leaf whose body is being read.
    leaf: Option<u32>,
}

impl<'a> Scanner<'a> {
    fn here(&self) -> Place {
        // The message was cut at u32::MAX octets.
        Place {
            pos: self.pos as u32,
            lfs: self.lfs,
        }
    }

    /// Reads the header of an entity and opens it.
    fn entity(&mut self, parent: Option<u32>) -> Hit {
        let start = self.here();
        let delimiter = self.header();
        let body = delimiter
            .as_ref()
            .map_or(self.here(), |delimiter| delimiter.before);
        let body = Place {
            pos: body.pos.max(start.pos),
            lfs: body.lfs.max(start.lfs),
        };
        let header = slice(self.message, start.pos as usize, body.pos as usize);
        let mime = mime_fields(header);
        let default = self.default_type(parent);
        let media = mime.content_type.map_or(default, MediaType::parse);
        let (kind, media, boundary) = self.classify(media);
        let node = self.push(parent, start.pos, body, kind, media, mime);
        match kind {
            Kind::Leaf => self.leaf = Some(node),
            Kind::Multipart | Kind::Message => self.open.push(Open { node, boundary }),
        }
        match (delimiter, kind) {
            (Some(delimiter), _) => Hit::Delimiter(delimiter),
            (None, Kind::Message) => Hit::Header(node),
            (None, _) => Hit::Body,
        }
    }

    /// Reads lines until the blank one, the end, or a delimiter, which is then the end of a part
    /// that has no body.
    fn header(&mut self) -> Option<Delimiter> {
        while let Some((line, place)) = self.next_line() {
            if is_blank(line) {
                return None;
            }
            if let Some(delimiter) = self.delimiter_in(line, place) {
                return Some(delimiter);
            }
        }
        None
    }

    /// Reads lines until a delimiter.
    fn lines(&mut self) -> Hit {
        while let Some((line, place)) = self.next_line() {
            if let Some(delimiter) = self.delimiter_in(line, place) {
                return Hit::Delimiter(delimiter);
            }
        }
        Hit::End
    }

    /// Takes the next line; with it the place where it starts.
    fn next_line(&mut self) -> Option<(&'a [u8], Place)> {
        let rest = slice(self.message, self.pos, self.message.len());
        if rest.is_empty() {
            return None;
        }
        let start = self.here();
        let line = match memchr(b'\n', rest) {
            Some(lf) => {
                self.lfs += 1;
                let crlf = lf.checked_sub(1).and_then(|cr| rest.get(cr)) == Some(&b'\r');
                self.bare_lfs += u32::from(!crlf);
                slice(rest, 0, lf + 1)
            }
            None => rest,
        };
        self.pos += line.len();
        Some((line, start))
    }

    /// Whether the line is a delimiter of an open multipart.
    // RFC 2046 5.1.1: "it is sufficient that the boundary appear in its entirety following the
    // CRLF", and 5.1.2: an outer boundary ends inner parts. Of several that fit, the longest is
    // meant.
    fn delimiter_in(&self, line: &[u8], place: Place) -> Option<Delimiter> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let mut best: Option<(usize, &[u8])> = None;
        for (level, open) in self.open.iter().enumerate().rev() {
            let Some(boundary) = open.boundary.as_deref() else {
                continue;
            };
            if !text.starts_with(boundary) || best.is_some_and(|(_, b)| b.len() >= boundary.len()) {
                continue;
            }
            best = Some((level, boundary));
            if matches!(slice(text, boundary.len(), text.len()), b"" | b"--") {
                break;
            }
        }
        let (level, boundary) = best?;
        let closing = slice(text, boundary.len(), text.len()).starts_with(b"--");
        if !closing && self.nodes.len() >= MAX_PARTS {
            return None;
        }
        Some(Delimiter {
            before: self.before_line_end(place),
            level,
            closing,
        })
    }

    /// `place`, a start of line, without the line end before it.
    fn before_line_end(&self, place: Place) -> Place {
        let octets = match slice(self.message, 0, place.pos as usize) {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            _ => return place,
        };
        Place {
            pos: place.pos - octets,
            lfs: place.lfs.saturating_sub(1),
        }
    }

    fn delimiter(&mut self, delimiter: &Delimiter) -> Next {
        self.close(delimiter.level + 1, delimiter.before);
        let Some(open) = self.open.last_mut() else {
            return Next::Lines;
        };
        if delimiter.closing {
            open.boundary = None;
            return Next::Lines;
        }
        Next::Entity(Some(open.node))
    }

    /// Ends the leaf and all containers from `level` on.
    fn close(&mut self, level: usize, mut end: Place) {
        if let Some(leaf) = self.leaf.take() {
            end = self.end(leaf, end);
        }
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { return };
            end = self.end(open.node, end);
        }
    }

    /// Ends an entity; the answer is where, so that what is around it does not end before it.
    fn end(&mut self, index: u32, mut end: Place) -> Place {
        let Some(node) = self.nodes.get_mut(index as usize) else {
            return end;
        };
        // The blank line after a header right before a delimiter is the line end that belongs to
        // the delimiter as well.
        if end.pos < node.body {
            end = Place {
                pos: node.body,
                lfs: node.body_line,
            };
        }
        node.end = end.pos;
        node.lines = end.lfs.saturating_sub(node.body_line);
        if node.kind != Kind::Leaf && node.first_child.is_none() {
            // RFC 3501 9: `body-type-mpart = 1*body`: a container without children has an empty
            // one. It has no children, so that the new node still follows it directly.
            let empty = Place {
                pos: node.end,
                lfs: 0,
            };
            let media = MediaType::text_plain();
            self.push(
                Some(index),
                empty.pos,
                empty,
                Kind::Leaf,
                media,
                Mime::default(),
            );
        }
        end
    }

    fn default_type(&self, parent: Option<u32>) -> MediaType<'a> {
        let parent = parent.and_then(|parent| self.nodes.get(parent as usize));
        // RFC 2046 5.1.5.
        if parent.is_some_and(|parent| parent.media.is("multipart", "digest")) {
            return MediaType::new(b"message", b"rfc822");
        }
        MediaType::text_plain()
    }

    fn classify(&self, media: MediaType<'a>) -> (Kind, MediaType<'a>, Option<Vec<u8>>) {
        let multipart = media.is_kind("multipart");
        // RFC 9051 7.5.2: message/global, which may have UTF-8 headers (RFC 6532), is told so too.
        let message = media.is("message", "rfc822") || media.is("message", "global");
        if !multipart && !message {
            return (Kind::Leaf, media, None);
        }
        if self.open.len() >= MAX_DEPTH || self.nodes.len() >= MAX_PARTS {
            return (
                Kind::Leaf,
                MediaType::new(b"application", b"octet-stream"),
                None,
            );
        }
        if !multipart {
            return (Kind::Message, media, None);
        }
        let boundary = media
            .param("boundary")
            .unwrap_or_default()
            .trim_ascii_end()
            .to_vec();
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
            // RFC 2045 5.2: a syntactically invalid Content-Type counts as text/plain.
            return (Kind::Leaf, MediaType::text_plain(), None);
        }
        (Kind::Multipart, media, Some(boundary))
    }

    fn push(
        &mut self,
        parent: Option<u32>,
        header: u32,
        body: Place,
        kind: Kind,
        media: MediaType<'a>,
        mime: Mime<'a>,
    ) -> u32 {
        // Bounded by MAX_PARTS and one empty child for each.
        let index = self.nodes.len() as u32;
        self.nodes.push(Node {
            kind,
            media,
            mime,
            parent,
            first_child: None,
            next_sibling: None,
            children: 0,
            header,
            body: body.pos,
            end: body.pos,
            lines: 0,
            body_line: body.lfs,
            last_child: None,
        });
        let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent as usize)) else {
            return index;
        };
        parent.children += 1;
        parent.first_child.get_or_insert(index);
        if let Some(last) = parent.last_child.replace(index)
            && let Some(last) = self.nodes.get_mut(last as usize)
        {
            last.next_sibling = Some(index);
        }
        index
    }
}

pub(crate) fn mime_fields(header: &[u8]) -> Mime<'_> {
    let mut mime = Mime::default();
    for field in fields(header) {
        let Some(name) = field
            .name
            .get(..8)
            .filter(|p| p.eq_ignore_ascii_case(b"content-"))
        else {
            continue;
        };
        let slot = match field.name[name.len()..].to_ascii_lowercase().as_slice() {
            b"type" => &mut mime.content_type,
            b"transfer-encoding" => &mut mime.encoding,
            b"id" => &mut mime.id,
            b"description" => &mut mime.description,
            b"disposition" => &mut mime.disposition,
            b"language" => &mut mime.language,
            b"location" => &mut mime.location,
            b"md5" => &mut mime.md5,
            _ => continue,
        };
        slot.get_or_insert(field.value);
    }
    mime
}
