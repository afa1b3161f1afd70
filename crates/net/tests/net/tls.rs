//! TLS from the start, on request, and with certificates that change.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Client, Server, connector, handshake, on_loopback};
use net::{ListenerConfig, Timeouts, Tls, TlsMode};
use tokio::net::TcpStream;

fn with(tls: TlsMode) -> ListenerConfig {
    ListenerConfig {
        tls,
        ..on_loopback()
    }
}

/// Writes a certificate for `localhost` and its key; the two files' paths.
fn write_pair(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let paths = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&paths.0, made.cert.pem()).unwrap();
    std::fs::write(&paths.1, made.signing_key.serialize_pem()).unwrap();
    paths
}

#[tokio::test]
async fn unusable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = write_pair(dir.path());
    let error = |cert: &Path, key: &Path| Tls::load(cert, key).unwrap_err().to_string();
    assert!(error(&dir.path().join("none"), &key).contains("none"));
    assert!(error(&key, &key).contains("no certificate"));
    assert!(error(&cert, &cert).contains("cert.pem"));
    let other = tempfile::tempdir().unwrap();
    let (other_cert, _) = write_pair(other.path());
    assert!(error(&other_cert, &key).contains("private key"));
    Tls::load(&cert, &key).unwrap();
}

#[tokio::test]
async fn tls_from_the_start() {
    let tls = Tls::self_signed(&["localhost"]).unwrap();
    let server = Server::start(with(TlsMode::Implicit), Some(Arc::clone(&tls)));
    let connector = connector(tls.certificate().unwrap());
    // A client that speaks no TLS disturbs nobody.
    let mut plain = server.connect().await;
    plain.send(b"quit\r\n").await;
    plain.rest().await;

    for _ in 0..2 {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let mut client = handshake(&connector, stream).await.unwrap();
        assert_eq!(client.line().await, "hello");
        assert_eq!(client.ask("tls?").await, "TLSv1_3 false true");
        assert_eq!(client.ask("flood 50").await.len(), 50 * (64 << 10));
        assert_eq!(client.ask("quit").await, "goodbye");
        // close_notify: a clean end, no truncation.
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    let tls = Tls::self_signed(&["localhost"]).unwrap();
    let server = Server::start(with(TlsMode::Implicit), Some(Arc::clone(&tls)));
    let connector = connector(tls.certificate().unwrap());
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let mut client = handshake(&connector, stream).await.unwrap();
        assert_eq!(client.ask("x").await, "hello");
        kinds.push(client.0.get_ref().get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(
        kinds,
        [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]
    );
}

#[tokio::test]
async fn what_is_injected_before_the_handshake_is_thrown_away() {
    let tls = Tls::self_signed(&["localhost"]).unwrap();
    let server = Server::start(with(TlsMode::StartTls), Some(Arc::clone(&tls)));
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    assert_eq!(client.ask("tls?").await, "none true false");
    client.send(b"starttls\r\ninjected\r\nevil").await;
    assert_eq!(client.line().await, "go");
    let connector = connector(tls.certificate().unwrap());
    let mut client = handshake(&connector, client.0.into_inner()).await.unwrap();
    assert_eq!(client.ask("mine").await, "mine");
    assert_eq!(client.ask("tls?").await, "TLSv1_3 true true");
    let open = |tls, state| {
        let labels = format!("{{protocol=\"echo\",state=\"{state}\",tls=\"{tls}\"}}");
        server.metric(&format!("gatepost_connections{labels}"))
    };
    assert_eq!(open("yes", "authenticated"), Some(1.0));
    assert_eq!(open("no", "login"), Some(0.0));
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_the_connection() {
    let tls = Tls::self_signed(&["localhost"]).unwrap();
    let timeouts = Timeouts {
        handshake: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let config = ListenerConfig {
        timeouts,
        ..with(TlsMode::StartTls)
    };
    let server = Server::start(config, Some(tls));
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    assert_eq!(client.ask("starttls").await, "go");
    let waited = tokio::time::timeout(Duration::from_secs(20), client.rest()).await;
    assert_eq!(waited.unwrap(), b"");
}

#[tokio::test]
async fn a_new_certificate_is_served_without_disturbing_open_connections() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = write_pair(dir.path());
    let tls = Tls::load(&cert, &key).unwrap();
    let old = tls.certificate().unwrap();
    let server = Server::start(with(TlsMode::Implicit), Some(Arc::clone(&tls)));
    let connect = async |certificate| -> io::Result<Client<_>> {
        let stream = TcpStream::connect(server.address()).await?;
        handshake(&connector(certificate), stream).await
    };
    let mut before = connect(old.clone()).await.unwrap();
    assert_eq!(before.line().await, "hello");
    assert!(!tls.reload_if_changed().unwrap());

    // Half a renewal: the certificate is replaced, its key is not yet.
    let other = tempfile::tempdir().unwrap();
    let (new_cert, new_key) = write_pair(other.path());
    let later = std::time::SystemTime::now() + Duration::from_secs(10);
    std::fs::copy(new_cert, &cert).unwrap();
    std::fs::File::open(&cert)
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert!(tls.reload_if_changed().is_err());
    assert!(!tls.reload_if_changed().unwrap(), "complained about once");
    assert_eq!(tls.certificate().unwrap(), old);

    std::fs::copy(new_key, &key).unwrap();
    std::fs::File::open(&key)
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert!(tls.reload_if_changed().unwrap());
    let new = tls.certificate().unwrap();
    assert_ne!(new, old);
    assert_eq!(before.ask("still here").await, "still here");
    assert!(connect(old).await.is_err());
    assert_eq!(connect(new).await.unwrap().line().await, "hello");
}
