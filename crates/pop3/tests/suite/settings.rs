//! What settings change.

use std::time::Duration;

use crate::common::{PASSWORD, Rig};
use net::Timeouts;
use pop3::{Language, Settings};
use storage::{Call, ErrorKind};

async fn rig(settings: Settings) -> Rig {
    Rig::with(settings, Timeouts::default()).await
}

#[tokio::test]
async fn rfc2449_6_5_login_delay_is_announced_and_enforced_for_each_account() {
    let rig = rig(Settings {
        login_delay: Duration::from_secs(3600),
        ..Settings::default()
    })
    .await;
    let mut client = rig.connect().await;
    assert!(
        client
            .rows("CAPA")
            .await
            .contains(&"LOGIN-DELAY 3600".to_owned())
    );
    // A wrong password, or a folder that is not there, is no login.
    client.command("USER alice").await;
    assert!(
        client
            .command("PASS wrong")
            .await
            .starts_with("-ERR [AUTH]")
    );
    client.command("USER alice+Nowhere").await;
    let answer = client.command(&format!("PASS {PASSWORD}")).await;
    assert_eq!(answer, "-ERR [AUTH] no such folder");
    client.command("USER alice").await;
    assert!(
        client
            .command(&format!("PASS {PASSWORD}"))
            .await
            .starts_with("+OK")
    );
    assert!(
        client
            .rows("CAPA")
            .await
            .contains(&"LOGIN-DELAY 3600".to_owned())
    );
    client.quit().await;
    // On another connection, by another mechanism, and for a folder.
    let mut again = rig.connect().await;
    for _ in 0..20 {
        again.command("USER alice").await;
        let answer = again.command(&format!("PASS {PASSWORD}")).await;
        assert_eq!(
            answer,
            "-ERR [LOGIN-DELAY] logged in too recently, try again later"
        );
    }
    let answer = again.command("AUTH PLAIN AGFsaWNlAHBhc3Mgd29yZA==").await;
    assert!(answer.starts_with("-ERR [LOGIN-DELAY]"), "{answer}");
    again.command("USER alice+Trash").await;
    let answer = again.command(&format!("PASS {PASSWORD}")).await;
    assert!(answer.starts_with("-ERR [LOGIN-DELAY]"), "{answer}");
    // Who does not know the password learns nothing of it.
    again.command("USER alice").await;
    assert!(again.command("PASS wrong").await.starts_with("-ERR [AUTH]"));
    // Others do not wait.
    rig.login_as("bob").await.quit().await;
}

#[tokio::test]
async fn rfc2449_8_1_2_an_exclusive_maildrop_is_in_use_until_its_session_ends() {
    let rig = rig(Settings {
        exclusive_sessions: true,
        ..Settings::default()
    })
    .await;
    let first = rig.login().await;
    let mut second = rig.connect().await;
    second.command("USER alice").await;
    let answer = second.command(&format!("PASS {PASSWORD}")).await;
    assert_eq!(
        answer,
        "-ERR [IN-USE] another session has this maildrop open"
    );
    // Another folder and another account are other maildrops.
    rig.login_as("alice+Trash").await.quit().await;
    rig.login_as("bob").await.quit().await;
    first.quit().await;
    second.command("USER alice").await;
    assert!(
        second
            .command(&format!("PASS {PASSWORD}"))
            .await
            .starts_with("+OK")
    );
    // Without QUIT it is free as soon as the server sees the end.
    drop(second);
    let mut third = rig.connect().await;
    let mut answer = String::new();
    for _ in 0..1000 {
        third.command("USER alice").await;
        answer = third.command(&format!("PASS {PASSWORD}")).await;
        if answer.starts_with("+OK") {
            break;
        }
        assert!(answer.starts_with("-ERR [IN-USE]"), "{answer}");
        tokio::task::yield_now().await;
    }
    assert!(answer.starts_with("+OK"), "{answer}");
}

#[tokio::test]
async fn rfc6856_5_a_message_that_needs_utf8_is_refused_where_configured() {
    let subject = "Subject: Grüße\r\n\r\nbody\r\n".as_bytes();
    let body = "Subject: plain\r\n\r\nGrüße\r\n".as_bytes();
    let old = b"Subject: Gr\xfc\xdfe\r\n\r\nbody\r\n";
    for refuse_utf8 in [false, true] {
        let rig = rig(Settings {
            refuse_utf8,
            ..Settings::default()
        })
        .await;
        for message in [subject, body, old] {
            rig.append("INBOX", "", message, 1).await;
        }
        let mut client = rig.login().await;
        if refuse_utf8 {
            let refused = "-ERR [UTF8] this message can be retrieved after UTF8 only";
            assert_eq!(client.command("RETR 1").await, refused);
            assert_eq!(client.command("TOP 1 0").await, refused);
        } else {
            assert_eq!(client.multi("RETR 1").await, subject);
        }
        assert_eq!(client.multi("RETR 2").await, body);
        assert_eq!(client.multi("RETR 3").await, old);
        client.quit().await;
        // What was refused was not retrieved.
        let seen = rig.uids("INBOX").await[0].1;
        assert_eq!(seen, !refuse_utf8);
        let mut client = rig.connect().await;
        assert_eq!(client.command("UTF8").await, "+OK UTF8 enabled");
        client.command("USER alice").await;
        client.command(&format!("PASS {PASSWORD}")).await;
        assert_eq!(client.multi("RETR 1").await, subject);
        assert_eq!(client.multi("TOP 1 0").await, &subject[..subject.len() - 6]);
        client.quit().await;
        rig.assert_sound().await;
    }
}

#[tokio::test]
async fn rfc6856_3_2_the_administrator_chooses_what_a_star_means() {
    let rig = rig(Settings {
        language: Language::German,
        ..Settings::default()
    })
    .await;
    let mut client = rig.connect().await;
    assert_eq!(
        client.command("STAT").await,
        "-ERR command not allowed in this state"
    );
    assert_eq!(client.command("LANG *").await, "+OK de Texte auf Deutsch");
    assert_eq!(
        client.command("STAT").await,
        "-ERR Befehl in diesem Zustand nicht erlaubt"
    );
}

#[tokio::test]
async fn design_5_4_the_policy_of_the_server_holds_where_an_account_has_none() {
    let rig = rig(Settings {
        policy: "keep-days:60".parse().expect("a policy"),
        ..Settings::default()
    })
    .await;
    let expire = |capa: Vec<String>| capa.into_iter().find(|line| line.starts_with("EXPIRE"));
    let mut client = rig.connect().await;
    assert_eq!(
        expire(client.rows("CAPA").await).as_deref(),
        Some("EXPIRE 60 USER")
    );
    let mut client = rig.login().await;
    assert_eq!(
        expire(client.rows("CAPA").await).as_deref(),
        Some("EXPIRE 60")
    );
    // The smallest that anybody may have is announced to all.
    let short = "keep-days:3".parse().expect("a policy");
    rig.alice
        .set_pop3_policy(mail::PolicyOf::Account, Some(&short))
        .await
        .expect("set");
    let mut client = rig.connect().await;
    assert_eq!(
        expire(client.rows("CAPA").await).as_deref(),
        Some("EXPIRE 3 USER")
    );
    let mut client = rig.login_as("bob").await;
    assert_eq!(
        expire(client.rows("CAPA").await).as_deref(),
        Some("EXPIRE 60")
    );
    let mut client = rig.login().await;
    assert_eq!(
        expire(client.rows("CAPA").await).as_deref(),
        Some("EXPIRE 3")
    );
}

#[tokio::test]
async fn without_memory_long_messages_go_in_small_pieces_and_are_the_same() {
    let mut text = "Subject: long\r\n\r\n".to_owned();
    for line in 0..9000 {
        let end = if line % 7 == 0 { "\n" } else { "\r\n" };
        text += &format!("{}line {line} of a long text{end}", &"..."[..line % 4]);
    }
    let mut told: Vec<Vec<Vec<u8>>> = Vec::new();
    for memory_bytes in [Settings::default().memory_bytes, 0] {
        let rig = rig(Settings {
            memory_bytes,
            ..Settings::default()
        })
        .await;
        for (bytes, copies) in [
            (text.as_str(), 2),
            (&format!("{text}{}", text[15..].repeat(6)), 1),
            ("Subject: short\r\n\r\nHello\r\n", 3),
        ] {
            rig.append("INBOX", "X-Own: 1\r\n", bytes.as_bytes(), copies)
                .await;
        }
        let mut client = rig.login().await;
        let mut answers = Vec::new();
        for command in [
            "RETR 1",
            "RETR 2",
            "RETR 3",
            "RETR 4",
            "TOP 1 0",
            "TOP 2 150",
            "TOP 3 10000",
            "TOP 3 30",
            "TOP 6 1",
        ] {
            assert!(client.command(command).await.starts_with("+OK"));
            answers.push(client.body().await);
        }
        client
            .send(b"RETR 1\r\nRETR 2\r\nTOP 3 999999\r\nRETR 5\r\nRETR 6\r\n")
            .await;
        for _ in 0..5 {
            assert!(client.line().await.starts_with("+OK"));
            answers.push(client.body().await);
        }
        told.push(answers);
        // Nothing of a message is sent that cannot be sent to its end.
        let fail = |call, kind| rig.faults.fail_nth(call, 1, kind);
        fail(Call::BlobVerify, ErrorKind::Corrupt);
        let answer = client.command("RETR 3").await;
        assert!(answer.starts_with("-ERR [SYS/PERM]"), "{answer}");
        fail(Call::BlobGet, ErrorKind::Unavailable);
        let answer = client.command("TOP 3 9").await;
        assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
        client.quit().await;
        rig.assert_sound().await;
    }
    for (n, (plenty, scarce)) in told[0].iter().zip(&told[1]).enumerate() {
        assert!(plenty == scarce, "answer {n}");
    }
    assert_eq!(told[0][0], told[0][9]);
    assert!(told[0][2].len() > 1 << 20);
}
