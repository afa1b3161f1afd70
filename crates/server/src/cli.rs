//! The command line (DESIGN 8).

use crate::admin::Which;
use crate::limit::Limit;
use crate::uidl::{Format, Source};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;
use types::{InvalidPolicy, Pop3Policy};

/// One mail store with two doors: IMAP and POP3, with LMTP bringing mail in.
#[derive(Parser)]
#[command(name = "gatepost", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Everything on loopback: account demo, password demo, sample mail, a self-signed certificate
    Demo {
        /// Where to keep the mail; a temporary directory, removed at the end, unless given
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Serves mail until SIGTERM
    Serve {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Looks at configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manages the accounts kept in the store, whether the server runs or not
    #[command(subcommand)]
    Account(AccountCommand),
    /// Keeps POP3 unique ids over a change of servers, so that no client downloads anything twice
    #[command(subcommand)]
    Uidl(UidlCommand),
    /// What deleting over POP3 means for an account
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Tells who retrieved and removed messages of an account: door, app password, address, time
    History {
        #[command(flatten)]
        named: Named,
        /// Only of one message: MAILBOX/UID, or its POP3 unique id; it is followed through moves
        #[arg(long)]
        message: Option<String>,
        /// How many entries at most, the newest
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Brings removed messages back
    #[command(subcommand)]
    Undelete(UndeleteCommand),
    /// Copies everything into a directory, whether the server runs or not; what is there is not
    /// copied again
    #[command(args_conflicts_with_subcommands = true)]
    Backup(BackupArgs),
    /// Puts back what a backup holds: everything, an account or a mailbox
    Restore(RestoreArgs),
    /// Checks every message, link, counter and journal; exit code 1 when something is damaged
    Verify {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// Also reads every message and compares it with its hash
        #[arg(long)]
        contents: bool,
    },
    /// Gives the space of removed messages back now, not only once it is worth the work
    Compact {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Makes the mailboxes anew from the mail itself, after the metadata was lost or damaged
    Recover {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
        /// Also when the metadata is well, or cannot be read for a reason that may pass
        #[arg(long)]
        force: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct BackupArgs {
    /// The backup directory; made if it is not there
    pub(crate) dir: Option<PathBuf>,
    /// The configuration file
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// How many backups to keep in the directory, this one included
    #[arg(long, default_value_t = 1)]
    pub(crate) keep: usize,
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,
}

#[derive(Subcommand)]
pub(crate) enum BackupCommand {
    /// Lists the backups of a directory
    List {
        /// The backup directory
        dir: PathBuf,
    },
    /// Compares every file of a backup directory with its hash; exit code 1 if one is damaged
    Verify {
        /// The backup directory
        dir: PathBuf,
        /// Only this backup, by its number
        #[arg(long)]
        backup: Option<u64>,
        /// Also checks every message, link and counter of the newest backup, or of that one
        #[arg(long)]
        contents: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct RestoreArgs {
    /// The configuration file of the store to restore into
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// The backup directory
    #[arg(long)]
    pub(crate) from: PathBuf,
    /// Which backup, by its number; the newest unless given
    #[arg(long)]
    pub(crate) backup: Option<u64>,
    /// Only this account: made as it was, or, if it is there, given what it lacks
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// What to call the account here
    #[arg(long = "as", value_name = "NAME", requires = "account")]
    pub(crate) new_name: Option<String>,
    /// Only this mailbox of the account, which must be there: it is given what it lacks
    #[arg(long, requires = "account")]
    pub(crate) mailbox: Option<String>,
    /// The mailbox to put its messages into; made if it is not there
    #[arg(long, requires = "mailbox")]
    pub(crate) into: Option<String>,
    /// Everything, though files of the backup are damaged: what is lost is named
    #[arg(long, conflicts_with = "account")]
    pub(crate) even_damaged: bool,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Says whether a file can be used
    Check {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// Makes an account; its password is the first line of standard input
    Add(Named),
    /// Changes a password; the new one is the first line of standard input
    Passwd(Named),
    /// Lists all accounts
    List {
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Shows an account with its mailboxes
    Show(Named),
    /// Limits what an account may hold; what is not named stays as it is
    Quota {
        #[command(flatten)]
        named: Named,
        /// Octets of all messages: a number, with K, M, G or T behind it if it is large;
        /// `unlimited`; or `default`, which is what the configuration says
        #[arg(long)]
        bytes: Option<Limit>,
        /// Messages in all mailboxes
        #[arg(long)]
        messages: Option<Limit>,
        /// Mailboxes
        #[arg(long)]
        mailboxes: Option<Limit>,
    },
    /// Manages app passwords: further passwords of an account, one per device
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Removes an account and all its mail
    Remove(Named),
}

#[derive(Subcommand)]
pub(crate) enum UidlCommand {
    /// Gives messages that came over from another server the unique ids they had there; its
    /// password is the first line of standard input
    Adopt(AdoptArgs),
    /// Logs in to two POP3 servers and proves that no client would download anything again; exit
    /// code 1 if one would. The passwords are two lines of standard input
    Diff(DiffArgs),
}

#[derive(clap::Args)]
pub(crate) struct AdoptArgs {
    #[command(flatten)]
    pub(crate) named: Named,
    /// The old server: pop3://user@host:port (pop3s:), or imap: with --format
    #[arg(long)]
    pub(crate) from: Source,
    /// How the old server made unique ids of uids: dovecot, cyrus, cyrus-uidonly, courier, or a
    /// template such as %08Xu%08Xv
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// The mailbox the messages are in
    #[arg(long, default_value = "INBOX")]
    pub(crate) mailbox: String,
    /// A PEM file with whom to trust, in place of the system's
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct DiffArgs {
    /// The server clients know: pop3://user@host:port or pop3s:
    #[arg(long)]
    pub(crate) old: Source,
    /// The server they will meet
    #[arg(long)]
    pub(crate) new: Source,
    /// A PEM file with whom to trust, in place of the system's
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum CredentialCommand {
    /// Makes an app password and shows it, this once
    Add {
        #[command(flatten)]
        named: Named,
        /// What to call it: the device, the program
        #[arg(long)]
        label: String,
        /// Where it may be used
        #[arg(long, value_delimiter = ',', default_value = "imap,pop3")]
        protocols: Vec<Protocol>,
        /// What deleting over POP3 means for who logs in with it: delete, trash, archive:MAILBOX,
        /// keep, keep-days:N; what it means for the account unless given
        #[arg(long)]
        policy: Option<Pop3Policy>,
    },
    /// Lists app passwords with their last use
    List(Named),
    /// Takes an app password back and ends the sessions that logged in with it
    Revoke {
        #[command(flatten)]
        named: Named,
        /// Which one
        #[arg(long)]
        label: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum UndeleteCommand {
    /// Lists the messages that can be brought back, those removed last first
    List {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        which: Which,
        /// How many messages at most
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Puts messages back into their mailboxes, which are made anew if they are gone
    Restore {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        which: Which,
        /// All there are
        #[arg(long)]
        all: bool,
    },
}

/// A door people read mail through.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Protocol {
    Imap,
    Pop3,
}

impl From<Protocol> for types::Door {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Imap => Self::Imap,
            Protocol::Pop3 => Self::Pop3,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Shows the policy in force, and where it comes from
    Show {
        #[command(flatten)]
        named: Named,
        /// Of an app password, by its label
        #[arg(long)]
        credential: Option<String>,
    },
    /// Sets it: `delete`, `trash`, `archive:<mailbox>`, `keep`, `keep-days:<days>`; or `default`,
    /// which is what the configuration says, or the account's policy for an app password
    Set {
        #[command(flatten)]
        named: Named,
        /// The policy
        policy: PolicyChoice,
        /// Of an app password, by its label
        #[arg(long)]
        credential: Option<String>,
    },
    /// Counts what a policy would have made of the messages deleted over POP3 lately
    Simulate {
        /// The account; all accounts unless given
        name: Option<String>,
        /// The policy to try
        #[arg(long)]
        policy: Pop3Policy,
        /// How many days to look back, up to 400
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=400))]
        days: u32,
        /// The configuration file
        #[arg(long)]
        config: PathBuf,
    },
}

/// A policy, or what the configuration says.
#[derive(Clone, Debug)]
pub(crate) struct PolicyChoice(pub(crate) Option<Pop3Policy>);

impl FromStr for PolicyChoice {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        match text {
            "default" => Ok(Self(None)),
            text => text.parse().map(|policy| Self(Some(policy))),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Named {
    /// The account's name
    pub(crate) name: String,
    /// The configuration file
    #[arg(long)]
    pub(crate) config: PathBuf,
}
