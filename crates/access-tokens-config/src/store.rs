//! The store that sources share their tokens through: from its settings to a handle that follows its keys.

mod check;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use access_tokens::{
    ErrorKind, Setting,
    store::{KeyRing, SharedStore},
};
use access_tokens_redis::{RedisStore, RedisStoreBuilder};
use zeroize::Zeroizing;

use crate::{
    checked::Checked,
    error::{Error, Problem},
    material::Material,
    section::Section,
    settings::{StoreMode, StoreSettings, StoreUrl},
    show,
};

/// The store that all sources share but those with `store = false`. A clone is a further handle on the same.
///
/// ```
/// use access_tokens_config::Reader;
///
/// let config = Reader::new().variables([
///     ("ACCESS_TOKENS__STORE__URLS", "redis://redis.example:6379"),
///     ("ACCESS_TOKENS__STORE__NAME_KEY__FILE", "/nowhere/name_key"),
///     ("ACCESS_TOKENS__STORE__KEYS__FILE", "/nowhere/keys"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "me@example.com"),
///     ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD"),
/// ]).read()?;
/// let store = config.source("sims")?.store().unwrap();
/// assert_eq!(store.servers()?, "redis://redis.example:6379");
///
/// let error = store.shared().unwrap_err().to_string();
/// let place = "ACCESS_TOKENS__STORE__NAME_KEY__FILE: /nowhere/name_key can't be read: ";
/// assert!(error.starts_with(place), "{error}");
/// # Ok::<(), access_tokens_config::Error>(())
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Made once: all caches of a process notice together when the store is away.
    shared: Arc<Mutex<Option<SharedStore>>>,
}

struct Inner {
    section: Section,
    settings: StoreSettings,
}

impl Store {
    pub(crate) fn new(section: Section, settings: StoreSettings) -> Self {
        Self { inner: Arc::new(Inner { section, settings }), shared: Arc::default() }
    }

    /// Reads all that it refers to: what is wrong with that, and what is odd about it.
    pub(crate) fn check(&self) -> Checked {
        let material = self.inner.section.material();
        let key_ring = self.inner.key_ring(&material).map(|_| ());
        let redis = self.inner.redis(&material).map(|_| ());
        material.checked([key_ring, redis])
    }

    /// What its URLs lead to, such as `redis://redis.example:6379` or `the cluster at redis://a, redis://b`, without user names
    /// and passwords. URLs in files and variables are read anew.
    ///
    /// # Errors
    /// Where they can't be read, or aren't such URLs.
    pub fn servers(&self) -> Result<String, Error> {
        let urls = self.inner.urls(&self.inner.section.material())?;
        Ok(self.inner.builder(&urls).description())
    }

    /// The files that hold its URLs, passwords, keys, certificates and roots, by absolute paths.
    pub fn files(&self) -> Vec<PathBuf> {
        self.inner.section.files(&[""])
    }

    /// The handle that all caches of this configuration share. The first call reads files and variables; it connects to nothing.
    /// The keys follow their files for as long as there is a handle.
    ///
    /// # Errors
    /// What can't be read, isn't what it is to be, or makes no store.
    pub fn shared(&self) -> Result<SharedStore, Error> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = &*shared {
            return Ok(shared.clone());
        }
        Ok(shared.insert(self.inner.shared()?).clone())
    }

    pub(crate) fn to_toml(&self) -> String {
        show::toml(&self.inner.section, &self.inner.settings)
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        show::json(&self.inner.settings)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("mode", &self.inner.settings.mode).finish_non_exhaustive()
    }
}

/// Where the keys stand.
const KEYS: [&str; 2] = ["name_key", "keys"];

impl Inner {
    fn shared(self: &Arc<Self>) -> Result<SharedStore, Problem> {
        let material = self.section.material();
        let shared = SharedStore::builder(self.redis(&material)?, self.key_ring(&material)?);
        let shared = shared.timeout(self.settings.timeout.0).build();
        let shared = shared.map_err(|error| self.section.problem("timeout", format!("{error:#}")))?;
        let files = self.section.files(&KEYS);
        if !files.is_empty() {
            // Not the handle itself, which has the files watched for as long as it is there.
            let inner = self.clone();
            let read = move || {
                inner
                    .key_ring(&inner.section.material())
                    .map_err(|problem| access_tokens::Error::new(ErrorKind::Configuration, problem.to_string()))
            };
            shared.watch_keys(files, read).map_err(|error| self.section.refused("keys", &error))?;
        }
        Ok(shared)
    }

    fn redis(&self, material: &Material<'_>) -> Result<RedisStore, Problem> {
        // All are read before any is used, so that a check finds the mistakes in each.
        let password = material.secret_if_set("password", Setting::Password);
        let sentinel_password = material.secret_if_set("sentinel_password", Setting::SentinelPassword);
        let (certificate, roots) = (material.client_certificate("identity"), material.roots("roots"));
        let urls = self.urls(material)?;
        self.check_urls(&urls)?;
        let redis = self.builder(&urls);
        let redis = password?.iter().fold(redis, |redis, password| redis.password(password.as_str()));
        let redis = sentinel_password?.iter().fold(redis, |redis, password| redis.sentinel_password(password.as_str()));
        let redis = certificate?.into_iter().fold(redis, RedisStoreBuilder::identity);
        let redis = roots?.into_iter().fold(redis, RedisStoreBuilder::add_roots_pem);
        redis.build().map_err(|error| material.refused("", &error))
    }

    /// The URLs themselves, and whether they fit to each other and to what is set beside them.
    fn check_urls(&self, urls: &[Zeroizing<String>]) -> Result<(), Problem> {
        self.builder(urls).check().map_err(|error| self.section.refused("", &error))?;
        let with_tls = urls.iter().any(|url| url.starts_with("rediss:") || url.starts_with("valkeys:"));
        let of_tls = [("roots", !self.settings.roots.is_empty()), ("identity", self.settings.identity.is_some())];
        if let Some((key, _)) = of_tls.iter().find(|(_, is_set)| *is_set && !with_tls) {
            let urls = self.section.name("urls");
            return Err(self.section.problem(key, format!("is for TLS; use rediss:// in {urls}, or remove this")));
        }
        Ok(())
    }

    /// All that is known before anything is read; something stands for each password.
    fn builder(&self, urls: &[Zeroizing<String>]) -> RedisStoreBuilder {
        let StoreSettings { prefix, username, password, sentinel_username, sentinel_password, .. } = &self.settings;
        let mut redis = RedisStore::builder(urls.iter().map(|url| url.as_str())).prefix(prefix.as_str());
        redis = match (self.settings.mode, &self.settings.master) {
            (StoreMode::Cluster, _) => redis.cluster(),
            (StoreMode::Sentinel, Some(master)) => redis.sentinel(master.as_str()),
            _ => redis,
        };
        redis = username.iter().fold(redis, |redis, name| redis.username(name.as_str()));
        redis = password.iter().fold(redis, |redis, _| redis.password("-"));
        redis = sentinel_username.iter().fold(redis, |redis, name| redis.sentinel_username(name.as_str()));
        sentinel_password.iter().fold(redis, |redis, _| redis.sentinel_password("-"))
    }

    /// The URLs, whether they are written or referred to.
    fn urls(&self, material: &Material<'_>) -> Result<Vec<Zeroizing<String>>, Problem> {
        let read = |(key, url): (String, &StoreUrl)| match url {
            StoreUrl::Url(url) => Ok(Zeroizing::new(url.clone())),
            StoreUrl::Reference(_) => material.secret(&key, Setting::Urls),
        };
        self.settings.urls.keyed("urls").into_iter().map(read).collect()
    }

    fn key_ring(&self, material: &Material<'_>) -> Result<KeyRing, Problem> {
        let name_key = material.secret("name_key", Setting::NameKey)?;
        let keys = self.settings.keys.keyed("keys").into_iter().map(|(key, _)| material.lines(&key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        KeyRing::from_base64(&name_key, &keys).map_err(|error| material.refused("", &error))
    }
}
