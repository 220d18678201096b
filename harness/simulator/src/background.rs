//! Responses that are made in the background: they outlive the connection they were asked
//! for on, and end before their end only where they are cancelled.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::dialect::Refusal;
use super::playback::Playback;

/// Responses that are remembered.
const MAX_KEPT: usize = 1024;

/// The responses of a server that are made in the background, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Background(Arc<Mutex<HashMap<String, Kept>>>);

/// What is known of one.
#[derive(Debug)]
struct Kept {
    object: Value,
    /// Cancels it, as long as it is being made.
    cancel: Option<oneshot::Sender<()>>,
}

/// One that has just begun.
pub(super) struct Begun {
    /// Its object so far.
    pub(super) object: Value,
    /// What is said of it, for whoever listens.
    pub(super) chunks: Chunks,
}

/// The chunks of a response, as they are made.
#[derive(Debug)]
pub(super) struct Chunks(mpsc::UnboundedReceiver<Bytes>);

impl Background {
    /// Makes a response, whoever listens.
    pub(super) fn run(&self, mut playback: Playback) -> Begun {
        let id = playback.answer().id.clone();
        let object = json!({
            "id": id, "object": "response", "status": "in_progress", "background": true,
            "model": playback.answer().model, "output": [], "usage": null,
        });
        let (cancel, mut cancelled) = oneshot::channel();
        self.keep(&id, object.clone(), Some(cancel));
        let (sender, chunks) = mpsc::unbounded_channel();
        let background = self.clone();
        tokio::spawn(async move {
            let mut wanted = true;
            loop {
                let chunk = tokio::select! {
                    biased;
                    Ok(()) = &mut cancelled, if wanted => {
                        wanted = false;
                        playback.cancel();
                        continue;
                    }
                    chunk = poll_fn(|context| playback.poll_chunk(context)) => chunk,
                };
                match chunk {
                    // Nobody has to listen.
                    Some(Ok(chunk)) => drop(sender.send(chunk.into_bytes())),
                    Some(Err(_)) | None => break,
                }
            }
            if wanted {
                background.keep(&id, playback.whole(), None);
            }
        });
        let chunks = Chunks(chunks);
        Begun { object, chunks }
    }

    /// The object of one.
    ///
    /// # Errors
    /// There is none of this id.
    pub(super) fn object(&self, id: &str) -> Result<Value, Refusal> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(id).ok_or_else(|| unknown(id))?;
        Ok(kept.object.clone())
    }

    /// Cancels one; one that has ended stays as it is.
    ///
    /// # Errors
    /// There is none of this id.
    pub(super) fn cancel(&self, id: &str) -> Result<Value, Refusal> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_mut(id).ok_or_else(|| unknown(id))?;
        if let Some(cancel) = kept.cancel.take()
            && cancel.send(()).is_ok()
        {
            kept.object["status"] = json!("cancelled");
        }
        Ok(kept.object.clone())
    }

    fn keep(&self, id: &str, object: Value, cancel: Option<oneshot::Sender<()>>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            // Those that are being made can still be cancelled.
            kept.retain(|_, kept| kept.cancel.is_some());
        }
        kept.insert(id.to_owned(), Kept { object, cancel });
    }
}

fn unknown(id: &str) -> Refusal {
    let id: String = id.chars().take(100).collect();
    let message = format!("No response in the background has the id '{id}'.");
    Refusal::new(404, "not_found", message)
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let chunk = self.get_mut().0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
