//! Rules of the grammar that commands share (RFC 9051 9, RFC 3501 9). No I/O, no state: text in,
//! values out, and back.

pub mod assemble;
pub mod cursor;
pub mod dates;
pub mod mailbox;
pub mod patterns;
pub mod sets;
pub mod strings;
pub mod url;
pub mod utf7;
pub mod writer;

pub use assemble::{Assembler, Bounds, Next, Unfit};
pub use cursor::{BadSyntax, Command, Cursor, Left, Parsed};
pub use mailbox::Names;
pub use patterns::Pattern;
pub use sets::{Bound, MessageSet, SequenceSet};
pub use strings::FlagList;
pub use url::Url;
pub use writer::Emit;
