//! One named source: from its settings to a client that follows its files.

mod check;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use access_tokens::{
    ErrorKind, Identity, Policy, RotatingEndpoint, Scopes, TokenCache, TokenEndpoint, Transport,
    assertion::{self, ClientAssertion},
    onence, worldline,
};

use crate::{
    error::{Error, Problem, text},
    section::{Material, Section},
    settings::{AssertionSettings, Audience, KeyId, OnenceSettings, Proxy, SourceSettings, WorldlineSettings},
    show,
    store::Store,
};

/// A named token source: a provider, credentials, and how to get tokens with them. A clone is a further handle on the same.
///
/// ```
/// use access_tokens_config::Config;
///
/// let config = Config::from_variables([
///     ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me@example.com"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE", "/nowhere/1nce"),
/// ])?;
/// let source = config.source("sims")?;
/// assert_eq!((source.name(), source.provider()), ("sims", "onence"));
/// assert_eq!(source.files(), [std::path::Path::new("/nowhere/1nce")]);
///
/// let error = source.endpoint().unwrap_err().to_string();
/// let place = "ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__FILE: sources.sims.password.file: /nowhere/1nce can't be read: ";
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
    /// Checks what the types of the settings don't say.
    pub(crate) fn new(
        name: String,
        section: Section,
        settings: SourceSettings,
        store: Option<&Store>,
    ) -> Result<Self, Problem> {
        let policy = settings.policy().policy();
        let store = store.filter(|_| settings.is_shared()).cloned();
        let mut inner = Inner { name, section, settings, scopes: Scopes::none(), policy, store };
        inner.scopes = inner.check()?;
        Ok(Self(Arc::new(inner)))
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

    /// The files that hold its secrets, keys, certificates and roots, by absolute paths.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.section.files(&[""])
    }

    /// The store that its tokens are shared through: that of the configuration, unless this source has `store = false`.
    pub fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// The key and certificate that sign its assertions, read anew; none where it has no assertion.
    ///
    /// # Errors
    /// What can't be read, or isn't a key with its certificate.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        let assertion = match &self.0.settings {
            SourceSettings::Worldline(settings) => settings.assertion.as_ref(),
            SourceSettings::Onence(_) => None,
        };
        let identity = assertion
            .map(|assertion| self.0.section.material(&["assertion."])?.identity("assertion", assertion.key_pair()));
        Ok(identity.transpose()?)
    }

    /// Proxy, roots, client certificate and time-outs, with what is in files and variables read anew.
    ///
    /// # Errors
    /// What can't be read, or isn't what it is to be.
    pub fn transport(&self) -> Result<Transport, Error> {
        Ok(self.0.transport(&self.0.section.material(&["transport."])?)?)
    }

    /// A client with everything that it refers to, built anew when one of [its files](Self::files) changes.
    ///
    /// It's a new one each time, with connections of its own; keep it.
    ///
    /// # Errors
    /// What can't be read, isn't what it is to be, or makes no client.
    pub fn endpoint(&self) -> Result<RotatingEndpoint, Error> {
        // The facade's errors have no place, so the last problem is kept beside them.
        let last = Arc::new(Mutex::new(None));
        let (inner, problem) = (self.0.clone(), last.clone());
        let build = move || {
            inner.client().map_err(|found| {
                let error = access_tokens::Error::new(ErrorKind::Configuration, found.to_string());
                *problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                error
            })
        };
        let files = self.files();
        let endpoint = match files.is_empty() {
            true => RotatingEndpoint::new(build),
            false => RotatingEndpoint::watching(files, build),
        };
        endpoint.map_err(|error| {
            let problem = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            problem.unwrap_or_else(|| self.0.section.refused("", &error)).into()
        })
    }

    /// A cache of its tokens, by its policy, which shares them through [its store](Self::store). With `keep_warm` it must be
    /// called in a tokio runtime.
    ///
    /// It's a new one each time, which knows nothing of the tokens of another; keep it, and clone it to wherever a token is
    /// needed.
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

    /// What is in effect for it, as [`Config::to_toml`](crate::Config::to_toml) has it.
    pub fn to_toml(&self) -> String {
        show::toml(&self.0.section, &self.0.settings)
    }

    /// The same as JSON: the value of its key among the sources.
    pub fn to_json(&self) -> serde_json::Value {
        show::json(&self.0.settings)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name()).field("provider", &self.provider()).finish_non_exhaustive()
    }
}

impl Inner {
    fn client(&self) -> Result<Box<dyn TokenEndpoint>, Problem> {
        let material = self.section.material(&[""])?;
        match &self.settings {
            SourceSettings::Onence(OnenceSettings { base_url, username, .. }) => {
                let password = material.secret("password")?;
                if password.contains(char::is_control) {
                    // As is one with a line break at its end, where it comes from a variable.
                    let message = "holds a control character; Basic authentication can't carry it (RFC 7617)";
                    return Err(self.section.problem("password", message));
                }
                let credentials = onence::Credentials::new(username.as_str(), password.as_str());
                let client = onence::Client::builder(credentials).base_url(base_url.as_str());
                // Last, since whoever looks for all mistakes asks for the transport on its own, too.
                let client = client.transport(self.transport(&material)?);
                Ok(Box::new(client.build().map_err(|error| self.section.refused("", &error))?))
            }
            SourceSettings::Worldline(settings) => {
                let WorldlineSettings { base_url, realm, .. } = settings;
                let realm =
                    worldline::Realm::new(realm.as_str()).map_err(|error| self.section.refused("realm", &error))?;
                let credentials = self.worldline_credentials(settings, &material)?;
                let client = worldline::Client::builder(base_url.as_str(), realm, self.scopes.clone(), credentials);
                Ok(Box::new(
                    client
                        .transport(self.transport(&material)?)
                        .build()
                        .map_err(|error| self.section.refused("", &error))?,
                ))
            }
        }
    }

    fn worldline_credentials(
        &self,
        settings: &WorldlineSettings,
        material: &Material<'_>,
    ) -> Result<worldline::Credentials, Problem> {
        let client_id = settings.client_id.as_str();
        if let Some(assertion) = &settings.assertion {
            return Ok(self.assertion(client_id, assertion, material)?.into());
        }
        let client_secret = material.secret("client_secret")?;
        Ok(worldline::ClientSecret::new(client_id, client_secret.as_str()).into())
    }

    fn assertion(
        &self,
        client_id: &str,
        settings: &AssertionSettings,
        material: &Material<'_>,
    ) -> Result<ClientAssertion, Problem> {
        let pair = settings.key_pair();
        let identity = material.identity("assertion", pair)?;
        let mut assertion =
            ClientAssertion::new(client_id, identity).map_err(|error| self.section.refused("assertion", &error))?;
        if let Some(algorithm) = settings.algorithm {
            let chosen = assertion.algorithm(algorithm.into());
            let of = if pair.pkcs12 { "assertion.pkcs12" } else { "assertion.key" };
            assertion = chosen.map_err(|error| material.problem("assertion.algorithm", of, &text(&error)))?;
        }
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
        Ok(assertion.key_id(key_id).audience(audience).lifetime(settings.lifetime.0).x509(headers))
    }

    fn transport(&self, material: &Material<'_>) -> Result<Transport, Problem> {
        let settings = self.settings.transport();
        let mut transport = Transport::new().connect_timeout(settings.connect_timeout.0).timeout(settings.timeout.0);
        match &settings.proxy {
            Some(Proxy::Url(url)) => transport = transport.proxy(url.as_str()),
            Some(Proxy::Reference(_)) => {
                let url = material.secret("transport.proxy")?;
                self.check_proxy("transport.proxy", &url, false)?;
                transport = transport.proxy(url.as_str());
            }
            None => {}
        }
        for index in 0..settings.roots.len() {
            transport = transport.add_roots_pem(material.roots(&format!("transport.roots[{index}]"))?);
        }
        if let Some(identity) = &settings.identity {
            transport = transport.identity(material.identity("transport.identity", identity.key_pair())?);
        }
        Ok(transport)
    }
}
