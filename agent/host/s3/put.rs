//! Putting an object.
//!
//! The SDK bounds a call's whole time, which is no measure for megabytes over a line of unknown speed, and its own guard
//! against stalls sees a body in memory as one piece that is gone at once. So the body is handed to the connection in
//! small pieces, which are counted as they are taken: a call lasts as long as something moves.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::ObjectCannedAcl;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{S3, S3Error, classify};

/// What is handed to the connection at once.
const PIECE: usize = 64 * 1024;
/// When nothing was taken for this long, and no answer came, there will be none.
const STALL: Duration = Duration::from_secs(30);
/// So many times that for the answer, once everything was taken: the kernel's buffers may be full of it.
const PATIENCE: u32 = 4;

/// An object to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    /// Where.
    pub(crate) bucket: &'a str,
    /// Its name there.
    pub(crate) key: &'a str,
    /// A canned ACL; none when empty.
    pub(crate) acl: &'a str,
    /// What is in it.
    pub(crate) content_type: &'a str,
    /// All of it.
    pub(crate) body: &'a Bytes,
}

impl S3 {
    /// One call, over an object of that name if there is one.
    pub(crate) async fn put(&self, object: Put<'_>) -> Result<(), S3Error> {
        self.put_unless_stalled(object, STALL).await
    }

    async fn put_unless_stalled(&self, object: Put<'_>, stall: Duration) -> Result<(), S3Error> {
        let taken = Arc::new(AtomicU64::new(0));
        let acl = Some(object.acl).filter(|acl| !acl.is_empty());
        let no_deadline = TimeoutConfig::builder().disable_operation_timeout().build();
        let call = self
            .client
            .put_object()
            .bucket(object.bucket)
            .key(object.key)
            .content_type(object.content_type)
            .set_acl(acl.map(ObjectCannedAcl::from))
            .body(ByteStream::from(object.body.clone()))
            .customize()
            .config_override(Builder::new().timeout_config(no_deadline))
            .interceptor(InPieces {
                body: object.body.clone(),
                taken: Arc::clone(&taken),
            });
        tokio::select! {
            sent = call.send() => match sent {
                Ok(_) => Ok(()),
                Err(error) => Err(classify(error, &self.region)),
            },
            () = stalled(&taken, object.body.len() as u64, stall) => {
                let (taken, all) = (taken.load(Ordering::Relaxed), object.body.len());
                let text = format!(
                    "no answer, and nothing moved for {}, with {taken} of {all} bytes on their way", monopod_core::text::duration(stall)
                );
                Err(S3Error::Unreachable(text.into()))
            }
        }
    }
}

/// Waits until nothing has been taken for so long.
async fn stalled(taken: &AtomicU64, all: u64, stall: Duration) {
    loop {
        let before = taken.load(Ordering::Relaxed);
        let patience = if before == all { PATIENCE } else { 1 };
        tokio::time::sleep(stall * patience).await;
        if taken.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// Puts a body of pieces in the place of the one that was signed; the bytes are the same.
#[derive(Debug)]
struct InPieces {
    body: Bytes,
    taken: Arc<AtomicU64>,
}

impl Intercept for InPieces {
    fn name(&self) -> &'static str {
        "InPieces"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let body = context.request_mut().body_mut();
        // What the SDK has wrapped, for a checksum behind it, stays as it is.
        if body.bytes() == Some(&*self.body) {
            *body = SdkBody::from_body_1_x(Pieces {
                rest: self.body.clone(),
                taken: Arc::clone(&self.taken),
            });
        }
        Ok(())
    }
}

/// A body that counts what is taken of it.
#[derive(Debug)]
struct Pieces {
    rest: Bytes,
    taken: Arc<AtomicU64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.rest.len().min(PIECE);
        if piece == 0 {
            return Poll::Ready(None);
        }
        self.taken.fetch_add(piece as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A server whose kernel takes little for it.
    fn listen() -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(8).unwrap()
    }

    async fn put(listener: &TcpListener, body: &Bytes, stall: Duration) -> Result<(), S3Error> {
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let object = Put {
            bucket: "bucket",
            key: "a/key.gz",
            acl: "private",
            content_type: "application/x-gzip",
            body,
        };
        S3::at("eu-central-1", &endpoint, "AKIA")
            .put_unless_stalled(object, stall)
            .await
    }

    #[tokio::test]
    async fn a_far_end_that_takes_nothing_is_given_up() {
        let listener = listen();
        let body = Bytes::from(vec![b'x'; 2 << 20]);
        let accepted = async {
            let connection = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
            drop(connection);
        };
        let error = tokio::select! {
            put = put(&listener, &body, Duration::from_millis(500)) => put.unwrap_err(),
            () = accepted => unreachable!(),
        };
        let S3Error::Unreachable(why) = error else {
            panic!("{error:?}")
        };
        assert!(
            why.to_string().ends_with("of 2097152 bytes on their way"),
            "{why}"
        );
    }

    /// Twice as long as nothing may move.
    #[tokio::test]
    async fn a_slow_far_end_is_waited_for_as_long_as_something_moves() {
        let listener = listen();
        let body: Bytes = (0..1u32 << 20)
            .map(|n| n.to_le_bytes()[0])
            .collect::<Vec<_>>()
            .into();
        let answered = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let (mut all, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
            let end = loop {
                let count = connection.read(&mut buffer).await.unwrap();
                assert!(count > 0);
                all.extend_from_slice(&buffer[..count]);
                let head = all.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(head) = head.filter(|head| all.len() >= head + 4 + body.len()) {
                    break head + 4;
                }
                // What a slow line does: there is no event to wait for.
                tokio::time::sleep(Duration::from_millis(250)).await;
            };
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            connection.write_all(answer).await.unwrap();
            let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
            (head, all[end..] == body)
        };
        let stall = Duration::from_millis(1_500);
        let begun = tokio::time::Instant::now();
        let (put, (head, same)) = tokio::join!(put(&listener, &body, stall), answered);
        put.unwrap();
        assert!(same, "the body is the object, with nothing around it");
        for header in [
            "put /bucket/a/key.gz",
            "content-length: 1048576",
            "x-amz-acl: private",
        ] {
            assert!(head.contains(header), "{head}");
        }
        assert!(
            !head.contains("content-encoding") && !head.contains("unsigned"),
            "{head}"
        );
        assert!(
            begun.elapsed() > stall * 2,
            "{:?}: too fast to show anything",
            begun.elapsed()
        );
    }
}
