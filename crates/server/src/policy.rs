//! `gatepost policy`: what deleting over POP3 means for an account or an app password (DESIGN
//! 5.4).

use crate::account::carry_out;
use crate::admin::{Request, existing};
use crate::cli::PolicyCommand;
use crate::config::Config;
use crate::failure::Failure;
use mail::{Count, Mail, MailError, PolicyOf};
use types::Pop3Policy;

pub(crate) async fn run(command: PolicyCommand) -> Result<(), Failure> {
    let (config, request) = match command {
        PolicyCommand::Show { named, credential } => {
            let request = Request::PolicyShow {
                name: named.name,
                credential,
                otherwise: Config::load(&named.config)?.pop3.policy,
            };
            (named.config, request)
        }
        PolicyCommand::Set {
            named,
            policy,
            credential,
        } => {
            let request = Request::PolicySet {
                name: named.name,
                credential,
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
    credential: Option<&str>,
    otherwise: &Pop3Policy,
) -> Result<Vec<String>, MailError> {
    let (info, account) = existing(mail, name).await?;
    let mut shown = info.name;
    if let Some(label) = credential {
        let of = PolicyOf::Credential(account.credential(label).await?.id);
        shown = format!("{shown}\t{label}");
        if let Some(policy) = account.pop3_policy(of).await? {
            return Ok(vec![format!("{shown}\t{policy}\tits own")]);
        }
    }
    let own = account.pop3_policy(PolicyOf::Account).await?;
    Ok(vec![match own {
        Some(policy) if credential.is_some() => format!("{shown}\t{policy}\tthe account's"),
        Some(policy) => format!("{shown}\t{policy}\tits own"),
        None => format!("{shown}\t{otherwise}\tfrom the configuration"),
    }])
}

pub(crate) async fn set(
    mail: &Mail,
    name: &str,
    credential: Option<&str>,
    policy: Option<&Pop3Policy>,
) -> Result<Vec<String>, MailError> {
    let (info, account) = existing(mail, name).await?;
    let (of, otherwise) = match credential {
        Some(label) => {
            let of = PolicyOf::Credential(account.credential(label).await?.id);
            (of, "the account's policy")
        }
        None => (PolicyOf::Account, "what the configuration says"),
    };
    account.set_pop3_policy(of, policy).await?;
    Ok(vec![match policy {
        Some(policy) => format!("{}: {policy}", info.name),
        None => format!("{}: {otherwise}", info.name),
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
        Some(name) => vec![existing(mail, name).await?.0],
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
