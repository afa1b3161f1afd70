//! Limits, panics, shutdown.

use std::time::Duration;

use crate::common::{Server, on_loopback};
use net::{Listener, ListenerConfig, TlsMode};

#[tokio::test]
async fn an_address_in_use_is_named_in_one_sentence() {
    let server = Server::start(on_loopback(), None);
    let address = server.address();
    let config = ListenerConfig {
        addresses: vec![address],
        ..ListenerConfig::default()
    };
    let error = Listener::bind(&config, None).err().unwrap().to_string();
    assert_eq!(
        error,
        format!("cannot listen on {address}: another process listens there")
    );
    let foreign = ([192, 0, 2, 1], 0).into();
    let config = ListenerConfig {
        addresses: vec![foreign],
        ..ListenerConfig::default()
    };
    let error = Listener::bind(&config, None).err().unwrap().to_string();
    assert_eq!(
        error,
        "cannot listen on 192.0.2.1:0: this machine has no such address"
    );
    let config = ListenerConfig {
        tls: TlsMode::Implicit,
        ..on_loopback()
    };
    assert!(Listener::bind(&config, None).is_err());
}

#[tokio::test]
async fn connections_over_a_limit_hear_why_and_others_are_served() {
    for (max_connections, max_connections_per_ip, answer) in
        [(2, 9, "busy Full"), (9, 2, "busy TooManyFromPeer")]
    {
        let config = ListenerConfig {
            max_connections,
            max_connections_per_ip,
            ..on_loopback()
        };
        let server = Server::start(config, None);
        let mut first = server.connect().await;
        assert_eq!(first.line().await, "hello");
        let mut second = server.connect().await;
        assert_eq!(second.line().await, "hello");
        let mut third = server.connect().await;
        assert_eq!(third.line().await, answer);
        assert_eq!(third.rest().await, b"");
        assert_eq!(second.ask("quit").await, "goodbye");
        second.rest().await;
        drop(second);
        while server.shutdown.active() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.connect().await.line().await, "hello");
        assert_eq!(first.ask("x").await, "x");
    }
}

#[tokio::test]
async fn a_panic_ends_one_session() {
    let server = Server::start(on_loopback(), None);
    let mut witness = server.connect().await;
    assert_eq!(witness.line().await, "hello");
    let mut client = server.connect().await;
    assert_eq!(client.line().await, "hello");
    client.send(b"panic\r\n").await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(witness.ask("x").await, "x");
    assert_eq!(server.connect().await.line().await, "hello");
    assert_eq!(
        server.metric("gatepost_panics_total{protocol=\"echo\"}"),
        Some(1.0)
    );
}

#[tokio::test]
async fn shutdown_lets_sessions_say_goodbye_and_cuts_off_those_that_hang() {
    let server = Server::start(on_loopback(), None);
    let address = server.address();
    let mut idle = server.connect().await;
    assert_eq!(idle.line().await, "hello");
    let mut hanging = server.connect().await;
    assert_eq!(hanging.line().await, "hello");
    assert_eq!(hanging.ask("x").await, "x");
    hanging.send(b"hang\r\n").await;
    // An upload under way is finished.
    let mut uploading = server.connect().await;
    assert_eq!(uploading.line().await, "hello");
    assert_eq!(uploading.ask("literal 4").await, "+");

    let drain = tokio::spawn({
        let shutdown = server.shutdown.clone();
        async move { shutdown.drain(Duration::from_millis(1500)).await }
    });
    assert_eq!(idle.line().await, "bye");
    assert_eq!(idle.rest().await, b"");
    drop(idle);
    uploading.send(b"data").await;
    assert!(uploading.line().await.starts_with("4 "));
    assert_eq!(uploading.line().await, "bye");
    drop(uploading);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(hanging.rest().await, b"");
    assert_eq!(drain.await.unwrap(), 1);
    server.task.await.unwrap();
    assert_eq!(server.shutdown.active(), 0);
}

#[tokio::test]
async fn metrics_render_for_prometheus() {
    let server = Server::start(on_loopback(), None);
    let front = server.metrics.front("imap", ["LOGIN"]);
    front.start("LOGIN").finish(net::Outcome::Ok);
    drop(front.start("LOGIN"));
    front.start("XYZZY").finish(net::Outcome::Bad);
    front.login("PLAIN", "ok");
    let count = |command, result| {
        let labels = format!("command=\"{command}\",protocol=\"imap\",result=\"{result}\"");
        server.metric(&format!("gatepost_commands_total{{{labels}}}"))
    };
    assert_eq!(count("LOGIN", "ok"), Some(1.0));
    assert_eq!(count("LOGIN", "aborted"), Some(1.0));
    assert_eq!(count("(unrecognized)", "bad"), Some(1.0));
    assert_eq!(count("LOGIN", "bad"), None);
    assert_eq!(
        server.metric("gatepost_build_info{version=\"test\"}"),
        Some(1.0)
    );
    assert!(server.metric("process_resident_memory_bytes").is_some());
}
