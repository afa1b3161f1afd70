//! The control socket: how the command line reaches a running server. One JSON request and one JSON
//! answer per connection; the socket lies in the data directory and is for its owner only.

use crate::admin::{self, Request, Response};
use crate::failure::Failure;
use auth::Auth;
use mail::Mail;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Longest request and answer, in bytes.
const MAX: u64 = 64 << 20;

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Answers requests until dropped. The caller holds the store, so that a socket left by a process
/// that was killed can be replaced.
pub(crate) fn listen(data_dir: &Path, mail: Mail, auth: Arc<Auth>) -> Result<(), Failure> {
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
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let (mail, auth) = (mail.clone(), auth.clone());
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &mail, &auth).await {
                    tracing::warn!(%error, "control connection");
                }
            });
        }
    });
    Ok(())
}

async fn answer(mut stream: UnixStream, mail: &Mail, auth: &Auth) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    (&mut stream).take(MAX).read_to_end(&mut bytes).await?;
    let response = match serde_json::from_slice(&bytes) {
        Ok(request) => admin::run(mail, Some(auth), request).await,
        Err(error) => Response::Refused {
            sentence: format!("not a request: {error}"),
        },
    };
    stream.write_all(&serde_json::to_vec(&response)?).await?;
    stream.shutdown().await
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
    let mut bytes = Vec::new();
    stream.take(MAX).read_to_end(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}
