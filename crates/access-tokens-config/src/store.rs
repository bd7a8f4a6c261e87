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
use url::Url;
use zeroize::Zeroizing;

use crate::{
    error::{Error, Problem, add, text},
    section::{Material, Section},
    settings::{StoreMode, StoreSettings, StoreUrl},
    show,
};

/// The store of a configuration, which all of its sources share but those that say `store = false`. A clone is a further
/// handle on the same.
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

    /// What is wrong with the settings that their types don't say.
    pub(crate) fn check_settings(&self) -> Vec<Result<(), Problem>> {
        self.inner.check()
    }

    /// Reads all that it refers to: what is wrong with that, and what is odd about it.
    pub(crate) fn check(&self) -> (Vec<Problem>, Vec<Problem>) {
        self.inner.check_material()
    }

    /// What its URLs lead to, such as `redis://redis.example:6379` or `the cluster at redis://a, redis://b`, without user names
    /// and passwords. URLs in files and variables are read anew.
    ///
    /// # Errors
    /// Where they can't be read, or aren't such URLs.
    pub fn servers(&self) -> Result<String, Error> {
        let inner = &self.inner;
        let urls = inner.urls(&inner.section.material())?;
        let urls: Vec<_> = urls.iter().map(|(_, url)| without_user(url)).collect();
        let urls = urls.join(", ");
        Ok(match (inner.settings.mode, &inner.settings.master) {
            (StoreMode::Sentinel, Some(master)) => format!("{} by the sentinels at {urls}", master.as_str()),
            (StoreMode::Cluster, _) => format!("the cluster at {urls}"),
            _ => urls,
        })
    }

    /// The files that hold its URLs, passwords, keys, certificates and roots, by absolute paths.
    pub fn files(&self) -> Vec<PathBuf> {
        self.inner.section.files(&[""])
    }

    /// The handle that all caches of this configuration have in common. What is in files and variables is read when it is asked
    /// for first; nothing is connected to. Its keys follow the files that they stand in, for as long as there is a handle.
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
        let shared = shared.map_err(|error| self.section.problem("timeout", text(&error)))?;
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
        let urls = self.urls(material)?;
        self.check_urls(&urls)?;
        let StoreSettings { password, sentinel_password, roots, identity, .. } = &self.settings;
        let mut redis = self.builder(urls.iter().map(|(_, url)| url.as_str()));
        if password.is_some() {
            redis = redis.password(material.secret("password", Setting::Password)?.as_str());
        }
        if sentinel_password.is_some() {
            let password = material.secret("sentinel_password", Setting::SentinelPassword)?;
            redis = redis.sentinel_password(password.as_str());
        }
        for index in 0..roots.len() {
            redis = redis.add_roots_pem(material.roots(&format!("roots[{index}]"))?);
        }
        if identity.is_some() {
            redis = redis.identity(material.identity("identity")?);
        }
        redis.build().map_err(|error| self.section.refused("", &error))
    }

    /// Each piece for itself, so that each mistake is found.
    fn check_material(&self) -> (Vec<Problem>, Vec<Problem>) {
        let (material, mut problems) = (self.section.material(), Vec::new());
        let secret = |is_set: bool, setting: Setting| match is_set {
            true => material.secret(setting.key(), setting).map(|_| ()),
            false => Ok(()),
        };
        let StoreSettings { password, sentinel_password, roots, identity, .. } = &self.settings;
        let pieces = [
            secret(password.is_some(), Setting::Password),
            secret(sentinel_password.is_some(), Setting::SentinelPassword),
            self.key_ring(&material).map(|_| ()),
            identity.as_ref().map_or(Ok(()), |_| material.identity("identity").map(|_| ())),
        ];
        let roots = (0..roots.len()).map(|index| material.roots(&format!("roots[{index}]")).map(|_| ()));
        add(&mut problems, pieces.into_iter().chain(roots));
        add(&mut problems, [self.redis(&material).map(|_| ())]);
        (problems, material.into_warnings())
    }

    /// All that is known before anything is read; something stands for each password.
    fn builder<'a>(&self, urls: impl Iterator<Item = &'a str>) -> RedisStoreBuilder {
        let StoreSettings { prefix, username, password, sentinel_username, sentinel_password, .. } = &self.settings;
        let mut redis = RedisStore::builder(urls).prefix(prefix.as_str());
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

    /// The URLs, each with its key, whether they are written or referred to.
    fn urls(&self, material: &Material<'_>) -> Result<Vec<(String, Zeroizing<String>)>, Problem> {
        let urls = self.settings.urls.keyed("urls").into_iter();
        urls.map(|(key, url)| {
            let url = match url {
                StoreUrl::Url(url) => Zeroizing::new(url.clone()),
                StoreUrl::Reference(_) => material.secret(&key, Setting::Urls)?,
            };
            Ok((key, url))
        })
        .collect()
    }

    fn key_ring(&self, material: &Material<'_>) -> Result<KeyRing, Problem> {
        let name_key = material.secret("name_key", Setting::NameKey)?;
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for (at, _) in self.settings.keys.keyed("keys") {
            let lines = material.lines(&at)?;
            let found = lines.split_whitespace().map(|key| Zeroizing::new(key.to_owned()));
            let before = keys.len();
            keys.extend(found);
            if keys.len() == before {
                let message = "holds no key; make one with `openssl rand -base64 32`";
                return Err(self.section.problem(&at, material.with_path(&at, message)));
            }
            places.resize(keys.len(), at);
        }
        KeyRing::from_base64(&name_key, &keys).map_err(|error| {
            let at = match error.setting() {
                Some(Setting::NameKey) => "name_key",
                _ => error.item().and_then(|item| places.get(item)).map_or("keys", String::as_str),
            };
            self.section.problem(at, material.with_path(at, text(&error)))
        })
    }
}

/// A URL as it may be shown. One that isn't a URL isn't.
fn without_user(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    // They fail where there can't be a user name or password.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}
