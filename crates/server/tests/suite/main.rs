//! The program, seen from outside: real clients, failing disks, power cuts, operators.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod backup;
mod bounds;
mod clients_imap;
mod clients_lmtp;
mod clients_pop3;
mod clients_sharing;
mod clients_sync;
mod clients_thunderbird;
mod damage;
mod devices;
mod doors;
mod durability;
mod faults;
mod move_here;
mod operator;
mod recover;
mod relay;
mod restore;
mod space;
mod story;
mod support;
mod torture;
mod two_doors;
mod upgrade;
