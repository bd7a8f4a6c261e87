//! Several ways to the same, of which one will do.

use std::{future::Future, time::Duration};

use access_tokens::{Error, ErrorKind};
use tokio::{task::JoinSet, time::timeout};

/// How long one is waited for before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(100);

/// The first that succeeds. One that fails or is slow has the next begin, and is still waited for.
pub(crate) async fn first_of<A, T, F>(addresses: impl IntoIterator<Item = A>, open: impl Fn(A) -> F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut addresses = addresses.into_iter().peekable();
    let mut attempts = JoinSet::new();
    let mut failure: Option<Error> = None;
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(open(address));
        }
        let ended = match addresses.peek() {
            Some(_) => timeout(HEAD_START, attempts.join_next()).await,
            None => Ok(attempts.join_next().await),
        };
        match ended {
            Ok(Some(Ok(Ok(opened)))) => return Ok(opened),
            // A wrong setting says more than a server that is away.
            Ok(Some(Ok(Err(e)))) if failure.is_none() || e.kind() == ErrorKind::Configuration => failure = Some(e),
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => {}
        }
    }
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "connecting to Redis was interrupted")))
}
