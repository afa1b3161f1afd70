//! The control socket: how the command line reaches a running server. One request per connection, a
//! line of JSON; the answer is one too, and lines that tell how far it is may come before it. The
//! socket lies in the data directory and is for its owner only.

use crate::admin::{self, Request, Response, Tools};
use crate::backends::Backends;
use crate::backup::{Hold, Plan};
use crate::failure::Failure;
use crate::progress::Steps;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// Longest request and answer, in bytes.
const MAX: u64 = 64 << 20;

/// How often it is told how far something is.
const TELL: Duration = Duration::from_millis(200);

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Answers requests until dropped. The caller holds the store, so that a socket left by a process
/// that was killed can be replaced.
pub(crate) fn listen(tools: Tools) -> Result<(), Failure> {
    let path = path(tools.backends.data_dir());
    let failed = |error: std::io::Error| {
        Failure::refused(format!("cannot listen on {}: {error}", path.display()))
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let tools = tools.clone();
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &tools).await {
                    tracing::warn!(%error, "control connection");
                }
            });
        }
    });
    Ok(())
}

async fn answer(stream: UnixStream, tools: &Tools) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    (&mut stream)
        .take(MAX)
        .read_until(b'\n', &mut bytes)
        .await?;
    let request = match serde_json::from_slice(&bytes) {
        Ok(Request::Hold) => return hold_for(stream, &tools.backends).await,
        Ok(request) => request,
        Err(error) => {
            let sentence = format!("not a request: {error}");
            return tell(&mut stream, &Response::Refused { sentence }).await;
        }
    };
    let (steps, mut progress) = watch::channel(None);
    let steps: Steps = Arc::new(move |step: &str, done, total| {
        steps.send_replace(Some((step.to_owned(), done, total)));
    });
    let work = admin::run(tools, steps, request);
    tokio::pin!(work);
    let mut pause = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            response = &mut work => return tell(&mut stream, &response).await,
            _ = pause.tick() => {}
        }
        let news = progress.has_changed().unwrap_or(false);
        let news = news.then(|| progress.borrow_and_update().clone()).flatten();
        if let Some((step, done, total)) = news {
            // Who has gone away does not want it any more.
            tell(&mut stream, &Response::Progress { step, done, total }).await?;
        }
    }
}

async fn tell(stream: &mut BufReader<UnixStream>, response: &Response) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Holds the store until the other side closes the connection, or dies.
async fn hold_for(mut stream: BufReader<UnixStream>, backends: &Backends) -> std::io::Result<()> {
    let mut hold = match Hold::take(backends).await {
        Ok(hold) => hold,
        Err(error) => {
            let sentence = error.to_string();
            return tell(&mut stream, &Response::Failed { sentence }).await;
        }
    };
    let plan = std::mem::take(&mut hold.plan);
    tell(&mut stream, &Response::Held { plan }).await?;
    // Nothing more is expected: this ends when the connection does.
    stream.read(&mut [0]).await.map(drop)
}

/// A connection to the server that runs on a data directory.
struct Connection(BufReader<UnixStream>);

/// Keeps what was asked to be held until it is dropped.
pub(crate) struct Held {
    _connection: Connection,
}

impl Connection {
    /// `None` when no server runs.
    async fn open(data_dir: &Path) -> Option<Self> {
        let stream = UnixStream::connect(path(data_dir)).await.ok()?;
        Some(Self(BufReader::new(stream)))
    }

    async fn ask(&mut self, request: &Request, steps: &Steps) -> Result<Response, Failure> {
        let answer = self.exchange(request, steps).await;
        answer.map_err(|error| {
            Failure::trouble(format!("the running server did not answer: {error}"))
        })
    }

    async fn exchange(&mut self, request: &Request, steps: &Steps) -> std::io::Result<Response> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.0.write_all(&line).await?;
        loop {
            line.clear();
            (&mut self.0).take(MAX).read_until(b'\n', &mut line).await?;
            match serde_json::from_slice(&line)? {
                Response::Progress { step, done, total } => steps(&step, done, total),
                response => return Ok(response),
            }
        }
    }
}

/// Asks the server that runs on this data directory; `None` when none does.
pub(crate) async fn ask(
    data_dir: &Path,
    request: &Request,
    steps: &Steps,
) -> Option<Result<Response, Failure>> {
    let mut connection = Connection::open(data_dir).await?;
    Some(connection.ask(request, steps).await)
}

/// Whether a server runs on this data directory.
pub(crate) async fn runs(data_dir: &Path) -> bool {
    Connection::open(data_dir).await.is_some()
}

/// Asks that server to keep its files where they are; `None` when none runs.
pub(crate) async fn hold(data_dir: &Path) -> Option<Result<(Plan, Held), Failure>> {
    let mut connection = Connection::open(data_dir).await?;
    let nothing: Steps = Arc::new(|_: &str, _, _| {});
    Some(match connection.ask(&Request::Hold, &nothing).await {
        Ok(Response::Held { plan }) => Ok((
            plan,
            Held {
                _connection: connection,
            },
        )),
        Ok(Response::Failed { sentence } | Response::Refused { sentence }) => {
            Err(Failure::trouble(sentence))
        }
        Ok(_) => Err(Failure::trouble("the running server gave a strange answer")),
        Err(error) => Err(error),
    })
}
