//! One named source: from its settings to a client that follows its files.

mod check;
mod material;

use std::{
    error::Error as _,
    fmt, iter,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use access_tokens::{
    ErrorKind, Identity, Policy, RotatingEndpoint, Scopes, TokenCache, TokenEndpoint, Transport,
    assertion::{self, ClientAssertion},
    onence, worldline,
};

use self::material::{Material, Referred};
use crate::{
    environment::Environment,
    error::{Error, Problem},
    settings::{AssertionSettings, Audience, KeyId, OnenceSettings, SourceSettings, WorldlineSettings},
    show,
    tree::Node,
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
    /// The settings as they were written, for where each comes from.
    node: Node,
    settings: SourceSettings,
    /// All that they refer to; the walk over it serves both what is read and what is watched.
    references: Vec<Referred>,
    scopes: Scopes,
    policy: Policy,
    environment: Arc<Environment>,
}

impl Source {
    /// Checks what the types of the settings don't say. Paths in a file begin at `folder`.
    pub(crate) fn new(
        name: String,
        node: Node,
        mut settings: SourceSettings,
        environment: Arc<Environment>,
        folder: Option<&Path>,
    ) -> Result<Self, Problem> {
        let told = |key: &str, message| problem(&name, &node, key, message);
        let references = Referred::all(&mut settings, &node, folder, told)?;
        let policy = settings.policy().policy();
        let mut inner = Inner { name, node, settings, references, scopes: Scopes::none(), policy, environment };
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
        self.0.references.iter().filter_map(Referred::file).map(Path::to_owned).collect()
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
        let identity =
            assertion.map(|assertion| self.0.material("assertion.")?.identity("assertion", assertion.key_pair()));
        Ok(identity.transpose()?)
    }

    /// Proxy, roots, client certificate and time-outs, with what is in files and variables read anew.
    ///
    /// # Errors
    /// What can't be read, or isn't what it is to be.
    pub fn transport(&self) -> Result<Transport, Error> {
        Ok(self.0.material("transport.")?.transport()?)
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
            problem.unwrap_or_else(|| self.0.refused("", &error)).into()
        })
    }

    /// A cache of its tokens, by its policy. With `keep_warm` it must be called in a tokio runtime.
    ///
    /// It's a new one each time, which knows nothing of the tokens of another; keep it, and clone it to wherever a token is
    /// needed.
    ///
    /// # Errors
    /// As [`endpoint`](Self::endpoint), and with `keep_warm` outside of a runtime.
    pub fn cache(&self) -> Result<TokenCache, Error> {
        let cache = TokenCache::builder(self.endpoint()?).policy(self.policy().clone()).build();
        let cache = cache.map_err(|error| self.0.refused("policy", &error))?;
        if self.keep_warm() {
            cache.keep_warm().map_err(|error| self.0.refused("policy.keep_warm", &error))?;
        }
        Ok(cache)
    }

    /// What is in effect for it, as [`Config::to_toml`](crate::Config::to_toml) has it.
    pub fn to_toml(&self) -> String {
        show::toml(iter::once(self))
    }

    /// The same as JSON: the value of its key among the sources.
    pub fn to_json(&self) -> serde_json::Value {
        show::settings(self)
    }

    pub(crate) fn settings(&self) -> &SourceSettings {
        &self.0.settings
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name()).field("provider", &self.provider()).finish_non_exhaustive()
    }
}

impl Inner {
    fn client(&self) -> Result<Box<dyn TokenEndpoint>, Problem> {
        let material = self.material("")?;
        match &self.settings {
            SourceSettings::Onence(OnenceSettings { base_url, username, .. }) => {
                let password = material.secret("password")?;
                if password.contains(char::is_control) {
                    // As is one with a line break at its end, where it comes from a variable.
                    let message = "holds a control character; Basic authentication can't carry it (RFC 7617)";
                    return Err(self.problem("password", message));
                }
                let credentials = onence::Credentials::new(username.as_str(), password.as_str());
                let client = onence::Client::builder(credentials).base_url(base_url.as_str());
                // Last, since whoever looks for all mistakes asks for the transport on its own, too.
                let client = client.transport(material.transport()?);
                Ok(Box::new(client.build().map_err(|error| self.refused("", &error))?))
            }
            SourceSettings::Worldline(settings) => {
                let WorldlineSettings { base_url, realm, .. } = settings;
                let realm = worldline::Realm::new(realm.as_str()).map_err(|error| self.refused("realm", &error))?;
                let credentials = self.worldline_credentials(settings, &material)?;
                let client = worldline::Client::builder(base_url.as_str(), realm, self.scopes.clone(), credentials);
                Ok(Box::new(client.transport(material.transport()?).build().map_err(|error| self.refused("", &error))?))
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
            ClientAssertion::new(client_id, identity).map_err(|error| self.refused("assertion", &error))?;
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

    /// Something wrong with a setting of this source; `key` is empty for the source as a whole.
    fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        problem(&self.name, &self.node, key, message)
    }

    /// What the facade has against it.
    fn refused(&self, key: &str, error: &access_tokens::Error) -> Problem {
        self.problem(key, text(error))
    }
}

fn problem(name: &str, node: &Node, key: &str, message: impl Into<String>) -> Problem {
    let full = if key.is_empty() { format!("sources.{name}") } else { format!("sources.{name}.{key}") };
    Problem::new(node.origin_of(key).clone(), full, message)
}

/// An error with all that led to it.
fn text(error: &access_tokens::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
