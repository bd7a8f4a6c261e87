//! What makes a token what it is.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::Scopes;

/// Everything that a token depends on: whoever asks with the same may have the same token. [`TokenCaches`](crate::TokenCaches)
/// keep a cache for each, and the instances of a fleet share a token by it through a [`SharedStore`](crate::store::SharedStore).
///
/// Those of this crate's clients are from [`onence::ClientBuilder::token_id`](crate::onence::ClientBuilder::token_id) and
/// [`worldline::ClientBuilder::token_id`](crate::worldline::ClientBuilder::token_id).
///
/// The secret counts too, so that nobody gets a token with another's name alone, and so do the key of an assertion and the client
/// certificate of a [`Transport`](crate::Transport); of these only a SHA-256 hash is kept. The proxy and the roots of a transport
/// count for a set of caches, in which a tenant that changes them gets a new cache, and not for a fleet: each of its machines may
/// go a way of its own.
///
/// ```
/// use access_tokens::TokenId;
///
/// let id = |scope: &str| {
///     let id = TokenId::new("example", "https://id.example", "client", b"secret");
///     Ok::<_, access_tokens::Error>(id.with_scopes(scope.parse()?))
/// };
/// assert_eq!(id("read write")?, id("write read")?);
/// assert_ne!(id("read write")?, id("read")?);
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenId {
    provider: Box<str>,
    base_url: Box<str>,
    realm: Option<Box<str>>,
    identity: Box<str>,
    scopes: Scopes,
    secrets: [u8; 32],
    route: [u8; 32],
}

impl TokenId {
    /// For an endpoint of your own: the provider's name, where it is, who asks (a client id or user name), and the secret that
    /// proves it.
    pub fn new(provider: &str, base_url: &str, identity: &str, secret: &[u8]) -> Self {
        Self::of_secrets(provider, base_url, identity, [secret])
    }

    /// By several secrets.
    pub(crate) fn of_secrets<'a>(
        provider: &str,
        base_url: &str,
        identity: &str,
        secrets: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        Self {
            provider: provider.into(),
            base_url: base_url.into(),
            realm: None,
            identity: identity.into(),
            scopes: Scopes::none(),
            secrets: hash(secrets),
            route: hash([]),
        }
    }

    /// Adds the realm.
    #[must_use]
    pub fn with_realm(self, realm: &str) -> Self {
        Self { realm: Some(realm.into()), ..self }
    }

    /// Adds the scopes; their order doesn't count.
    #[must_use]
    pub fn with_scopes(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// Adds the way to the server, which makes no other token.
    pub(crate) fn with_route<'a>(self, route: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { route: hash(route), ..self }
    }

    /// One hash of all that the token depends on, the same in each process.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let Self { provider, base_url, realm, identity, scopes, secrets, route: _ } = self;
        let scopes = scopes.to_string();
        let texts = [provider, base_url, realm.as_deref().unwrap_or_default(), identity, &scopes];
        hash(texts.map(str::as_bytes).into_iter().chain([secrets.as_slice()]))
    }
}

/// Of each part with its length, so that no two lists have the same.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenId")
            .field("provider", &self.provider)
            .field("base_url", &self.base_url)
            .field("realm", &self.realm)
            .field("identity", &self.identity)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
