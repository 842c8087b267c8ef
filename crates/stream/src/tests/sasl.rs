//! How clients show who they are: a broker's side of the SASL handshake made by hand, which takes what is shown and says no.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_project::Secret;

use super::Rotated;
use crate::aws::{Provider, Source};
use crate::{Admin, Connection, Consumer, Producer, StreamError};

const API_VERSIONS: u16 = 18;
const HANDSHAKE: u16 = 17;
const AUTHENTICATE: u16 = 36;

/// The requests that this broker names, with their newest version.
const KNOWN: [(u16, u16); 4] = [(3, 9), (API_VERSIONS, 3), (HANDSHAKE, 1), (AUTHENTICATE, 0)];

/// Listens for clients with this mechanism; hands over what each connection shows to prove who it is.
fn broker(mechanism: &'static str) -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (shown, taken) = sync_channel(16);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Whoever hangs up early tries again.
            let _ = serve(stream, mechanism, &shown);
        }
    });
    (address, taken)
}

fn serve(mut stream: TcpStream, mechanism: &str, shown: &SyncSender<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let (key, version, correlation) = (number(0), number(2), &request[4..8]);
        // Behind the client's id; only the newest ApiVersions has tags there, and its body is not read.
        let body = &request[10 + usize::from(number(8))..];
        let answer = match key {
            API_VERSIONS => api_versions(version),
            HANDSHAKE => {
                let named = [&(mechanism.len() as u16).to_be_bytes(), mechanism.as_bytes()].concat();
                assert_eq!(body, named);
                [b"\0\0\0\0\0\x01", &named[..]].concat()
            }
            AUTHENTICATE => {
                let _ = shown.send(body[4..].to_vec());
                // SASL_AUTHENTICATION_FAILED, without words.
                [&58_u16.to_be_bytes()[..], &[0xff, 0xff], &[0; 4]].concat()
            }
            // Nothing else may come before.
            other => panic!("request {other} of a client that has not shown who it is"),
        };
        let length = u32::try_from(4 + answer.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], correlation, &answer].concat())?;
    }
}

fn api_versions(version: u16) -> Vec<u8> {
    let mut out = vec![0, 0];
    let flexible = version >= 3;
    if flexible {
        out.push(KNOWN.len() as u8 + 1);
    } else {
        out.extend_from_slice(&(KNOWN.len() as u32).to_be_bytes());
    }
    for (key, newest) in KNOWN {
        for number in [key, 0, newest] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        if flexible {
            out.push(0);
        }
    }
    if version >= 1 {
        out.extend_from_slice(&[0; 4]); // no throttling
    }
    if flexible {
        out.push(0);
    }
    out
}

/// A connection as MSK's are, but for TLS.
fn connection(address: &str) -> Connection {
    let client = [("security.protocol".to_owned(), "SASL_PLAINTEXT".to_owned())].into();
    let variables = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "geheim")];
    let value = move |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    Connection::new(address, client).with_source(Source::new("eu-central-1", Provider::of(value)))
}

#[test]
fn every_client_shows_a_token_before_anything_else_also_one_that_nobody_has_polled() {
    type Ask = fn(&Connection);
    let clients: [(&str, Ask); 3] = [
        ("consumer", |connection| drop(Consumer::new(connection, "t").unwrap().partitions())),
        ("admin", |connection| drop(Admin::new(connection).unwrap().topics())),
        ("producer", |connection| {
            let producer = Producer::new(connection).unwrap();
            producer.send("t", 0, None, Some(b"v"), &[]).unwrap();
            std::thread::sleep(Duration::from_secs(20));
        }),
    ];
    for (name, ask) in clients {
        let (address, shown) = broker("OAUTHBEARER");
        // It waits for its answer longer than this test does.
        std::thread::spawn(move || ask(&connection(&address)));
        let shown = shown.recv_timeout(Duration::from_secs(15)).unwrap_or_else(|_| panic!("{name} shows nothing"));
        let shown = String::from_utf8(shown).unwrap();
        let token = shown.strip_prefix("n,,\x01auth=Bearer ").and_then(|rest| rest.strip_suffix("\x01\x01"));
        let url = URL_SAFE_NO_PAD.decode(token.unwrap_or_else(|| panic!("{name}: {shown}"))).unwrap();
        let url = String::from_utf8(url).unwrap();
        let start = "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&";
        assert!(url.starts_with(start) && url.contains("X-Amz-Credential=AKID%2F"), "{name}: {url}");
    }
}

#[test]
fn without_credentials_a_client_says_so_at_once() {
    let connection = Connection::new("127.0.0.1:1", [].into());
    let connection = connection.with_source(Source::new("eu-central-1", Provider::of(|_| None)));
    let error = Consumer::new(&connection, "t").unwrap().partitions().unwrap_err();
    assert!(matches!(error, StreamError::Credentials { .. }), "{error:?}");
}

#[test]
fn a_reader_that_is_refused_shows_the_password_that_its_reference_leads_to_by_then() {
    let (address, shown) = broker("PLAIN");
    let settings = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.username", "weir")];
    let mut client: BTreeMap<String, Secret> =
        settings.into_iter().map(|(key, value)| (key.to_owned(), Secret::plain(value))).collect();
    client.insert("sasl.password".to_owned(), Rotated::secret("${aws-sm:shop/kafka#password}", ["alt", "neu"]));
    let connection = Connection::secret(Secret::plain(address), client);
    // It reads on for longer than this test does.
    std::thread::spawn(move || {
        let consumer = Consumer::new(&connection, "t").unwrap();
        consumer.join().unwrap();
        let outcomes = std::iter::repeat_with(|| consumer.poll_batch(1, 1, Duration::from_millis(200)));
        // What ends it is that the second password is refused as well, and there is no third one.
        outcomes.take(100).find_map(Result::err)
    });
    let next = || shown.recv_timeout(Duration::from_secs(15)).unwrap();
    assert_eq!(next(), b"\0weir\0alt");
    // librdkafka may have tried the old one again before the refusal was read.
    let renewed = std::iter::repeat_with(next).take(20).find(|shown| shown != b"\0weir\0alt");
    assert_eq!(renewed.as_deref(), Some(&b"\0weir\0neu"[..]));
}
