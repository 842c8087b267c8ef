//! The protocol's face: connections, frames, and one file per family of requests.
//!
//! One request of a connection at a time and answers in order, as Kafka does it.

mod admin;
mod configs;
mod dispatch;
mod fetch;
mod groups;
mod list_offsets;
mod metadata;
mod produce;
mod refuse;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::broker::Shared;

/// Kafka's `socket.request.max.bytes`.
const LARGEST_REQUEST: usize = 100 << 20;
/// How long requests under way may take at the end.
const GRACE: Duration = Duration::from_secs(2);
/// This broker's number in its cluster of one.
const NODE: i32 = 1;

/// Accepts connections until the broker stops, then lets requests under way end.
pub(crate) async fn serve(listener: TcpListener, shared: &Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => drop(connections.spawn(connection(stream, peer, Arc::clone(shared)))),
                Err(error) => {
                    // Out of file handles, most likely: others may close theirs.
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE, ended).await);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    if let Err(error) = converse(stream, peer, &shared).await {
        tracing::debug!(%error, %peer, "connection ended");
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::with_capacity(64 << 10, reading);
    loop {
        let frame = tokio::select! {
            () = shared.stop.cancelled() => return Ok(()),
            frame = read_frame(&mut reading) => frame?,
        };
        let Some(frame) = frame else { return Ok(()) };
        match dispatch::answer(shared, frame, peer).await {
            Ok(Some(answer)) => writing.write_all(&answer).await?,
            Ok(None) => {}
            Err(refused) => {
                tracing::warn!(%peer, reason = %refused, "request refused, connection closed");
                return Ok(());
            }
        }
    }
}

/// The next request without its length; none when the client has gone.
async fn read_frame(reading: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Bytes>> {
    let length = match reading.read_i32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(length).ok().filter(|l| *l <= LARGEST_REQUEST);
    let Some(length) = length else { return Err(io::Error::other("a request of impossible length")) };
    let mut frame = BytesMut::with_capacity(length);
    let mut rest = reading.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// The number of an outcome on the wire.
fn code(outcome: Result<(), ResponseError>) -> i16 {
    outcome.err().map_or(0, |error| error.code())
}

/// Compares the epoch that a client believes in with the broker's (KIP-320); -1: it does not say.
fn check_epoch(shared: &Shared, believed: i32) -> Result<(), ResponseError> {
    match believed {
        -1 => Ok(()),
        epoch if epoch < shared.state.leader_epoch => Err(ResponseError::FencedLeaderEpoch),
        epoch if epoch > shared.state.leader_epoch => Err(ResponseError::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
