//! What a library must do to be measured: hand out a token, as text for the judge and as it does itself for the stopwatch.

use std::future::Future;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A token cache that the scenarios can judge.
pub(crate) trait Library: Sized + Send + Sync + 'static {
    const NAME: &'static str;

    /// Opens it on the token endpoint at `url`, with the library's own defaults.
    fn open(url: &str) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Gets a token the way the library's callers do.
    fn get(&self) -> impl Future<Output = Result<String, Error>> + Send;
}

/// One call on the hot path, of a library or of what one is made of.
pub(crate) trait Call: Send + Sync + 'static {
    /// Makes the call with its result in a `black_box`, and nothing else: neither a copy nor a box of ours is timed.
    fn call(&self) -> impl Future<Output = ()> + Send;
}
