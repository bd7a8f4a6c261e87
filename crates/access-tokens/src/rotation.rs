//! Credentials that change while a service runs.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    AccessToken, Error, ErrorKind, Exchange, Obstacle, TokenEndpoint, TokenId,
    endpoint::{Rotation, Rotations, built, exchange, provider_of},
    watched_files::{Files, Watched},
};

/// A token endpoint whose client is built anew when its secret, key or certificate changes: without a restart, and without a
/// caller noticing. A clone is a further handle on the same.
///
/// - **From files:** [`watching`](Self::watching) looks at their content a few times a second, so an atomic rename is seen as
///   well as the switch of a Kubernetes secret's link. What changes from one look to the next isn't read yet, and what can't
///   be read or isn't a credential replaces nothing.
/// - **When told so:** [`reload`](Self::reload), from whatever knows of the change.
///
/// A token got with the old credential is served on while it is valid. A new credential is tried at the next exchange, and at
/// once where a [`TokenCache`](crate::TokenCache) pauses because the old one was rejected. Until the new one has worked, the
/// last that did is kept: where the provider rejects the new one, because it doesn't know that yet or because a file was cut off,
/// the same exchange is made with the old one. That needs time for both: a
/// [`Policy::exchange_timeout`](crate::Policy::exchange_timeout) of twice the [`Transport`](crate::Transport)'s, as it is if not set.
/// Where it rejects both, the exchange fails, and the next one is made with the new one alone: no exchange takes more than two
/// requests.
///
/// What the old one brings meanwhile is this instance's alone: a [`SharedStore`](crate::store::SharedStore) holds the tokens of the
/// new one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use access_tokens::{Error, ErrorKind, RotatingEndpoint, TokenCache, onence};
/// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
/// # let base_url = sandbox.onence_base_url();
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("1nce");
/// # std::fs::write(&file, "sandbox-password\n")?;
///
/// let path = file.clone(); // such as /run/secrets/1nce
/// let endpoint = RotatingEndpoint::watching([file], move || {
///     let failed = |e| Error::new(ErrorKind::Configuration, "the password can't be read").with_source(e);
///     let password = std::fs::read_to_string(&path).map_err(failed)?;
///     let credentials = onence::Credentials::new("sandbox@1nce.example", password.trim_end_matches('\n'));
///     onence::Client::builder(credentials).base_url(&base_url).build()
/// })?;
/// let cache = TokenCache::new(endpoint);
/// assert!(cache.token().await?.secret().len() > 1000);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RotatingEndpoint {
    shared: Arc<Shared>,
    /// Ends with the last handle.
    _watched: Option<Arc<Watched>>,
}

struct Shared {
    provider: String,
    build: Box<dyn Fn() -> Result<Arc<dyn TokenEndpoint>, Error> + Send + Sync>,
    clients: Mutex<Clients>,
    /// Held from building a client until it is in its place, so that an older one never takes a newer one's.
    building: Mutex<()>,
    rotations: Rotations,
}

struct Clients {
    newest: Client,
    /// The last that worked, until the newest has, or it fails too.
    proven: Option<Client>,
    newest_is_proven: bool,
}

#[derive(Clone)]
struct Client {
    endpoint: Arc<dyn TokenEndpoint>,
    /// Until another is the newest, for good.
    in_use: Arc<AtomicBool>,
}

impl RotatingEndpoint {
    /// An endpoint whose client is built anew when it is [told](Self::reload). `build` is called at once, too.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn new<E: TokenEndpoint + 'static>(
        build: impl Fn() -> Result<E, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Ok(Self { shared: Shared::new(build)?, _watched: None })
    }

    /// An endpoint whose client is built anew whenever the content of one of these files has changed, for as long as there is a
    /// handle. `build`, which reads them, is called at once, and then on a thread that may block but that all endpoints of this
    /// process share: it is to read what is near.
    ///
    /// A change counts once it was seen the same twice in a row, a quarter of a second apart and with nothing written in between. Where building fails, the log says
    /// so once, the old client goes on, and another attempt follows every ten seconds.
    ///
    /// # Errors
    /// Those of `build`; [`ErrorKind::Configuration`] where the thread that looks at the files can't be started.
    pub fn watching<E: TokenEndpoint + 'static>(
        files: impl IntoIterator<Item = impl Into<PathBuf>>,
        build: impl Fn() -> Result<E, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        // Looked at before they are read, so that no change is missed.
        let files = Files::look_at(files.into_iter().map(Into::into).collect());
        let shared = Shared::new(build)?;
        let rotating = shared.clone();
        let watched = files.watch(Box::new(move || rotating.rotate()))?;
        Ok(Self { shared, _watched: Some(watched) })
    }

    /// Builds the client anew, now. Blocks for as long as that takes.
    ///
    /// It is for when there is a new credential, and not for a timer: it ends the pause after a rejection, and a wrong credential
    /// that is tried again and again can lock an account.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::{Arc, Mutex};
    /// use access_tokens::{RotatingEndpoint, TokenEndpoint, onence};
    /// # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
    /// # let base_url = sandbox.onence_base_url();
    ///
    /// let password = Arc::new(Mutex::new("not the password any more".to_owned())); // what your vault last said
    /// let endpoint = RotatingEndpoint::new({
    ///     let password = password.clone();
    ///     move || {
    ///         let password = password.lock().unwrap().clone();
    ///         let credentials = onence::Credentials::new("sandbox@1nce.example", password);
    ///         onence::Client::builder(credentials).base_url(&base_url).build()
    ///     }
    /// })?;
    /// assert!(endpoint.exchange().await.is_err());
    ///
    /// // When it says so:
    /// *password.lock().unwrap() = "sandbox-password".to_owned();
    /// endpoint.reload()?;
    /// assert!(endpoint.exchange().await.is_ok());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the closure that builds; the old client goes on then.
    pub fn reload(&self) -> Result<(), Error> {
        self.shared.rotate()
    }
}

impl Shared {
    fn new<E: TokenEndpoint + 'static>(
        build: impl Fn() -> Result<E, Error> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, Error> {
        let build = move || built(&build).map(|client| Arc::new(client) as Arc<dyn TokenEndpoint>);
        let newest = build()?;
        Ok(Arc::new(Self {
            provider: provider_of(&newest)?,
            build: Box::new(build),
            clients: Mutex::new(Clients { newest: Client::new(newest), proven: None, newest_is_proven: false }),
            building: Mutex::default(),
            rotations: Rotations::default(),
        }))
    }

    fn rotate(&self) -> Result<(), Error> {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = Client::new((self.build)()?);
        let mut clients = self.lock();
        let last = std::mem::replace(&mut clients.newest, newest);
        last.in_use.store(false, Ordering::Release);
        if std::mem::take(&mut clients.newest_is_proven) {
            clients.proven = Some(last);
        }
        self.rotations.set_fallback(clients.proven.is_some());
        drop(clients);
        tracing::info!(provider = self.provider, "a new credential is in use from the next exchange on");
        self.rotations.tell();
        Ok(())
    }

    async fn exchange(&self) -> Result<AccessToken, Error> {
        let (newest, proven) = {
            let clients = self.lock();
            (clients.newest.clone(), clients.proven.clone())
        };
        let error = match newest.exchange(&self.provider).await {
            Ok(token) => {
                self.works(newest);
                return Ok(token);
            }
            Err(error) => error,
        };
        let Some(proven) = proven.filter(|_| may_be_the_credential(&error)) else { return Err(error) };
        match proven.exchange(&self.provider).await {
            Ok(token) => {
                tracing::warn!(
                    provider = self.provider,
                    %error,
                    code = error.code(),
                    "the new credential doesn't work; the last one still does and stays in use"
                );
                Ok(token)
            }
            // It is no better, so there is no reason to try it again. That it worked until now can mean that the provider has gone
            // over to the new one between the two; the next attempt finds that out, and not a third request in a row, which may
            // lock an account.
            Err(of_proven) if is_rejected(&of_proven) => {
                self.forget(&proven);
                Err(error)
            }
            // However the old one fares, the new one was rejected, and isn't to be asked with again as if it wasn't; unless the
            // server names a time.
            Err(of_proven) if is_rejected(&error) && !of_proven.names_a_time() => Err(error),
            // Nothing is known of either then, but that the server asks to wait, or can't be reached.
            Err(of_proven) => Err(of_proven),
        }
    }

    /// A client that may have been replaced while it was in use.
    fn works(&self, client: Client) {
        let mut clients = self.lock();
        let mut last = None;
        if clients.newest.is(&client) {
            clients.newest_is_proven = true;
            last = clients.proven.take();
        } else if !clients.newest_is_proven {
            last = clients.proven.replace(client);
        }
        self.rotations.set_fallback(clients.proven.is_some());
        drop(clients);
        // It isn't ours, and may take the lock when it goes.
        drop(last);
    }

    fn forget(&self, client: &Client) {
        let mut clients = self.lock();
        let forgotten = clients.proven.take_if(|proven| proven.is(client));
        self.rotations.set_fallback(clients.proven.is_some());
        drop(clients);
        drop(forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn new(endpoint: Arc<dyn TokenEndpoint>) -> Self {
        Self { endpoint, in_use: Arc::new(AtomicBool::new(true)) }
    }

    async fn exchange(&self, provider: &str) -> Result<AccessToken, Error> {
        let token = exchange(&self.endpoint, provider).await?;
        Ok(token.with_client(self.in_use.clone()))
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.endpoint, &other.endpoint)
    }
}

/// Whether another credential may do better: it was rejected, or can't be used, or there was no answer, as where a server refuses
/// a client certificate and that is lost with the connection.
fn may_be_the_credential(error: &Error) -> bool {
    match (error.kind(), error.obstacle()) {
        (ErrorKind::Unavailable, None | Some(Obstacle::Answer | Obstacle::Tls)) => error.status().is_none(),
        (ErrorKind::Configuration, None) => true,
        _ => is_rejected(error),
    }
}

fn is_rejected(error: &Error) -> bool {
    error.kind() == ErrorKind::Credentials || error.obstacle() == Some(Obstacle::ClientCertificate)
}

impl TokenEndpoint for RotatingEndpoint {
    fn provider(&self) -> &str {
        &self.shared.provider
    }

    fn exchange(&self) -> Exchange<'_> {
        Box::pin(self.shared.exchange())
    }

    fn rotation(&self) -> Option<Rotation> {
        Some(self.shared.rotations.subscribe())
    }

    fn token_id(&self) -> Option<TokenId> {
        let newest = self.shared.lock().newest.clone();
        newest.endpoint.token_id()
    }
}

impl fmt::Debug for RotatingEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.shared.lock().newest.endpoint.clone();
        f.debug_struct("RotatingEndpoint").field("newest", &newest).finish_non_exhaustive()
    }
}
