//! Delays for peers that keep failing.
