//! Futures whose code is compiled here, once.

use crate::MailError;
use std::pin::Pin;

/// What a function returns that is large and not on the way of every command. The body of an async
/// fn is compiled by whoever awaits it: again in each crate that does, and when optimised in each
/// of that crate's units of code generation. That of a boxed future is compiled where it is
/// written; the price is one allocation a call.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, MailError>> + Send + 'a>>;
