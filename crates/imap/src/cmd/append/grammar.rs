//! The arguments of APPEND and REPLACE (RFC 3501 9, RFC 4466 3, RFC 8508 5).

use super::super::*;
use crate::ext::catenate::Pieces;
use crate::ext::utf8;
use crate::grammar::mailbox::RawName;
use crate::grammar::{FlagList, MessageSet};
use bytes::Bytes;

/// What stands before the messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// The message that the new one replaces.
    pub(crate) replaced: Option<MessageSet>,
    /// The mailbox.
    pub(crate) to: RawName,
}

/// `append-message = append-opts SP append-data`: a message as the client sends it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) flags: FlagList,
    /// Seconds since 1970.
    pub(crate) internal_date: Option<i64>,
    pub(crate) data: Data,
}

/// `append-data`.
#[derive(Debug)]
pub(crate) enum Data {
    /// `literal`.
    Literal(Bytes),
    /// `literal8`, alone or as `utf8-literal`.
    Binary(Bytes),
    /// `"CATENATE" SP "(" ... ")"` (RFC 4469).
    Pieces(Pieces),
}

impl Target {
    /// `[SP seq-number] SP mailbox`, for a command with such effects.
    pub(crate) fn parse(c: &mut Cursor<'_>, effects: Effects, uid: bool) -> Parsed<Self> {
        c.sp()?;
        let mut replaced = None;
        if effects.contains(Effects::REPLACES) {
            replaced = Some(c.one_message(uid)?);
            c.sp()?;
        }
        let to = c.mailbox()?;
        Ok(Self { replaced, to })
    }
}

impl Draft {
    /// `append-message = [SP flag-list] [SP date-time] SP append-data`
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        c.sp()?;
        let mut flags = FlagList::default();
        if c.peek() == Some(b'(') {
            flags = c.flag_list()?;
            c.sp()?;
        }
        let mut internal_date = None;
        if c.peek() == Some(b'"') {
            internal_date = Some(c.date_time()?);
            c.sp()?;
        }
        Ok(Self {
            flags,
            internal_date,
            data: Data::parse(c)?,
        })
    }
}

impl Data {
    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        if let Some(pieces) = Pieces::try_parse(c)? {
            return Ok(Self::Pieces(pieces));
        }
        if let Some(octets) = utf8::try_literal(c)? {
            return Ok(Self::Binary(octets));
        }
        Ok(match c.literal_or_literal8()? {
            (octets, false) => Self::Literal(octets),
            (octets, true) => Self::Binary(octets),
        })
    }
}
