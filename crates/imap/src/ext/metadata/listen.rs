//! Annotations that others change (RFC 5464 4.4.2), for clients that have enabled METADATA or asked
//! for them by NOTIFY (RFC 5465 5.6).

use super::*;
use mail::{Annotated, AnnotationOwner};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Changes told at once; the others come the next time.
const MAX_TOLD: usize = 64;

/// Hears of changes once the client wants to.
pub(crate) struct Listener {
    receiver: Receiver<Annotated>,
    waiting: Vec<Annotated>,
    /// By what the client's own changes are known.
    id: u64,
}

impl Listener {
    fn new(cx: &Session) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            receiver: cx.deps.mail.watch_annotations(),
            waiting: Vec::new(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Resolves when there may be something to tell. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        match self.receiver.recv().await {
            Ok(change) => self.waiting.push(change),
            // What was missed cannot be told.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    fn next(&mut self) -> Option<Annotated> {
        if !self.waiting.is_empty() {
            return Some(self.waiting.remove(0));
        }
        loop {
            match self.receiver.try_recv() {
                Ok(change) => return Some(change),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

/// Under which number a client changes annotations; 0 when it does not listen.
pub(super) fn id_of(cx: &Session) -> u64 {
    cx.metadata.as_ref().map_or(0, |listener| listener.id)
}

/// RFC 5464 4.4.2: names what others have changed since the last time.
pub(crate) fn tell(cx: &mut Session) {
    let notify = cx.notify.as_ref();
    // RFC 5465 5.6: who asks by NOTIFY need not enable METADATA.
    if !cx.enabled.metadata && !notify.is_some_and(|notify| notify.hears_annotations()) {
        cx.metadata = None;
        return;
    }
    let Some(listener) = &mut cx.metadata else {
        cx.metadata = Some(Box::new(Listener::new(cx)));
        return;
    };
    let Ok(account) = cx.state.account() else {
        return;
    };
    let mut told: Vec<(AnnotationOwner, String, Option<MailboxId>)> = Vec::new();
    while told.len() < MAX_TOLD
        && let Some(change) = listener.next()
    {
        if change.by == listener.id {
            continue;
        }
        let is_mine = match change.owner {
            AnnotationOwner::Private(owner) => owner == account.id(),
            AnnotationOwner::Shared => true,
        };
        let is_here = change.account == account.id()
            || (change.account == types::AccountId::SYSTEM && change.mailbox.is_none());
        let key = (change.owner, change.name, change.mailbox);
        if is_mine && is_here && !told.contains(&key) {
            told.push(key);
        }
    }
    for (owner, name, mailbox) in told {
        let object = match mailbox {
            None => Object::Server,
            Some(id) => match account.name_of(id) {
                Some(name) => Object::Mailbox {
                    account: account.clone(),
                    id,
                    name,
                },
                // Deleted meanwhile.
                None => continue,
            },
        };
        let mailbox = match &object {
            Object::Server => None,
            Object::Mailbox { name, .. } => Some(name),
        };
        let notify = cx.notify.as_ref();
        if !cx.enabled.metadata && !notify.is_some_and(|n| n.wants_annotations(mailbox)) {
            continue;
        }
        let scope = match owner {
            AnnotationOwner::Shared => Scope::Shared,
            AnnotationOwner::Private(_) => Scope::Private,
        };
        let names = cx.enabled.names();
        let out = cx.wire.buffer();
        out.raw(b"* METADATA ");
        object.write_name(names, out);
        out.raw(b" ");
        Entry { scope, name }.write(out);
        out.crlf();
    }
}
