//! The control socket: how the command line reaches a running server. Per connection one JSON
//! request, then lines of JSON: how far long work is, and last the answer. The socket lies in the
//! data directory and is for its owner only.

use crate::admin::{self, Request, Response, Tools};
use crate::failure::Failure;
use crate::progress::Progress;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest request and answer, in bytes.
const MAX: u64 = 64 << 20;

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Answers requests until dropped. The caller holds the store, so that a socket left by a process
/// that was killed can be replaced.
pub(crate) fn listen(data_dir: &Path, tools: Tools) -> Result<(), Failure> {
    let path = path(data_dir);
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

async fn answer(mut stream: UnixStream, tools: &Tools) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    (&mut stream).take(MAX).read_to_end(&mut bytes).await?;
    let request = match serde_json::from_slice(&bytes) {
        Ok(request) => request,
        Err(error) => {
            let sentence = format!("not a request: {error}");
            return send(&mut stream, &Line::Answer(Response::Refused { sentence })).await;
        }
    };
    let steps = Arc::new(Steps::default());
    let mut work = Box::pin(admin::run(tools, &*steps, request));
    let mut pause = tokio::time::interval(STEP);
    loop {
        tokio::select! {
            response = &mut work => return send(&mut stream, &Line::Answer(response)).await,
            _ = pause.tick() => {}
        }
        if let Some((step, done, total)) = steps.take() {
            // Who asked may be gone; what was begun is brought to its end.
            let _ = send(&mut stream, &Line::Step { step, done, total }).await;
        }
    }
}

/// What the server says of a request.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// How far it is.
    Step {
        step: String,
        done: u64,
        total: u64,
    },
    Answer(Response),
}

/// How often it is told how far something is.
const STEP: Duration = Duration::from_millis(200);

async fn send(stream: &mut UnixStream, line: &Line) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await
}

/// The newest step that has not been told.
#[derive(Default)]
struct Steps(Mutex<Option<(String, u64, u64)>>);

impl Steps {
    fn take(&self) -> Option<(String, u64, u64)> {
        self.0.lock().ok()?.take()
    }
}

impl admin::Steps for Steps {
    fn step(&self, step: &str, done: u64, total: u64) {
        if let Ok(mut newest) = self.0.lock() {
            *newest = Some((step.to_owned(), done, total));
        }
    }
}

/// Asks the server that runs on this data directory; `None` when none does.
pub(crate) async fn ask(data_dir: &Path, request: &Request) -> Option<Result<Response, Failure>> {
    let stream = UnixStream::connect(path(data_dir)).await.ok()?;
    Some(
        exchange(stream, request).await.map_err(|error| {
            Failure::trouble(format!("the running server did not answer: {error}"))
        }),
    )
}

async fn exchange(mut stream: UnixStream, request: &Request) -> std::io::Result<Response> {
    stream.write_all(&serde_json::to_vec(request)?).await?;
    stream.shutdown().await?;
    let progress = Progress::new();
    let mut lines = BufReader::new(stream.take(MAX)).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Line::Step { step, done, total } => progress.count(&step, done, total),
            Line::Answer(response) => return Ok(response),
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
