//! `/metrics`, `/health/live` and `/health/ready`.

use crate::backends::Backends;
use crate::failure::Failure;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use mail::Mail;
use net::Metrics;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the pages show.
pub(crate) struct Pages {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) mail: Mail,
    /// What messages on their way may take: what want of it means, the door.
    pub(crate) rooms: Vec<(&'static str, &'static str, net::Room)>,
    pub(crate) stopping: net::Token,
}

/// Connections served at once; more wait.
const MAX_CONNECTIONS: usize = 64;

/// Binds the addresses; returns the listeners with what they really listen on.
pub(crate) async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|error| {
            Failure::refused(format!("cannot listen on {address} for http: {error}"))
        })?);
    }
    Ok(listeners)
}

/// Serves the pages on a listener, for ever.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let pages = pages.clone();
                async move { Ok::<_, Infallible>(pages.answer(&request)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service);
            // A scraper that goes away in the middle concerns nobody.
            let _ = tokio::time::timeout(Duration::from_secs(60), connection).await;
            drop(slot);
        });
    }
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return page(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/metrics" => {
                let bytes = i64::try_from(self.mail.view_bytes()).unwrap_or(i64::MAX);
                self.metrics.mailbox_view_bytes.set(bytes);
                let bytes = i64::try_from(self.mail.search_cache_bytes()).unwrap_or(i64::MAX);
                self.metrics.search_cache_bytes.set(bytes);
                let bytes = i64::try_from(self.mail.email_cache_bytes()).unwrap_or(i64::MAX);
                self.metrics.email_cache_bytes.set(bytes);
                let removed = self.mail.recoverable();
                let mixed = i64::try_from(self.mail.mixed_use()).unwrap_or(i64::MAX);
                self.metrics.mixed_use_accounts.set(mixed);
                let number = |n| i64::try_from(n).unwrap_or(i64::MAX);
                self.metrics.undelete_messages.set(number(removed.messages));
                self.metrics.undelete_bytes.set(number(removed.bytes));
                self.backends.upkeep.measure(&self.backends.packs);
                let mut response = page(StatusCode::OK, self.metrics.render());
                let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4");
                response
                    .headers_mut()
                    .insert(hyper::header::CONTENT_TYPE, kind);
                response
            }
            "/health/live" => page(StatusCode::OK, "alive\n"),
            "/health/ready" if self.stopping.is_started() => {
                page(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            }
            "/health/ready" => match self.backends.health() {
                // What is served is served, whatever a few damaged messages are.
                Ok(()) => {
                    let warnings = self.backends.upkeep.warnings(&self.backends.packs);
                    let short = self.rooms.iter().filter(|(_, _, room)| room.is_short());
                    let short = short.map(|(what, door, _)| {
                        format!("{what}: memory_bytes of [{door}] is used up")
                    });
                    let lines = std::iter::once("ready".to_owned())
                        .chain(warnings)
                        .chain(short);
                    let text: String = lines.map(|line| line + "\n").collect();
                    page(StatusCode::OK, text)
                }
                Err(reason) => page(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            },
            _ => page(
                StatusCode::NOT_FOUND,
                "/metrics /health/live /health/ready\n",
            ),
        }
    }
}

fn page(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
