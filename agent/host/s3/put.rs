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
            () = stalled(&taken, stall) => {
                let (taken, all) = (taken.load(Ordering::Relaxed), object.body.len());
                let text = format!(
                    "nothing moved for {} seconds, with {taken} of {all} bytes on their way", stall.as_secs()
                );
                Err(S3Error::Unreachable(text.into()))
            }
        }
    }
}

/// Waits until nothing has been taken for so long.
async fn stalled(taken: &AtomicU64, stall: Duration) {
    loop {
        let before = taken.load(Ordering::Relaxed);
        tokio::time::sleep(stall).await;
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
