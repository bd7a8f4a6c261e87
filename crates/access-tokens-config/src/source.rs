//! One named source: from its settings to a client that follows its files.

mod check;

use std::{error::Error as StdError, fmt, path::PathBuf, sync::Arc};

use access_tokens::{
    ErrorKind, Identity, Policy, RotatingEndpoint, Scopes, Setting, TokenCache, TokenEndpoint, Transport,
    assertion::{self, ClientAssertion, SigningKey},
    onence,
    worldline::{self, Credentials},
};
use zeroize::Zeroizing;

use crate::{
    checked::Checked,
    error::{Error, Origin, Problem},
    material::Material,
    section::Section,
    settings::{Audience, KeyId, OnenceSettings, Proxy, SourceSettings, WorldlineSettings},
    show,
    store::Store,
};

/// A named token source: a provider, credentials, and how to get tokens with them. A clone is a further handle on the same.
///
/// ```
/// use access_tokens_config::Reader;
///
/// let config = Reader::new().variables([
///     ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me@example.com"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE", "/nowhere/1nce"),
/// ]).read()?;
/// let source = config.source("sims")?;
/// assert_eq!((source.name(), source.provider()), ("sims", "onence"));
/// assert_eq!(source.files(), [std::path::Path::new("/nowhere/1nce")]);
///
/// let error = source.endpoint().unwrap_err().to_string();
/// let place = "ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE: /nowhere/1nce can't be read: ";
/// assert!(error.starts_with(place), "{error}");
/// # Ok::<(), access_tokens_config::Error>(())
/// ```
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    name: String,
    section: Section,
    settings: SourceSettings,
    scopes: Scopes,
    policy: Policy,
    /// Where its tokens are shared; none if it takes no part.
    store: Option<Store>,
}

impl Source {
    pub(crate) fn new(name: String, section: Section, settings: SourceSettings, store: Option<&Store>) -> Self {
        let policy = settings.policy().policy();
        let store = store.filter(|_| settings.is_shared()).cloned();
        let scopes: Vec<_> = settings.scopes().into_iter().map(|(_, text)| text.as_str()).collect();
        let scopes = scopes.join(" ").parse().unwrap_or_default();
        Self(Arc::new(Inner { name, section, settings, scopes, policy, store }))
    }

    /// Reads all that it refers to: what is wrong with that, and what is odd about it.
    pub(crate) fn check(&self) -> Checked {
        let material = self.0.section.material();
        let client = self.0.client(&material);
        material.checked([client])
    }

    /// Whether it takes part in a store, if there is one.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.settings.is_shared()
    }

    /// Its name, such as `sims`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// `onence` or `worldline`, as [`TokenEndpoint::provider`] has it.
    pub fn provider(&self) -> &'static str {
        match self.0.settings {
            SourceSettings::Onence(_) => "onence",
            SourceSettings::Worldline(_) => "worldline",
        }
    }

    /// The URL that the paths of requests are put behind.
    pub fn base_url(&self) -> &str {
        self.0.settings.base_url()
    }

    /// What is asked for; none where the provider knows no scopes.
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// When a cache is to ask, and when again.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Whether a cache is to refresh while nobody asks.
    pub fn keep_warm(&self) -> bool {
        self.0.settings.policy().keep_warm
    }

    /// What people call a setting of it, in the way that it was set: `ONENCE_USERNAME`, `sources.sims.username`.
    pub fn setting_name(&self, key: &str) -> String {
        self.0.section.name(key)
    }

    /// Whether it signs assertions instead of sending a client secret.
    pub fn uses_assertion(&self) -> bool {
        self.0.settings.assertion().is_some()
    }

    /// The files that hold its secrets, keys, certificates and roots, by absolute paths.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.section.files(&[""])
    }

    /// The store that its tokens are shared through: that of the configuration, unless this source has `store = false`.
    pub fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// The key and certificate that sign its assertions, read anew; none where it has no assertion, or one without a certificate.
    ///
    /// # Errors
    /// What can't be read, or isn't a key with its certificate.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        Ok(self.0.signing_identity(&self.0.section.material())?)
    }

    /// Proxy, roots, client certificate and time-outs, with what is in files and variables read anew.
    ///
    /// # Errors
    /// What can't be read, or isn't what it is to be.
    pub fn transport(&self) -> Result<Transport, Error> {
        Ok(self.0.transport(&self.0.section.material())?)
    }

    /// A new client with connections of its own, built anew when one of [its files](Self::files) changes. Keep it.
    ///
    /// # Errors
    /// What can't be read, isn't what it is to be, or makes no client.
    pub fn endpoint(&self) -> Result<RotatingEndpoint, Error> {
        let inner = self.0.clone();
        let build = move || {
            inner.client(&inner.section.material()).map_err(|problem| {
                let message = "what the settings of the source refer to can't be used";
                access_tokens::Error::new(ErrorKind::Configuration, message).with_source(problem)
            })
        };
        let files = self.files();
        let endpoint = match files.is_empty() {
            true => RotatingEndpoint::new(build),
            false => RotatingEndpoint::watching(files, build),
        };
        endpoint.map_err(|error| {
            let problem = StdError::source(&error).and_then(|source| source.downcast_ref::<Problem>());
            problem.cloned().unwrap_or_else(|| self.0.section.refused("", &error)).into()
        })
    }

    /// A new cache of its tokens, by its policy, which shares them through [its store](Self::store). Keep it, and clone it to
    /// wherever a token is needed. With `keep_warm` it must be called in a tokio runtime.
    ///
    /// # Errors
    /// As [`endpoint`](Self::endpoint) and [`Store::shared`], and with `keep_warm` outside of a runtime.
    pub fn cache(&self) -> Result<TokenCache, Error> {
        let mut cache = TokenCache::builder(self.endpoint()?).policy(self.policy().clone());
        if let Some(store) = self.store() {
            cache = cache.store(store.shared()?);
        }
        let cache = cache.build().map_err(|error| self.0.section.refused("policy", &error))?;
        if self.keep_warm() {
            cache.keep_warm().map_err(|error| self.0.section.refused("policy.keep_warm", &error))?;
        }
        Ok(cache)
    }

    pub(crate) fn to_toml(&self) -> String {
        show::toml(&self.0.section, &self.0.settings)
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        show::json(&self.0.settings)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name()).field("provider", &self.provider()).finish_non_exhaustive()
    }
}

impl Inner {
    fn client(&self, material: &Material<'_>) -> Result<Box<dyn TokenEndpoint>, Problem> {
        // Both are read before either is used, so that a check finds the mistakes in both.
        let client: Result<Box<dyn TokenEndpoint>, _> = match &self.settings {
            SourceSettings::Onence(OnenceSettings { base_url, username, .. }) => {
                let (password, transport) = (material.secret("password", Setting::Password), self.transport(material));
                let credentials = onence::Credentials::new(username.as_str(), password?.as_str());
                let client = onence::Client::builder(credentials).base_url(base_url.as_str());
                client.transport(transport?).build().map(|client| Box::new(client) as _)
            }
            SourceSettings::Worldline(settings) => {
                let (credentials, transport) = (self.credentials(settings, material), self.transport(material));
                let realm = worldline::Realm::new(settings.realm.as_str());
                let realm = realm.map_err(|error| self.section.refused("", &error))?;
                let base_url = settings.base_url.as_str();
                let client = worldline::Client::builder(base_url, realm, self.scopes.clone(), credentials?);
                client.transport(transport?).build().map(|client| Box::new(client) as _)
            }
        };
        client.map_err(|error| match error.setting() {
            // That of the environment, as of HTTPS_PROXY: what the source itself sets was read above.
            Some(Setting::Proxy) => {
                let key = format!("{}.transport.proxy", self.section.key());
                Problem::new(Origin::Environment, key, error.to_string())
            }
            Some(Setting::Roots) => self.section.refused("transport", &error),
            Some(Setting::KeyId | Setting::Audience | Setting::X509) => self.section.refused("assertion", &error),
            _ => self.section.refused("", &error),
        })
    }

    fn credentials(&self, settings: &WorldlineSettings, material: &Material<'_>) -> Result<Credentials, Problem> {
        let client_id = settings.client_id.as_str();
        let Some(settings) = &settings.assertion else {
            let client_secret = material.secret("client_secret", Setting::ClientSecret)?;
            return Ok(worldline::ClientSecret::new(client_id, client_secret.as_str()).into());
        };
        let refused = |error: access_tokens::Error| material.refused("assertion", &error);
        let of_client = |error: access_tokens::Error| self.section.refused("", &error);
        let algorithm = settings.algorithm.map(Into::into);
        let assertion = match self.signing_identity(material)? {
            Some(identity) => {
                let assertion = ClientAssertion::new(client_id, identity).map_err(of_client)?;
                algorithm.into_iter().try_fold(assertion, ClientAssertion::algorithm).map_err(refused)?
            }
            None => {
                let key = material.signing_key("assertion")?;
                let key = algorithm.into_iter().try_fold(key, SigningKey::algorithm).map_err(refused)?;
                ClientAssertion::with_signer(client_id, key).map_err(of_client)?
            }
        };
        let key_id = match &settings.key_id {
            KeyId::Sha1 => assertion::KeyId::Sha1Fingerprint,
            KeyId::Sha256 => assertion::KeyId::Sha256Fingerprint,
            KeyId::Text(text) => assertion::KeyId::Text(text.as_str().to_owned()),
        };
        let audience = match &settings.audience {
            Audience::Issuer => assertion::Audience::Issuer,
            Audience::TokenEndpoint => assertion::Audience::TokenEndpoint,
            Audience::Text(text) => assertion::Audience::Text(text.as_str().to_owned()),
        };
        let headers = settings.x509.iter().copied().map(Into::into);
        Ok(assertion.key_id(key_id).audience(audience).lifetime(settings.lifetime.0).x509(headers).into())
    }

    /// The key with its certificate; none where there is no assertion, or a key without a certificate signs it.
    fn signing_identity(&self, material: &Material<'_>) -> Result<Option<Identity>, Problem> {
        let Some(settings) = self.settings.assertion() else { return Ok(None) };
        let why = settings.needs_certificate();
        if settings.key.is_some() && settings.certificate.is_none() {
            // What isn't a key has no use for a certificate.
            material.signing_key("assertion")?;
            if why.is_none() {
                return Ok(None);
            }
        }
        self.section.check_key_pair("assertion", why)?;
        material.identity("assertion").map(Some)
    }

    fn transport(&self, material: &Material<'_>) -> Result<Transport, Problem> {
        let settings = self.settings.transport();
        let transport = Transport::new().connect_timeout(settings.connect_timeout.0).timeout(settings.timeout.0);
        // All are read before any is used, as in `client`.
        let (proxy, roots) = (self.proxy(material), material.roots("transport.roots"));
        let certificate = material.client_certificate("transport.identity");
        let transport = proxy?.iter().fold(transport, |transport, proxy| transport.proxy(proxy.as_str()));
        let transport = certificate?.into_iter().fold(transport, Transport::identity);
        Ok(roots?.into_iter().fold(transport, Transport::add_roots_pem))
    }

    fn proxy(&self, material: &Material<'_>) -> Result<Option<Zeroizing<String>>, Problem> {
        let key = "transport.proxy";
        let url = match &self.settings.transport().proxy {
            None => return Ok(None),
            Some(Proxy::Url(url)) => Zeroizing::new(url.clone()),
            Some(Proxy::Reference(_)) => material.secret(key, Setting::Proxy)?,
        };
        let checked = Transport::new().proxy(url.as_str()).check();
        checked.map_err(|error| material.problem(self.section.at(key), error.to_string()))?;
        Ok(Some(url))
    }
}
