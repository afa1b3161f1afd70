//! Telling the client what has changed: after commands, in IDLE, and with NOTIFY at any time.

use super::{Session, State};
use crate::ext::{context, metadata, notify, urlauth};
use crate::grammar::Emit;
use crate::refusal::{Code, Refusal};
use crate::spec::Effects;
use types::MailboxName;

impl Session {
    /// Tells what has changed in the selected mailbox, and elsewhere if NOTIFY asked for it.
    ///
    /// # Errors
    /// Only what ends the session.
    pub async fn tell(&mut self, may_expunge: bool) -> Result<(), Refusal> {
        if let State::Selected(user, selection) = &mut self.state {
            if selection.key_was_reset(user.id()) {
                urlauth::tell_mechanisms(self.wire.buffer());
            }
            selection
                .sync(&mut self.wire, self.enabled, may_expunge)
                .await?;
            if !selection.contexts().is_empty() {
                Box::pin(context::follow(self)).await?;
            }
        }
        metadata::tell(self);
        if self.notify.is_some() {
            // Boxed: it must not make every idle session larger.
            Box::pin(notify::push(self)).await?;
        }
        Ok(())
    }

    /// [`Self::tell`] while the client waits, and measures how long new messages took to get here.
    ///
    /// # Errors
    /// Only what ends the session.
    pub async fn push(&mut self, may_expunge: bool) -> Result<(), Refusal> {
        let told = self.told_uid_next();
        self.tell(may_expunge).await?;
        if self.told_uid_next() > told
            && let State::Selected(_, selection) = &self.state
            && let Some(arrived) = selection.mailbox().arrived()
        {
            self.wire.flush().await?;
            let seconds = arrived.elapsed().as_secs_f64();
            let metrics = self.deps.metrics.all();
            metrics.delivery_visible_seconds.observe(seconds);
        }
        Ok(())
    }

    fn told_uid_next(&self) -> Option<u32> {
        match &self.state {
            State::Selected(_, selection) => Some(selection.told().uid_next()),
            _ => None,
        }
    }

    /// Waits for the client to say something, or for something to tell; `true` for the client.
    /// Holds no buffer meanwhile. Cancel safe.
    ///
    /// # Errors
    /// The connection.
    pub async fn wait(&mut self) -> Result<bool, Refusal> {
        let selection = async {
            match &mut self.state {
                State::Selected(_, selection) => selection.changed().await,
                _ => std::future::pending().await,
            }
        };
        let elsewhere = async {
            match &mut self.notify {
                Some(notify) => notify.changed().await,
                None => std::future::pending().await,
            }
        };
        let annotations = async {
            match &mut self.metadata {
                Some(listener) => listener.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            input = self.wire.wait_input() => Ok(input.map(|()| true)?),
            () = selection => Ok(false),
            () = elsewhere => Ok(false),
            () = annotations => Ok(false),
        }
    }

    /// RFC 5465 3.1: with NOTIFY the client listens even when no command is in progress. Returns
    /// when it begins one.
    pub(super) async fn listen(&mut self) -> Result<(), Refusal> {
        while let Some(notify) = &self.notify {
            // RFC 5465 6.1.2: expunges wait for a command then.
            let may_expunge = !notify.interest().delayed;
            if self.wire.has_input() || self.wait().await? {
                break;
            }
            if let State::Selected(_, selection) = &mut self.state {
                selection.between_commands();
            }
            self.push(may_expunge).await?;
        }
        Ok(())
    }

    /// After a command with these effects: what it has expunged is told, whatever else is of
    /// interest.
    pub(super) fn own_expunges(&mut self, effects: Effects) {
        let expunges = effects.contains(Effects::WRITES) && !effects.contains(Effects::USES_SEQ);
        if let (true, State::Selected(_, selection)) = (expunges, &mut self.state) {
            selection.expunges();
        }
    }

    /// An untagged OK with a code that tells what the command that runs has done.
    pub fn say(&mut self, code: &Code, text: &'static str) {
        if let Some(notify) = &mut self.notify {
            notify.answered(Some(code));
        }
        let out = self.wire.buffer();
        out.raw(b"* OK ");
        code.write(out);
        out.text(text).crlf();
    }

    /// The command that runs has changed what there is of this name, or its subscription: RFC 5465
    /// 5: who did it is not told of it.
    pub fn caused(&mut self, name: &MailboxName) {
        if let Some(notify) = &mut self.notify {
            notify.caused(name);
        }
    }
}
