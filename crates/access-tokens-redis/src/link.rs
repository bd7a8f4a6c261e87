//! The place of one connection, which all commands to a server share, and which is filled anew when it breaks.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use access_tokens::{Error, ErrorKind};
use tokio::{
    runtime::{self, Handle},
    sync::watch,
};

use crate::{connection::Connection, error::configuration};

/// The latest attempt to connect; if it succeeded, it has the connection.
#[derive(Default)]
pub(crate) struct Link(Mutex<Option<Attempt>>);

struct Attempt {
    runtime: runtime::Id,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Arc<Connection>, Error>;

impl Link {
    /// The connection, and whether it was there before; if there is none, who comes first begins to connect, and all wait for
    /// that. Connecting goes on when they are dropped: otherwise a server that is further away than a command may take would
    /// never be reached.
    pub(crate) async fn connection<F>(&self, connect: impl FnOnce() -> F) -> Result<(Arc<Connection>, bool), Error>
    where
        F: Future<Output = Result<Connection, Error>> + Send + 'static,
    {
        let runtime =
            Handle::try_current().map_err(|_| configuration("a command to Redis must run in a tokio runtime"))?;
        let mut outcome = {
            let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match latest.as_ref().map(|attempt| attempt.state(&runtime)) {
                Some(State::Connected(connection)) => return Ok((connection, true)),
                Some(State::Connecting(outcome)) => outcome,
                Some(State::Over) | None => {
                    let attempt = Attempt::begin(&runtime, connect());
                    let outcome = attempt.outcome.clone();
                    *latest = Some(attempt);
                    outcome
                }
            }
        };
        let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        let lost = || Error::new(ErrorKind::Unavailable, "the tokio runtime that was connecting to Redis has ended");
        Ok((ended.ok_or_else(lost)??, false))
    }
}

enum State {
    Connected(Arc<Connection>),
    Connecting(watch::Receiver<Option<Outcome>>),
    Over,
}

impl Attempt {
    fn begin<F>(runtime: &Handle, connecting: F) -> Self
    where
        F: Future<Output = Result<Connection, Error>> + Send + 'static,
    {
        let (sender, outcome) = watch::channel(None);
        runtime.spawn(async move {
            let outcome = connecting.await.map(Arc::new);
            // If nobody holds the link any more, nobody wants it.
            let _ = sender.send(Some(outcome));
        });
        Self { runtime: runtime.id(), outcome }
    }

    fn state(&self, runtime: &Handle) -> State {
        match &*self.outcome.borrow() {
            Some(Ok(connection)) if connection.is_usable() => State::Connected(Arc::clone(connection)),
            // Another runtime may stand still. And it may have ended, whose number a new one can have.
            None if self.runtime == runtime.id() && self.outcome.has_changed().is_ok() => {
                State::Connecting(self.outcome.clone())
            }
            _ => State::Over,
        }
    }
}
