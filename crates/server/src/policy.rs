//! `gatepost policy`: what deleting over POP3 means for an account (DESIGN 5.4).

use crate::account::carry_out;
use crate::admin::{Request, known};
use crate::cli::PolicyCommand;
use crate::config::Config;
use crate::failure::Failure;
use mail::{Count, Mail, MailError};
use types::Pop3Policy;

pub(crate) async fn run(command: PolicyCommand) -> Result<(), Failure> {
    let (config, request) = match command {
        PolicyCommand::Show(named) => {
            let request = Request::PolicyShow {
                name: named.name,
                otherwise: Config::load(&named.config)?.pop3.policy,
            };
            (named.config, request)
        }
        PolicyCommand::Set { named, policy } => {
            let request = Request::PolicySet {
                name: named.name,
                policy: policy.0,
            };
            (named.config, request)
        }
        PolicyCommand::Simulate {
            name,
            policy,
            days,
            config,
        } => {
            let request = Request::PolicySimulate { name, policy, days };
            (config, request)
        }
    };
    carry_out(&config, request).await
}

pub(crate) async fn show(
    mail: &Mail,
    name: &str,
    otherwise: &Pop3Policy,
) -> Result<Vec<String>, MailError> {
    let info = known(mail, name).await?;
    let own = mail.account(info.id).await?.pop3_policy().await?;
    Ok(vec![match own {
        Some(policy) => format!("{}\t{policy}\tits own", info.name),
        None => format!("{}\t{otherwise}\tfrom the configuration", info.name),
    }])
}

pub(crate) async fn set(
    mail: &Mail,
    name: &str,
    policy: Option<&Pop3Policy>,
) -> Result<Vec<String>, MailError> {
    let info = known(mail, name).await?;
    mail.account(info.id).await?.set_pop3_policy(policy).await?;
    Ok(vec![match policy {
        Some(policy) => format!("{}: {policy}", info.name),
        None => format!("{}: what the configuration says", info.name),
    }])
}

/// A line of column names, one for each account with deletions, and one for all together.
pub(crate) async fn simulate(
    mail: &Mail,
    name: Option<&str>,
    policy: &Pop3Policy,
    days: u32,
) -> Result<Vec<String>, MailError> {
    let accounts = match name {
        Some(name) => vec![known(mail, name).await?],
        None => mail.list_accounts().await?,
    };
    let mut lines = vec!["account\tdeleted\tremoved\tmoved\tkept\t(messages/octets)".to_owned()];
    let mut total = [Count::default(); 4];
    for info in &accounts {
        let done = mail.account(info.id).await?.simulate(policy, days).await?;
        let counts = [done.deleted, done.removed, done.moved, done.kept];
        if done.deleted.messages > 0 || name.is_some() {
            lines.push(line(&info.name, &counts));
        }
        for (sum, count) in total.iter_mut().zip(counts) {
            sum.add(count.messages, count.octets);
        }
    }
    if name.is_none() {
        lines.push(line("all accounts", &total));
    }
    Ok(lines)
}

fn line(name: &str, counts: &[Count]) -> String {
    let mut line = name.to_owned();
    for count in counts {
        line.push_str(&format!("\t{}/{}", count.messages, count.octets));
    }
    line
}
