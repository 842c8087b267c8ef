//! A thread with an event loop of its own: a server answers even while its caller's runtime is busy or blocked.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::BrokerError;

/// A running server thread. Dropping it stops the server and waits for its last flush.
#[derive(Debug)]
pub(crate) struct Host {
    stop: CancellationToken,
    done: Option<oneshot::Receiver<Result<(), BrokerError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Runs `start` in the new event loop and hands back what it gave; then runs the future until stopped.
    pub(crate) fn start<T, F, Fut>(name: &'static str, workers: usize, start: F) -> Result<(Self, T), BrokerError>
    where
        T: Send + 'static,
        F: FnOnce(CancellationToken) -> Result<(T, Fut), BrokerError> + Send + 'static,
        Fut: Future<Output = Result<(), BrokerError>> + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|source| BrokerError::Thread { name, source })?;
        let stop = CancellationToken::new();
        let token = stop.clone();
        let (started, outcome) = mpsc::sync_channel(1);
        let (finish, done) = oneshot::channel();
        let body = move || {
            let entered = runtime.enter();
            match start(token) {
                Err(error) => drop(started.send(Err(error))),
                Ok((value, serve)) => {
                    drop(started.send(Ok(value)));
                    drop(entered);
                    let result = runtime.block_on(serve);
                    // Whoever shuts down learns of it after the last task is gone.
                    drop(runtime);
                    drop(finish.send(result));
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(body)
            .map_err(|source| BrokerError::Thread { name, source })?;
        match outcome.recv() {
            Ok(Ok(value)) => Ok((Self { stop, done: Some(done), thread: Some(thread) }, value)),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let source = io::Error::other("the thread ended before it had started");
                Err(BrokerError::Thread { name, source })
            }
        }
    }

    /// Stops the server; afterwards its port is free and everything is flushed.
    pub(crate) async fn shutdown(mut self) -> Result<(), BrokerError> {
        self.stop.cancel();
        match self.done.take() {
            // A closed channel means that the thread panicked, which has been printed.
            Some(done) => done.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Listens on a loopback address; every other is refused, since nobody is asked who they are.
pub(crate) fn listen(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), BrokerError> {
    if !address.ip().is_loopback() {
        return Err(BrokerError::NotLoopback { address });
    }
    let listener = std::net::TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BrokerError::PortInUse { address },
        _ => BrokerError::Listen { address, source },
    })?;
    let refused = |source| BrokerError::Listen { address, source };
    listener.set_nonblocking(true).map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    Ok((listener, local))
}
