//! Small servers with scripted answers: what the client tries, repeats, and makes of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::{Client, ClientError, Wait};

const DONE: &str = r#"{"index":7,"outcome":"done","detail":"so"}"#;
const NO_QUORUM: &str = r#"{"title":"x","status":503,"code":"no_quorum","detail":"ask again"}"#;
const NOT_FOUND: &str =
    r#"{"title":"x","status":404,"code":"not_found","detail":"there is no package \"wep\"","nearest":"web"}"#;

/// What a scripted server does with a connection; the last one repeats.
#[derive(Clone, Copy)]
enum Act {
    Answer(u16, &'static str),
    /// Reads the request and hangs up.
    HangUp,
}

/// Starts a server; the requests that it reads come out of the channel.
async fn server(acts: &'static [Act]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut position = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0_u8; 65_536];
            let length = stream.read(&mut bytes).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let act = acts[position.min(acts.len() - 1)];
            position += 1;
            let _ = sender.try_send(request);
            if let Act::Answer(status, body) = act {
                let head = format!(
                    "HTTP/1.1 {status} x\r\nx-index: 7\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        }
    });
    (address, receiver)
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn key_of(request: &str) -> Option<&str> {
    request.lines().find_map(|line| line.strip_prefix("idempotency-key: "))
}

#[tokio::test]
async fn the_next_server_is_asked_and_remembered() {
    let (alive, mut requests) = server(&[Act::Answer(200, DONE)]).await;
    let client = Client::new(&[nobody().await, alive]).unwrap();
    let answer = client.start("web", Wait::No).await.unwrap();
    assert_eq!(
        (answer.index, answer.body.index, answer.text.as_str()),
        (Some(7), 7, DONE)
    );
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("POST /v1/packages/web/start?wait=0 HTTP/1.1"),
        "{request}"
    );
    assert_eq!(key_of(&request).map(str::len), Some(32));
}

#[tokio::test]
async fn a_change_keeps_its_key_through_all_attempts() {
    let (breaks, mut first) = server(&[Act::HangUp]).await;
    let (alive, mut second) = server(&[Act::Answer(503, NO_QUORUM), Act::Answer(200, DONE)]).await;
    let client = Client::new(&[breaks, alive]).unwrap();
    client
        .move_to("web", "n2", Wait::UpTo(Duration::from_secs(1)))
        .await
        .unwrap();
    let (one, two) = (first.recv().await.unwrap(), second.recv().await.unwrap());
    assert!(two.ends_with(r#"{"to":"n2"}"#), "{two}");
    assert!(key_of(&one).is_some());
    assert_eq!(key_of(&one), key_of(&two));
}

#[tokio::test]
async fn a_refusal_is_final_and_names_the_nearest() {
    let (refuses, mut requests) = server(&[Act::Answer(404, NOT_FOUND)]).await;
    let client = Client::new(&[refuses]).unwrap();
    let error = client.stop("wep", Wait::No).await.unwrap_err();
    assert!(error.is_code("not_found"), "{error}");
    assert_eq!(error.problem().unwrap().nearest.as_deref(), Some("web"));
    requests.recv().await.unwrap();
    assert!(requests.try_recv().is_err(), "asked again after a refusal");
}

#[tokio::test]
async fn unreachable_no_quorum_and_unknown_are_told_apart() {
    let client = Client::with_patience(&[nobody().await], Duration::from_millis(300)).unwrap();
    assert!(matches!(
        client.start("web", Wait::No).await,
        Err(ClientError::Unreachable { .. })
    ));

    let (minority, _requests) = server(&[Act::Answer(503, NO_QUORUM)]).await;
    let client = Client::with_patience(&[minority], Duration::from_millis(300)).unwrap();
    assert!(matches!(
        client.start("web", Wait::No).await,
        Err(ClientError::NoQuorum(_))
    ));

    let (breaks, _requests) = server(&[Act::HangUp]).await;
    let client = Client::with_patience(&[breaks], Duration::from_millis(300)).unwrap();
    assert!(matches!(
        client.start("web", Wait::No).await,
        Err(ClientError::Unknown { .. })
    ));
    // A read has no outcome that could be unknown.
    assert!(matches!(client.status().await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn a_name_can_not_leave_its_place_in_the_path() {
    let (alive, mut requests) = server(&[Act::Answer(404, NOT_FOUND)]).await;
    let client = Client::new(&[alive]).unwrap();
    client.package("../nodes?x").await.unwrap_err();
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("GET /v1/packages/..%2Fnodes%3Fx HTTP/1.1"),
        "{request}"
    );
    assert!(client.package("..").await.unwrap_err().is_code("not_found"));
}

#[test]
fn addresses_are_checked() {
    for wrong in ["", "https://a:1", "ftp://a", "http://", "http://a:1/path", "a b"] {
        let error = Client::new(&[wrong.to_owned()]).unwrap_err();
        assert!(matches!(error, ClientError::Endpoint { .. }), "{wrong}");
    }
    let client = Client::new(&["10.0.0.1:7400".to_owned(), "http://[::1]:7400/".to_owned()]).unwrap();
    assert_eq!(client.endpoints(), ["http://10.0.0.1:7400", "http://[::1]:7400"]);
}
