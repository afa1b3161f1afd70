//! What strace wrote, as calls in the order they began.

use std::collections::HashMap;
use std::path::Path;

/// One system call. Lines of the trace are its clock.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The line on which it began.
    pub(crate) began: usize,
    /// The line on which it returned; `usize::MAX` when it has not.
    pub(crate) ended: usize,
    pub(crate) name: String,
    /// What its first argument, a descriptor, refers to.
    pub(crate) path: String,
    /// Its arguments and its result.
    pub(crate) text: String,
}

impl Call {
    /// A sync that succeeded.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync") && self.text.ends_with(" = 0")
    }

    pub(crate) fn is_write(&self) -> bool {
        self.name.contains("write")
    }

    fn is_answer(&self) -> bool {
        self.path.starts_with("socket:") && !self.is_sync()
    }
}

/// A whole trace, or as much of it as there is yet.
pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
    exits: Vec<String>,
}

impl Trace {
    /// Reads the output of `strace -f -y -o`.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut trace = Self {
            calls: Vec::new(),
            exits: Vec::new(),
        };
        // The call each thread is in.
        let mut open: HashMap<&str, usize> = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((pid, rest)) = line.split_once(' ') else {
                continue;
            };
            let rest = rest.trim_start();
            if rest.starts_with("+++") {
                trace.exits.push(pid.to_owned());
            } else if rest.starts_with("<...") {
                if let Some(call) = open.remove(pid).and_then(|at| trace.calls.get_mut(at)) {
                    call.ended = number;
                    call.text.push_str(rest);
                }
            } else if let Some((name, arguments)) = rest.split_once('(') {
                let unfinished = rest.ends_with("<unfinished ...>");
                if unfinished {
                    open.insert(pid, trace.calls.len());
                }
                trace.calls.push(Call {
                    began: number,
                    ended: if unfinished { usize::MAX } else { number },
                    name: name.to_owned(),
                    path: described(arguments),
                    text: arguments.to_owned(),
                });
            }
        }
        trace
    }

    /// Whether the process has ended.
    pub(crate) fn ended(&self, pid: u32) -> bool {
        self.exits.contains(&pid.to_string())
    }

    /// Calls that began after line `from` and before line `to`.
    pub(crate) fn between(&self, from: usize, to: usize) -> impl Iterator<Item = &Call> {
        let calls = self.calls.iter();
        calls.filter(move |call| call.began > from && call.began < to)
    }

    /// The first call after line `from` for which this holds.
    pub(crate) fn first(&self, from: usize, holds: impl Fn(&Call) -> bool) -> &Call {
        self.between(from, usize::MAX)
            .find(|call| holds(call))
            .unwrap_or_else(|| panic!("no such call after line {from}"))
    }

    /// The first line after `from` that was sent to a client and contains `text`.
    pub(crate) fn answer(&self, from: usize, text: &str) -> &Call {
        self.between(from, usize::MAX)
            .find(|call| call.is_answer() && call.text.contains(text))
            .unwrap_or_else(|| panic!("`{text}` was not sent after line {from}"))
    }
}

/// `path` of the arguments `3</path>, ...`.
fn described(arguments: &str) -> String {
    let from = arguments.find('<').map_or(arguments.len(), |at| at + 1);
    let rest = &arguments[from..];
    // A path ends before `>, ` or `>)`; a socket's description holds `->` in some versions.
    let end = [">, ", ">)", "> "]
        .iter()
        .filter_map(|end| rest.find(end))
        .min();
    rest[..end.unwrap_or(rest.len())].to_owned()
}
