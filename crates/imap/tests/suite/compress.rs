//! COMPRESS=DEFLATE (RFC 4978) below TLS and around large answers. What can be said line by line
//! stands in the dialogues.

use crate::common::{Server, Setup};
use net::Tls;
use std::sync::Arc;
use testkit::Zlib;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A client over any stream, compressing by itself.
struct Client<S>(BufReader<Zlib<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        Self(BufReader::new(Zlib::new(stream)))
    }

    async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        let patience = std::time::Duration::from_secs(20);
        tokio::time::timeout(patience, read)
            .await
            .expect("in time")
            .expect("read");
        line.trim_end().to_owned()
    }

    /// Sends a command and reads up to its answer.
    async fn ok(&mut self, command: &str) {
        self.send(format!("t {command}\r\n").as_bytes()).await;
        loop {
            let line = self.line().await;
            if let Some(answer) = line.strip_prefix("t ") {
                assert!(answer.starts_with("OK "), "{command}: {answer}");
                return;
            }
            assert!(line.starts_with(['*', '+']), "{command}: {line}");
        }
    }
}

async fn connect(server: &Server) -> TcpStream {
    let tcp = TcpStream::connect(server.address)
        .await
        .expect("a listener");
    tcp.set_nodelay(true).expect("a socket");
    tcp
}

#[tokio::test]
async fn large_answers_and_large_messages_are_the_same_compressed() {
    let server = Setup::default().start().await;
    let mut client = Client::new(connect(&server).await);
    client.line().await;
    client.ok("LOGIN alice secret").await;
    client.ok("COMPRESS DEFLATE").await;
    // Half of each message repeats itself, half is noise.
    let mut seed = 1_u32;
    let messages: Vec<Vec<u8>> = (0..40)
        .map(|n| {
            let mut body = format!("Subject: {n}\r\n\r\n").into_bytes();
            body.extend(b"the same again ".repeat(3000));
            body.extend((0..40_000).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b'!' + (seed >> 24) as u8 % 64
            }));
            body
        })
        .collect();
    for message in &messages {
        let mut append = format!("t APPEND INBOX {{{}+}}\r\n", message.len()).into_bytes();
        append.extend_from_slice(message);
        append.extend_from_slice(b"\r\n");
        client.send(&append).await;
        assert!(client.line().await.starts_with("t OK [APPENDUID "));
    }
    client.ok("EXAMINE INBOX").await;
    client.send(b"f FETCH 1:* (BODY.PEEK[])\r\n").await;
    for (n, message) in messages.iter().enumerate() {
        let head = format!("* {} FETCH (BODY[] {{{}}}", n + 1, message.len());
        assert_eq!(client.line().await, head);
        let mut body = vec![0; message.len()];
        client.0.read_exact(&mut body).await.expect("a body");
        assert!(body == *message, "message {n} is another");
        assert_eq!(client.line().await, ")");
    }
    assert!(client.line().await.starts_with("f OK "));
    client.ok("NOOP").await;
}

#[tokio::test]
async fn compression_goes_below_tls() {
    let tls = Tls::self_signed(&["localhost"]).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(tls.certificate().expect("a certificate"))
        .expect("a root");
    let setup = Setup {
        tls: Some(tls),
        ..Setup::default()
    };
    let server = setup.start().await;
    let mut plain = Client::new(connect(&server).await);
    plain.line().await;
    plain.ok("STARTTLS").await;
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().expect("a name");
    let tcp = plain.0.into_inner().into_inner();
    let stream = connector.connect(name, tcp).await.expect("a handshake");
    let mut client = Client::new(stream);
    client.ok("LOGIN alice secret").await;
    client.ok("COMPRESS DEFLATE").await;
    client.ok("SELECT INBOX").await;
    client.send(b"i IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    client.send(b"DONE\r\ns STATUS INBOX (MESSAGES)\r\n").await;
    assert_eq!(client.line().await, "i OK idle ended");
    assert_eq!(client.line().await, "* STATUS INBOX (MESSAGES 0)");
    assert!(client.line().await.starts_with("s OK "));
    client.ok("LOGOUT").await;
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn what_is_not_compressed_after_compress_ends_the_session() {
    let server = Setup::default().start().await;
    let mut client = Client::new(connect(&server).await);
    client.line().await;
    client.ok("LOGIN alice secret").await;
    client.ok("COMPRESS DEFLATE").await;
    let tcp = client.0.get_mut().get_mut();
    tcp.write_all(b"t NOOP\r\n").await.expect("sent");
    assert_eq!(client.line().await, "* BYE what you sent cannot be decoded");
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn unauthenticate_ends_the_compression() {
    let server = Setup::default().start().await;
    let mut client = Client::new(connect(&server).await);
    client.line().await;
    client.ok("LOGIN alice secret").await;
    client.ok("COMPRESS DEFLATE").await;
    client.ok("SELECT INBOX").await;
    client.ok("UNAUTHENTICATE").await;
    let mut plain = Client::new(client.0.into_inner().into_inner());
    plain.ok("LOGIN bob secret").await;
    plain.ok("STATUS INBOX (MESSAGES)").await;
    // And once more, from the beginning.
    plain.ok("COMPRESS DEFLATE").await;
    plain.ok("UNAUTHENTICATE").await;
    let mut plain = Client::new(plain.0.into_inner().into_inner());
    plain.ok("LOGIN alice secret").await;
    plain.ok("LOGOUT").await;
}

#[tokio::test]
async fn who_sends_ahead_of_the_end_of_compression_is_sent_away() {
    let server = Setup::default().start().await;
    let mut client = Client::new(connect(&server).await);
    client.line().await;
    client.ok("LOGIN alice secret").await;
    client.ok("COMPRESS DEFLATE").await;
    client
        .send(b"u UNAUTHENTICATE\r\nl LOGIN alice secret\r\n")
        .await;
    let bye = "* BYE wait for the end of the compression";
    assert_eq!(client.line().await, bye);
    assert_eq!(client.line().await, "");
}
