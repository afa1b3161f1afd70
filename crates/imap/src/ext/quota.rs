//! QUOTA (RFC 9208). Every account is one quota root, `#user/` and its name, which all its
//! mailboxes share. What exceeds a limit is refused by the engine, with OVERQUOTA.

use super::*;
use crate::grammar::mailbox::RawName;
use crate::session::Site;
use bytes::BytesMut;
use mail::{Account, Mail, QuotaLimits, UNLIMITED, Usage};
use types::Rights;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9208",
    file: file!(),
    capabilities: &[
        Capability::always("QUOTA"),
        Capability::always("QUOTASET"),
        Capability::always("QUOTA=RES-STORAGE"),
        Capability::always("QUOTA=RES-MESSAGE"),
        Capability::always("QUOTA=RES-MAILBOX"),
    ],
    commands: &[&GETQUOTA, &GETQUOTAROOT, &SETQUOTA],
    // DELETED, which RFC 9051 has too, stands with the items of the base protocol.
    status_items: &[StatusItem {
        sums_deleted: true,
        ..StatusItem::new("DELETED-STORAGE", |status, out| {
            out.num(status.deleted_bytes);
        })
    }],
    ..Extension::EMPTY
};

/// `getquota = "GETQUOTA" SP quota-root-name`
static GETQUOTA: Spec = Spec {
    name: "GETQUOTA",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 9208 4.1.1"],
    parse: |c, _| {
        c.sp()?;
        Ok(Box::new(GetQuota { root: root(c)? }))
    },
};

/// `getquotaroot = "GETQUOTAROOT" SP mailbox`
static GETQUOTAROOT: Spec = Spec {
    name: "GETQUOTAROOT",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 9208 4.1.2"],
    parse: |c, _| {
        c.sp()?;
        Ok(Box::new(GetQuotaRoot {
            mailbox: c.mailbox()?,
        }))
    },
};

/// `setquota = "SETQUOTA" SP quota-root-name SP "(" [resource-name SP resource-limit
/// *(SP resource-name SP resource-limit)] ")"`
static SETQUOTA: Spec = Spec {
    name: "SETQUOTA",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 9208 4.1.3"],
    parse: |c, _| parse_set(c),
};

/// Octets of a unit of STORAGE (RFC 9208 5.1).
const STORAGE_UNIT: u64 = 1024;

/// Before the name of an account.
const PREFIX: &str = "#user/";

/// What can be limited (RFC 9208 5).
struct Resource {
    name: &'static str,
    unit: u64,
    used: fn(&Usage) -> u64,
    limit: fn(&mut QuotaLimits) -> &mut Option<u64>,
}

static RESOURCES: [Resource; 3] = [
    Resource {
        name: "STORAGE",
        unit: STORAGE_UNIT,
        used: |usage| usage.bytes,
        limit: |limits| &mut limits.bytes,
    },
    Resource {
        name: "MESSAGE",
        unit: 1,
        used: |usage| usage.messages,
        limit: |limits| &mut limits.messages,
    },
    Resource {
        name: "MAILBOX",
        unit: 1,
        used: |usage| usage.mailboxes,
        limit: |limits| &mut limits.mailboxes,
    },
];

/// The most resources one SETQUOTA may name.
const MAX_RESOURCES: usize = 16;

struct GetQuota {
    root: String,
}

struct GetQuotaRoot {
    mailbox: RawName,
}

struct SetQuota {
    root: String,
    /// `None`: an unknown resource.
    limits: Option<QuotaLimits>,
}

/// `quota-root-name = astring`
fn root(c: &mut Cursor<'_>) -> Parsed<String> {
    Ok(String::from_utf8_lossy(&c.astring()?).into_owned())
}

fn parse_set(c: &mut Cursor<'_>) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let root = root(c)?;
    c.sp()?;
    let mut named: Vec<(Vec<u8>, u64)> = Vec::new();
    c.list(true, |c| {
        let name = c.atom()?.to_ascii_uppercase();
        c.sp()?;
        let limit = c.number64()?;
        if named.len() >= MAX_RESOURCES || named.iter().any(|(known, _)| *known == name) {
            return Err(BadSyntax("a resource is named twice, or too many are"));
        }
        named.push((name, limit));
        Ok(())
    })?;
    // RFC 9208 4.1.3: what is not listed is not limited any more.
    let mut limits = QuotaLimits {
        bytes: Some(UNLIMITED),
        messages: Some(UNLIMITED),
        mailboxes: Some(UNLIMITED),
    };
    let mut are_known = true;
    for (name, limit) in named {
        let resource = RESOURCES.iter().find(|r| r.name.as_bytes() == name);
        match resource {
            // A limit beyond what can be counted is none.
            Some(r) => *(r.limit)(&mut limits) = Some(limit.saturating_mul(r.unit)),
            None => are_known = false,
        }
    }
    Ok(Box::new(SetQuota {
        root,
        limits: are_known.then_some(limits),
    }))
}

/// `* QUOTA root (resource usage limit ...)`
fn write_quota(root: &str, usage: &Usage, out: &mut BytesMut) {
    let mut limits = usage.limits;
    out.raw(b"* QUOTA ").string(root.as_bytes()).raw(b" (");
    let mut is_first = true;
    for resource in &RESOURCES {
        // RFC 9208 4.2.1: resources not named are not limited.
        let Some(limit) = *(resource.limit)(&mut limits) else {
            continue;
        };
        if !std::mem::take(&mut is_first) {
            out.raw(b" ");
        }
        out.text(resource.name)
            .raw(b" ")
            .num((resource.used)(usage).div_ceil(resource.unit))
            .raw(b" ")
            .num(limit / resource.unit);
    }
    out.raw(b")\r\n");
}

/// The quota root of an account.
async fn root_of(account: &Account) -> Result<String, Refusal> {
    let name = account.mail().account_name(account.id()).await?;
    Ok(format!("{PREFIX}{}", name.unwrap_or_default()))
}

/// The account a quota root belongs to, if the client may know of it: its own, or any for an
/// administrator.
///
/// # Errors
/// RFC 9208 4.1.1: no such quota root, or permission denied. Who is no administrator is not told
/// which accounts there are.
async fn account_of(root: &str, cx: &Session) -> Result<Account, Refusal> {
    let own = cx.state.account()?;
    if root_of(own).await? == root {
        return Ok(own.clone());
    }
    if !cx.is_administrator().await? {
        return Err(Refusal::no(Code::NOPERM, "not your quota root"));
    }
    let missing = Refusal::no(Code::NONEXISTENT, "no such quota root");
    let mail: &Mail = own.mail();
    let Some(name) = root.strip_prefix(PREFIX) else {
        return Err(missing);
    };
    match mail.find_account(name).await? {
        Some(info) => Ok(mail.account(info.id).await?),
        None => Err(missing),
    }
}

impl Run for GetQuota {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let account = account_of(&self.root, cx).await?;
        write_quota(&self.root, &account.usage(), cx.wire.buffer());
        Done::ok("that is all")
    }
}

impl Run for GetQuotaRoot {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // RFC 9208 4.1.2: the mailbox need not exist.
        let Site { account, shown, .. } = cx.site(&self.mailbox).await?;
        if account.guest().is_some() {
            // RFC 9208 6: how full it is says something about it.
            cx.place(&self.mailbox, Rights::READ).await?;
        }
        let root = root_of(&account).await?;
        let names = cx.enabled.names();
        let out = cx.wire.buffer();
        out.raw(b"* QUOTAROOT ").mailbox(&shown, names);
        out.raw(b" ").string(root.as_bytes()).crlf();
        write_quota(&root, &account.usage(), out);
        Done::ok("that is all")
    }
}

impl Run for SetQuota {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        // RFC 9208 6: not even one's own.
        if !cx.is_administrator().await? {
            return Err(Refusal::no(Code::NOPERM, "only administrators set quota"));
        }
        let account = account_of(&self.root, cx).await?;
        let Some(limits) = self.limits else {
            return Err(Refusal::no(Code::CANNOT, "there is no such resource here"));
        };
        let mail = account.mail();
        let name = mail.account_name(account.id()).await?.unwrap_or_default();
        mail.change_limits(&name, |own| *own = limits).await?;
        write_quota(&self.root, &account.usage(), cx.wire.buffer());
        Done::ok("quota set")
    }
}

impl Session {
    /// Whether the settings name the client's account as an administrator.
    ///
    /// # Errors
    /// The store.
    pub async fn is_administrator(&self) -> Result<bool, Refusal> {
        let administrators = &self.deps.operators.administrators;
        if administrators.is_empty() {
            return Ok(false);
        }
        let account = self.state.account()?;
        let name = account.mail().account_name(account.id()).await?;
        // Letter case does not tell accounts apart.
        let is_named = |name: String| {
            let name = name.to_lowercase();
            administrators
                .iter()
                .any(|known| known.to_lowercase() == name)
        };
        Ok(name.is_some_and(is_named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_quota_is_refused() {
        for raw in [
            "",
            " x",
            " x STORAGE 1",
            " x (STORAGE)",
            " x (STORAGE -1)",
            " x (STORAGE 9223372036854775808)",
            " x (STORAGE 1 storage 2)",
            " x (STORAGE 1 )",
        ] {
            assert!(parse_set(&mut Cursor::of(raw.as_bytes())).is_err(), "{raw}");
        }
    }
}
