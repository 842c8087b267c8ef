//! A Redshift elsewhere, on the wire of the double.

use std::time::Duration;

use weir_core::diagnosis::Diagnose;
use weir_project::{SecretText, WarehouseTarget};

use super::mirrors::{STATE, TOPIC, Topics, advance, change, options, small_project, values};
use super::wire::{Served, served_with};
use super::{Fixture, project};
use crate::mirror::Mirrors;
use crate::{Connection, Options, Redshift, Users};

fn connect(served: &Served, user: &str) -> Box<dyn Connection> {
    let mut settings = project().warehouse;
    let url = format!("postgres://{user}@127.0.0.1:{}/dev", served.port);
    settings.target = WarehouseTarget::Address(SecretText::plain(url));
    settings.timeout = Duration::from_secs(20);
    Redshift::of(&settings).unwrap().connect().unwrap()
}

fn texts(connection: &mut dyn Connection, query: &str) -> Vec<String> {
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    let rows = connection.rows(query).unwrap().into_iter();
    rows.map(|row| row.into_iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

const NEVER: (&str, &str) = ("", "");

#[test]
fn mirrors_are_set_up_refreshed_and_applied_over_the_wire() {
    let topics = Topics::default();
    let served = served_with(Users::Trust, options(&topics));
    for (id, place) in [(1, 1), (2, 2)] {
        topics.send(TOPIC, 0, Some(change(id, weir_core::change::Op::Create, place, "1.5")));
    }
    let mut mirrors = Mirrors::prepare(connect(&served, "weir"), &small_project(), &values()).unwrap();
    advance(&mut mirrors);
    topics.send(TOPIC, 0, Some(change(1, weir_core::change::Op::Delete, 3, "1.5")));
    let advanced = mirrors.advance(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    assert_eq!((advanced.records, advanced.left), (1, 0));
    drop(mirrors);
    // What is there is not set up again.
    advance(&mut Mirrors::prepare(connect(&served, "weir"), &small_project(), &values()).unwrap());
    assert_eq!(texts(&mut *connect(&served, "weir"), STATE), ["p2|1.500"]);
}

#[test]
fn a_row_is_the_same_over_the_wire_as_in_the_session() {
    const VALUES: &str = "SELECT CAST(1 AS SMALLINT) AS a, 2147483648 AS b, 1.50::decimal(12,3) AS c, 'x' AS d, NULL::int AS e, \
        true AS f, '2024-01-02'::date AS g, '2024-01-02 03:04:05.6'::timestamp AS h, 0.1::double precision AS i, 'ab'::varbyte AS j";
    let fixture = Fixture::new();
    let served = served_with(Users::Trust, Options { threads: Some(2), ..Options::default() });
    let all = |connection: &mut dyn Connection| {
        let mut rows = Vec::new();
        connection.each_row(VALUES, &mut |row| rows.push(row.clone())).unwrap();
        rows
    };
    let here = all(&mut fixture.session());
    assert_eq!(here.len(), 1);
    assert_eq!(all(&mut *connect(&served, "weir")), here);
}

#[test]
fn a_script_that_fails_is_undone_as_a_whole_and_the_connection_goes_on() {
    let served = served_with(Users::Trust, Options { threads: Some(2), ..Options::default() });
    let mut connection = connect(&served, "weir");
    connection.run_apart("CREATE TABLE t (a INT NOT NULL)").unwrap();
    let error = connection.transaction("BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (NULL); COMMIT", NEVER);
    assert_eq!(error.unwrap_err().diagnosis().code.0, "W7105");
    assert_eq!(texts(&mut *connection, "SELECT COUNT(*) FROM t"), ["0"]);
    connection.transaction("BEGIN; INSERT INTO t VALUES (1); COMMIT", NEVER).unwrap();
    assert_eq!(texts(&mut *connection, "SELECT COUNT(*) FROM t"), ["1"]);
    let error = connection.transaction("BEGIN; CREATE INDEX i ON t (a); COMMIT", NEVER).unwrap_err();
    assert_eq!(error.diagnosis().code.0, "W7608", "not sent: {error}");
}

#[test]
fn a_server_that_goes_away_is_connected_to_again_or_told() {
    let served = served_with(Users::Trust, Options { threads: Some(2), ..Options::default() });
    let mut connection = connect(&served, "weir");
    assert_eq!(texts(&mut *connection, "SELECT 1 AS one"), ["1"]);
    drop(served);
    for _ in 0..2 {
        let error = connection.rows("SELECT 1 AS one").unwrap_err();
        assert_eq!(error.diagnosis().code.0, "W7601", "{error}");
    }
}

/// A server on loopback that asks for a password in this way; what it is sent.
fn asks(request: Vec<u8>) -> (u16, std::thread::JoinHandle<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let talks = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut read = |head: usize| {
            let mut start = vec![0; head];
            socket.read_exact(&mut start).unwrap();
            let length = u32::from_be_bytes(start[head - 4..].try_into().unwrap());
            let mut body = vec![0; length as usize - 4];
            socket.read_exact(&mut body).unwrap();
            (body, socket.try_clone().unwrap())
        };
        let (_, mut out) = read(4);
        out.write_all(b"N").unwrap();
        read(4);
        out.write_all(&request).unwrap();
        let (password, _) = read(5);
        out.write_all(&[b"R\0\0\0\x08\0\0\0\0".as_slice(), b"Z\0\0\0\x05I"].concat()).unwrap();
        String::from_utf8(password).unwrap().trim_end_matches('\0').to_owned()
    });
    (port, talks)
}

#[test]
fn a_password_is_given_in_clear_or_as_md5_as_the_server_asks() {
    let login = |port: u16| {
        let url = weir_project::Secret::plain(format!("postgres://weir:geheim@127.0.0.1:{port}/dev"));
        let address = crate::redshift::Address::of_url(url).unwrap();
        crate::Client::login(&address, &address.login().unwrap(), Duration::from_secs(5)).map(drop)
    };
    let (port, talks) = asks(b"R\0\0\0\x08\0\0\0\x03".to_vec());
    login(port).unwrap();
    assert_eq!(talks.join().unwrap(), "geheim");
    let (port, talks) = asks(b"R\0\0\0\x0c\0\0\0\x05salt".to_vec());
    login(port).unwrap();
    // md5(md5("geheim" + "weir") + "salt")
    assert_eq!(talks.join().unwrap(), "md55996a244828c6635faf05a69e4bd6913");
}

#[test]
fn a_server_that_asks_for_another_proof_than_a_password_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    std::fs::write(&file, "weir:geheim\n").unwrap();
    let served = served_with(Users::from_file(&file).unwrap(), Options { threads: Some(2), ..Options::default() });
    let error = connect(&served, "weir:geheim").rows("SELECT 1").unwrap_err();
    assert_eq!(error.diagnosis().code.0, "W7606", "{error}");
    assert!(!error.to_string().contains("geheim"));
}
