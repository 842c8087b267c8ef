//! A client of the Postgres wire, as small as a double of the Data API needs it: simple queries, all answers as text.

use std::io::{Read, Write};
use std::net::TcpStream;

/// What a statement gave.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    /// Name and type number per column; none for a statement without rows.
    pub columns: Option<Vec<(String, u32)>>,
    pub rows: Vec<Vec<Option<String>>>,
    /// The last number of its tag.
    pub touched: i64,
}

pub struct Wire(TcpStream);

impl Wire {
    pub fn connect(port: u16) -> Self {
        let mut wire = Self(TcpStream::connect(("127.0.0.1", port)).unwrap());
        let mut startup = vec![0, 3, 0, 0];
        startup.extend(b"user\0weir\0database\0weir\0\0");
        wire.send(&startup, None);
        while wire.receive().0 != b'Z' {}
        wire
    }

    /// Runs one statement; its message where it fails.
    pub fn run(&mut self, sql: &str) -> Result<Answer, String> {
        self.send(&[sql.as_bytes(), b"\0"].concat(), Some(b'Q'));
        let (mut answer, mut failed) = (Answer::default(), None);
        loop {
            let (kind, body) = self.receive();
            let mut at = 2;
            match kind {
                b'T' => {
                    let column = |_| {
                        let end = at + body[at..].iter().position(|byte| *byte == 0).unwrap();
                        let name = String::from_utf8_lossy(&body[at..end]).into_owned();
                        at = end + 19;
                        (name, number(&body[end + 7..]))
                    };
                    answer.columns = Some((0..count(&body)).map(column).collect());
                }
                b'D' => {
                    let cell = |_| {
                        let length = number(&body[at..]);
                        at += 4;
                        let length = (length != u32::MAX).then_some(length as usize)?;
                        at += length;
                        Some(String::from_utf8_lossy(&body[at - length..at]).into_owned())
                    };
                    answer.rows.push((0..count(&body)).map(cell).collect());
                }
                b'C' => {
                    let tag = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
                    answer.touched = tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(-1);
                }
                b'E' => {
                    let fields = body.split(|byte| *byte == 0);
                    let message = fields.filter_map(|field| field.strip_prefix(b"M")).next().unwrap_or_default();
                    failed = Some(format!("ERROR: {}", String::from_utf8_lossy(message)));
                }
                b'Z' => return failed.map_or(Ok(answer), Err),
                _ => {}
            }
        }
    }

    fn send(&mut self, body: &[u8], kind: Option<u8>) {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        self.0.write_all(&[kind.as_slice(), &length, body].concat()).unwrap();
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).unwrap();
        let mut body = vec![0; number(&head[1..]) as usize - 4];
        self.0.read_exact(&mut body).unwrap();
        (head[0], body)
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

fn count(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
