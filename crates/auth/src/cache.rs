//! Verified passwords, remembered for a while.
