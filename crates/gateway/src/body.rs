//! The body of an answer to a client.

use crate::record::Outcome;
use crate::track::Track;
use crate::upstream::{CutError, EngineBody, chain};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Where an answer comes from.
#[derive(Debug)]
pub(crate) enum Content {
    /// The gateway made it itself.
    Own(Option<Bytes>),
    /// It is passed on from an engine.
    Engine(Box<EngineBody>),
}

/// An answer's body, with the book-keeping that ends when it does.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    track: Track,
}

impl ReplyBody {
    pub(crate) fn new(content: Content, mut track: Track) -> Self {
        // The server does not ask for the pieces of a body that has none.
        let ended = match &content {
            Content::Own(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Engine(body) => body.is_end_stream(),
        };
        if ended {
            track.outcome = Outcome::Complete;
        }
        Self { content, track }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = CutError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutError>>> {
        let this = &mut *self;
        let body = match &mut this.content {
            Content::Own(bytes) => {
                let Some(bytes) = bytes.take() else { return Poll::Ready(None) };
                this.track.sent(bytes.len());
                this.track.outcome = Outcome::Complete;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Content::Engine(body) => &mut **body,
        };
        loop {
            return match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => {
                    this.track.outcome = Outcome::Complete;
                    Poll::Ready(None)
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on: they would be headers that no list has let through.
                    let Some(data) = frame.data_ref() else { continue };
                    this.track.sent(data.len());
                    if body.is_end_stream() {
                        this.track.outcome = Outcome::Complete;
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(Some(Err(error))) => {
                    this.track.outcome = Outcome::UpstreamCut;
                    this.track.upstream_failed("cut", chain(&error));
                    Poll::Ready(Some(Err(error)))
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(bytes) => bytes.is_none(),
            Content::Engine(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Engine(body) => body.size_hint(),
        }
    }
}
