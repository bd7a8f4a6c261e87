//! Tokens for synchronous code.

use std::{
    fmt, io,
    sync::{Arc, mpsc},
    thread,
};

use tokio::{runtime, sync::oneshot};

use crate::{AccessToken, Error, TokenCacheBuilder, TokenEndpoint, TokenGuard};

/// What [`TokenCache`](crate::TokenCache) is to asynchronous code, with the same rules. Its exchanges run on a thread and
/// runtime of its own, so it may be waited for anywhere, inside of a runtime too. A clone is a further handle on the same
/// cache; with the last one the thread ends.
///
/// ```
/// use access_tokens::{TokenCache, onence};
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let sandbox = runtime.block_on(access_tokens_sandbox::Sandbox::start())?;
/// # let (base_url, username, password) = (sandbox.onence_base_url(), "sandbox@1nce.example", "sandbox-password");
///
/// let credentials = onence::Credentials::new(username, password);
/// let client = onence::Client::builder(credentials).base_url(&base_url).build()?;
/// let cache = TokenCache::builder(client).build_blocking()?;
/// assert!(cache.token()?.secret().len() > 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenCache {
    // Dropped before the thread ends, so that its tasks are gone first.
    cache: crate::TokenCache,
    _thread: Arc<Thread>,
}

impl TokenCache {
    /// A cache with the default [`Policy`](crate::Policy). Nothing is sent before the first call.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where the thread can't be started.
    pub fn new(endpoint: impl TokenEndpoint + 'static) -> Result<Self, Error> {
        crate::TokenCache::builder(endpoint).build_blocking()
    }

    fn start(cache: impl FnOnce(runtime::Handle) -> crate::TokenCache) -> Result<Self, Error> {
        let failed = |e: io::Error| {
            let message = "the thread of a blocking token cache can't be started";
            Error::configuration(message).with_source(e)
        };
        let (last_handle, dropped) = oneshot::channel::<()>();
        let (started, starting) = mpsc::sync_channel(1);
        let drive = move || {
            // Made and dropped where no other runtime is, in which that would panic.
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let _ = started.send(runtime.as_ref().map(|runtime| runtime.handle().clone()).map_err(|e| e.kind().into()));
            if let Ok(runtime) = runtime {
                let _ = runtime.block_on(dropped);
                // Not waiting for a name look-up that may still be under way.
                runtime.shutdown_background();
            }
        };
        thread::Builder::new().name("access-tokens".to_owned()).spawn(drive).map_err(failed)?;
        let runtime = starting.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(failed)?;
        Ok(Self { cache: cache(runtime), _thread: Arc::new(Thread(last_handle)) })
    }

    /// A valid token. Where there is none at hand it waits for the exchange.
    ///
    /// # Errors
    /// As [`TokenCache::token`](crate::TokenCache::token).
    pub fn token(&self) -> Result<TokenGuard, Error> {
        self.cache.wait_for_token()
    }

    /// As [`TokenCache::invalidate`](crate::TokenCache::invalidate).
    pub fn invalidate(&self, token: &AccessToken) -> bool {
        self.cache.invalidate(token)
    }

    /// As [`TokenCache::keep_warm`](crate::TokenCache::keep_warm), on this cache's thread.
    pub fn keep_warm(&self) {
        // It fails only where there is no runtime, and this one has its own.
        let _ = self.cache.keep_warm();
    }
}

impl TokenCacheBuilder {
    /// The cache for synchronous code, with a thread of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), as [`build`](Self::build), and where the thread can't be started.
    pub fn build_blocking(self) -> Result<TokenCache, Error> {
        self.check()?;
        TokenCache::start(|runtime| self.start_in(runtime))
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cache.fmt(f)
    }
}

/// The thread runs while this is there.
struct Thread(#[expect(dead_code, reason = "it is its drop that counts")] oneshot::Sender<()>);
