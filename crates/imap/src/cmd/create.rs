//! CREATE, with the USE parameter of CREATE-SPECIAL-USE.

use super::*;
use crate::ext::objectid::mailbox_id;
use crate::grammar::mailbox::RawName;
use crate::session::Site;
use types::Role;

/// `create = "CREATE" SP mailbox [SP "(" create-param *(SP create-param) ")"]`,
/// `create-param =/ "USE" SP "(" [use-attr *(SP use-attr)] ")"`.
pub(crate) static SPEC: Spec = Spec {
    name: "CREATE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &[
        "RFC 3501 6.3.3",
        "RFC 9051 6.3.4",
        "RFC 6154 3",
        "RFC 8474 4.1",
    ],
    parse,
};

struct Create {
    mailbox: RawName,
    /// Attribute names as written, without the backslash.
    uses: Vec<String>,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let mailbox = c.mailbox()?;
    let mut uses = Vec::new();
    if c.eat(b" ") {
        c.list(false, |c| {
            if !c.eat_word(b"USE") {
                return Err(BadSyntax("unknown parameter"));
            }
            c.sp()?;
            uses = c.list(true, |c| {
                c.expect(b"\\", "expected a special-use attribute")?;
                Ok(String::from_utf8_lossy(c.atom()?).into_owned())
            })?;
            Ok(())
        })?;
    }
    Ok(Box::new(Create { mailbox, uses }))
}

impl Run for Create {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Site {
            account,
            name,
            shown,
        } = cx.site(&self.mailbox).await?;
        let role = role(&self.uses)?;
        if role.is_some_and(|role| account.tree().with_role(role).is_some()) {
            return Err(Refusal::no(USEATTR, "another mailbox has that use"));
        }
        let id = account.create(&name, role).await?;
        let id = mailbox_id(account.id(), id);
        cx.caused(&shown);
        cx.tell_normalised(&self.mailbox, &account, &shown).await?;
        Done::with(Code::MailboxId(id), "mailbox created")
    }
}

/// RFC 6154 3: a use that cannot be given.
pub(crate) const USEATTR: Code = Code::Word("USEATTR");

/// The role that attributes without their backslash ask for.
///
/// # Errors
/// RFC 6154 3: a use that cannot be given fails the command.
pub(crate) fn role(uses: &[String]) -> Result<Option<Role>, Refusal> {
    match uses {
        [] => Ok(None),
        [word] => match Role::from_name(word) {
            Some(Role::All | Role::Flagged) | None => {
                Err(Refusal::no(USEATTR, "no mailbox can be made for that use"))
            }
            role => Ok(role),
        },
        _ => Err(Refusal::no(USEATTR, "a mailbox has one use here")),
    }
}
