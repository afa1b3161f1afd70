//! What is bounded by settings: memory for mail on its way, and repeated deliveries.

use crate::common::Rig;
use lmtp::Settings;
use mail::Options;

const MESSAGE: usize = 150_000;

/// A message of [`MESSAGE`] octets in short lines, as it goes over the wire, end included.
fn large() -> Vec<u8> {
    let line = [b"x".repeat(998), b"\r\n".to_vec()].concat();
    let mut message = line.repeat(MESSAGE / 1000);
    message.extend_from_slice(b".\r\n");
    message
}

async fn rig(settings: Settings) -> Rig {
    let settings = Settings {
        hostname: "mx.test".to_owned(),
        ..settings
    };
    Rig::with(settings, Options::default()).await
}

#[tokio::test]
async fn who_finds_no_room_is_told_to_come_back_and_nobody_else_is_disturbed() {
    let memory_bytes = 200_000;
    let rig = rig(Settings {
        memory_bytes,
        ..Settings::default()
    })
    .await;
    let (mut first, mut second) = (rig.greet().await, rig.greet().await);
    first.envelope(&["alice"]).await;
    first.send(format!("BDAT {MESSAGE}\r\n").as_bytes()).await;
    first.send(&vec![b'y'; MESSAGE]).await;
    assert!(first.reply().await.starts_with("250 2.0.0"));
    // Half of it fits, the rest does not: a reply for each recipient, and the connection goes on.
    second.envelope(&["alice", "bob"]).await;
    assert!(second.data(&large()).await.starts_with("452 4.3.1"));
    assert!(second.reply().await.starts_with("452 4.3.1"));
    second.envelope(&["bob"]).await;
    let chunk = [
        format!("BDAT {MESSAGE} LAST\r\n").into_bytes(),
        vec![b'z'; MESSAGE],
    ];
    second.send(&chunk.concat()).await;
    assert!(second.reply().await.starts_with("452 4.3.1"));
    // Small mail moves on.
    second.envelope(&["bob"]).await;
    assert!(
        second
            .data(b"Subject: x\r\n\r\n.\r\n")
            .await
            .starts_with("250")
    );
    // What was held is given back: by delivery, by RSET, and by a client that goes away.
    assert!(first.command("BDAT 0 LAST").await.starts_with("250"));
    for end in ["RSET", "QUIT"] {
        let mut third = rig.greet().await;
        third.envelope(&["alice"]).await;
        third.send(format!("BDAT {MESSAGE}\r\n").as_bytes()).await;
        third.send(&vec![b'y'; MESSAGE]).await;
        assert!(third.reply().await.starts_with("250 2.0.0"));
        third.command(end).await;
        if end == "QUIT" {
            third.rest().await;
        }
        second.envelope(&["bob"]).await;
        assert!(second.data(&large()).await.starts_with("250"), "{end}");
    }
    assert_eq!(rig.messages("bob", "INBOX").await.len(), 3);
    assert_eq!(rig.messages("alice", "INBOX").await.len(), 1);
    rig.assert_sound().await;
}

#[tokio::test]
async fn a_message_id_is_delivered_once_into_a_mailbox_where_that_is_wanted() {
    let duplicate_days = 3;
    let wanted = rig(Settings {
        duplicate_days,
        create_folders: true,
        ..Settings::default()
    })
    .await;
    let always = rig(Settings::default()).await;
    for (rig, copies) in [(&wanted, 1), (&always, 3)] {
        let mut client = rig.greet().await;
        for _ in 0..3 {
            client.envelope(&["alice", "bob"]).await;
            let message = b"Message-ID: <1@x>\r\n\r\nx\r\n.\r\n";
            assert!(client.data(message).await.starts_with("250 2.0.0"));
            assert!(client.reply().await.starts_with("250 2.0.0"));
        }
        for user in ["alice", "bob"] {
            assert_eq!(rig.messages(user, "INBOX").await.len(), copies);
        }
        // Another one, one without, and the same in another mailbox.
        let other = [&b"Message-ID: <2@x>\r\n\r\n"[..], b"Subject: 1@x\r\n\r\n"];
        for head in other {
            client.envelope(&["alice"]).await;
            let message = [head, b"x\r\n.\r\n"].concat();
            assert!(
                client
                    .data(&message)
                    .await
                    .starts_with("250 2.0.0 delivered")
            );
        }
        client.envelope(&["alice"]).await;
        let message = b"Subject: 1@x\r\n\r\nx\r\n.\r\n";
        assert!(
            client
                .data(message)
                .await
                .starts_with("250 2.0.0 delivered")
        );
        assert_eq!(rig.messages("alice", "INBOX").await.len(), copies + 3);
        rig.assert_sound().await;
    }
    let mut client = wanted.greet().await;
    client.envelope(&["alice+Lists"]).await;
    let message = b"Message-ID: <1@x>\r\n\r\nx\r\n.\r\n";
    assert!(
        client
            .data(message)
            .await
            .starts_with("250 2.0.0 delivered")
    );
    assert_eq!(wanted.messages("alice", "Lists").await.len(), 1);
    wanted.assert_sound().await;
}
