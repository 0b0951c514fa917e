//! Connections of a small HTTP server: how many there may be, and how long each may take.
//!
//! Each is a task that answers one request and ends. The newest is let in and the oldest dropped, so that clients which
//! send nothing keep nobody out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};

/// More at a time are not let in.
const CONNECTIONS: usize = 32;
/// A request's head has to be there by then.
const HEAD: Duration = Duration::from_secs(5);
/// A connection has to be over by then.
const WHOLE: Duration = Duration::from_secs(10);
/// A head may be so long: the least that hyper allows.
const HEAD_BYTES: usize = 8192;
/// And have so many lines.
const HEADERS: usize = 64;
/// After a failure to accept, which is one of too many descriptors.
pub const PAUSE: Duration = Duration::from_millis(200);

/// Those that go on, oldest first. With it they end.
#[derive(Default)]
pub struct Connections {
    tasks: JoinSet<()>,
    handles: VecDeque<AbortHandle>,
}

impl Connections {
    /// One request, one answer, and the connection is over.
    pub fn begin<F>(
        &mut self,
        stream: TcpStream,
        answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        if self.handles.len() >= CONNECTIONS
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        self.handles
            .push_back(self.tasks.spawn(answer_one(stream, answer)));
    }
}

async fn answer_one<F>(stream: TcpStream, answer: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(WHOLE, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!("a client went away, ignoring: {error}"),
    }
}
