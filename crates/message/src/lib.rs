//! RFC 5322 and MIME bytes -> a digest, and what SEARCH, SORT and THREAD want to know of messages.
//!
//! Pure functions: no I/O, no clock, no state. Nothing is ever refused: any bytes are a message and
//! get some sane answer, in time linear in their size and without recursion.
//!
//! Bounds, all far beyond real mail: containers nest [`MAX_DEPTH`] deep (what lies deeper is one
//! opaque `application/octet-stream`), [`MAX_PARTS`] entities are told apart, the envelopes of one
//! message show
//! 65 536 addresses, an address field is read for one MiB.
#![forbid(unsafe_code)]

mod address;
mod charset;
mod collation;
mod content;
mod date;
mod digest;
mod envelope;
mod fieldset;
mod filter;
mod firsts;
mod fold;
mod fuzzy;
mod header;
mod html;
mod ids;
mod lex;
mod needle;
mod params;
mod preview;
mod recode;
mod scan;
mod section;
mod structure;
mod subject;
mod substructure;
mod texts;
mod transfer;
mod view;
mod wire;
mod words;

pub use address::{Address, address_texts, addresses};
pub use charset::decode_labelled;
pub use collation::Collation;
pub use date::{SentDate, sent_date};
pub use digest::{DIGEST_VERSION, MAX_DIGEST, MAX_IDS, MAX_KEPT_LINES, digest};
pub use fieldset::FieldSet;
pub use filter::TextFilter;
pub use firsts::{FirstAddress, FirstAddresses};
pub use fuzzy::{FuzzyHits, FuzzyNeedle};
pub use header::{Field, Fields, fields, filter_header, header_len};
pub use ids::{message_id, message_ids};
pub use needle::Needle;
pub use params::{DecodedParams, decode_params};
pub use recode::{Recoding, UnknownEncoding};
pub use scan::{MAX_DEPTH, MAX_PARTS};
pub use section::{Located, Part, Section};
pub use subject::base_subject;
pub use substructure::decoded_structure;
pub use texts::{body_texts, header_contains, header_texts};
pub use transfer::TransferEncoding;
pub use view::{Digest, Ids, KeptLines};
pub use words::decode_words;

/// `bytes[from..to]`, cut to what there is.
fn slice(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to.min(bytes.len())).unwrap_or_default()
}
