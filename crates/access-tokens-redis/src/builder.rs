//! The settings of a store, and all that can be told of them without connecting.

use std::{fmt, sync::Arc};

use access_tokens::{Error, Identity, Setting, tls};
use percent_encoding::percent_decode_str;
use tokio_rustls::TlsConnector;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::{
    address::{Address, HostOf},
    connection::Login,
    error::configuration,
    servers::{Layout, Reach, Servers},
    store::RedisStore,
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const PREFIX: &str = "access-tokens";
const LONGEST_PREFIX: usize = 100;

/// The settings of a [`RedisStore`].
#[derive(Clone)]
#[must_use]
pub struct RedisStoreBuilder {
    /// Each may have a password in it.
    urls: Vec<Zeroizing<String>>,
    cluster: bool,
    sentinel: Option<String>,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    sentinel_username: Option<String>,
    sentinel_password: Option<Zeroizing<String>>,
    prefix: String,
    roots: Vec<Vec<u8>>,
    identity: Option<Identity>,
}

impl RedisStore {
    /// With the URL of one server, `redis://host:port/database` or, for TLS, `rediss://…`; or with those of several that are
    /// [sentinels](RedisStoreBuilder::sentinel) or of one [cluster](RedisStoreBuilder::cluster). Port (6379; 26379 for
    /// sentinels) and database (0) can be left out, `valkey://` and `valkeys://` mean the same.
    ///
    /// User name and password may be in the URL, percent-encoded; with several URLs in any of them.
    pub fn builder(urls: impl IntoIterator<Item = impl Into<String>>) -> RedisStoreBuilder {
        RedisStoreBuilder {
            urls: urls.into_iter().map(|url| Zeroizing::new(url.into())).collect(),
            cluster: false,
            sentinel: None,
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            prefix: PREFIX.to_owned(),
            roots: Vec::new(),
            identity: None,
        }
    }
}

impl RedisStoreBuilder {
    /// The URLs are servers of a cluster: any of them, one at least. The others are learnt from their redirections; with TLS
    /// they must be announced by a name, or an address, that their certificates have. Redis announces addresses; names where
    /// `cluster-announce-hostname` is set on each server, and `cluster-preferred-endpoint-type hostname` (Redis 7 and newer).
    pub fn cluster(self) -> Self {
        Self { cluster: true, ..self }
    }

    /// The URLs are sentinels, which know the master by this name. They are asked each time a connection is made. User name,
    /// password and database are the master's; TLS is for all or none. With TLS the master must be announced by a name, or an
    /// address, that its certificate has. Sentinels announce addresses; names where they have `sentinel resolve-hostnames yes`
    /// and `sentinel announce-hostnames yes` (6.2 and newer), monitor a name, and each server has its own as `replica-announce-ip`.
    pub fn sentinel(self, master: impl Into<String>) -> Self {
        Self { sentinel: Some(master.into()), ..self }
    }

    /// The user by Redis' ACL; `default` if not set.
    pub fn username(self, username: impl Into<String>) -> Self {
        Self { username: Some(username.into()), ..self }
    }

    /// The user's password.
    pub fn password(self, password: impl Into<String>) -> Self {
        Self { password: Some(Zeroizing::new(password.into())), ..self }
    }

    /// The user by the sentinels' own ACL; `default` if not set.
    pub fn sentinel_username(self, username: impl Into<String>) -> Self {
        Self { sentinel_username: Some(username.into()), ..self }
    }

    /// The password of the sentinels themselves, if they want one.
    pub fn sentinel_password(self, password: impl Into<String>) -> Self {
        Self { sentinel_password: Some(Zeroizing::new(password.into())), ..self }
    }

    /// What keys begin with: `<prefix>:{<name>}`; `access-tokens` if not set. 1 to 100 visible ASCII characters, no braces.
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Trusts these certificates too, beside the system's: PEM, one or many, or one in DER.
    pub fn add_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Shows this certificate to the server (mTLS).
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// Checks all settings; connects to nothing.
    ///
    /// # Errors
    /// [`Configuration`](access_tokens::ErrorKind::Configuration), with the setting and what is wrong with it.
    ///
    /// ```
    /// use access_tokens_redis::RedisStore;
    ///
    /// let error = RedisStore::builder(["http://:secret@redis.example"]).build().unwrap_err();
    /// assert_eq!(error.to_string(), "the Redis URL must begin with redis:// or rediss://");
    /// ```
    pub fn build(self) -> Result<RedisStore, Error> {
        let Checked { layout, servers, login, with_tls } = self.checked()?;
        let tls = with_tls.then(|| tls::client_config(&self.roots, self.identity.as_ref())).transpose()?;
        let tls = tls.map(|config| TlsConnector::from(Arc::new(config)));
        let addresses = servers.into_iter().map(|server| server.address).collect();
        Ok(RedisStore::new(self.prefix, Servers::new(Reach { layout, addresses, tls, login })))
    }

    /// Checks all settings but whether TLS can be set up, which needs root certificates on this machine.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn check(&self) -> Result<(), Error> {
        self.checked().map(|_| ())
    }

    /// What the URLs lead to, for messages: without user names and passwords. Of a text that isn't a URL nothing is shown.
    ///
    /// ```
    /// use access_tokens_redis::RedisStore;
    ///
    /// let store = RedisStore::builder(["redis://me:secret@a.example", "redis://b.example:7000"]);
    /// assert_eq!(store.clone().cluster().description(), "the cluster at redis://a.example, redis://b.example:7000");
    /// let description = store.sentinel("tokens").description();
    /// assert_eq!(description, "tokens by the sentinels at redis://a.example, redis://b.example:7000");
    /// ```
    #[must_use]
    pub fn description(&self) -> String {
        let urls = self.urls.iter().map(|url| without_user(url)).collect::<Vec<_>>().join(", ");
        match &self.sentinel {
            Some(master) => format!("{master} by the sentinels at {urls}"),
            None if self.cluster => format!("the cluster at {urls}"),
            None => urls,
        }
    }

    fn checked(&self) -> Result<Checked, Error> {
        check_prefix(&self.prefix).map_err(|error| error.with_setting(Setting::Prefix))?;
        let layout = self.layout()?;
        let default_port = if matches!(layout, Layout::Sentinel { .. }) { SENTINEL_PORT } else { PORT };
        let parse = |(item, url): (usize, &Zeroizing<String>)| {
            let server = Server::parse(url, default_port);
            server.map_err(|error| error.with_setting(Setting::Urls).with_item(item))
        };
        let servers = self.urls.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        let with_tls = one_of(servers.iter().map(|server| server.tls));
        let with_tls =
            with_tls.map_err(|()| of_urls("the Redis URLs must all begin with redis://, or all with rediss://"))?;
        let login = self.login(&servers)?;
        if matches!(layout, Layout::Cluster) && login.database != 0 {
            return Err(of_urls("a Redis cluster has no databases; leave the database out of the URL"));
        }
        let with_tls = with_tls.unwrap_or_default();
        if !(with_tls || self.roots.is_empty() && self.identity.is_none()) {
            return Err(configuration("roots and client certificates are for TLS; use rediss:// in the Redis URL"));
        }
        Ok(Checked { layout, servers, login, with_tls })
    }

    fn layout(&self) -> Result<Layout, Error> {
        let (username, password) = (&self.sentinel_username, &self.sentinel_password);
        let sentinel_login = login(username, password, Setting::SentinelUsername, Setting::SentinelPassword)?;
        match (self.urls.len(), self.cluster, &self.sentinel) {
            (0, _, _) => Err(of_urls("a Redis store needs a URL, such as redis://redis.example:6379")),
            (_, true, Some(_)) => Err(configuration("Redis is either a cluster or behind sentinels; set only one")),
            (_, false, Some(master)) => {
                Setting::Master.check(master)?;
                Ok(Layout::Sentinel { master: master.clone(), login: sentinel_login.unwrap_or_default() })
            }
            _ if sentinel_login.is_some() => {
                Err(configuration("a user name or password of sentinels is set, and no sentinel(master)"))
            }
            (_, true, None) => Ok(Layout::Cluster),
            (1, false, None) => Ok(Layout::Single),
            _ => Err(of_urls("several Redis URLs are for cluster() or sentinel(master); set one of the two")),
        }
    }

    /// From the URLs or from settings of their own, but not from both.
    fn login(&self, servers: &[Server]) -> Result<Login, Error> {
        let found = |what| move |()| of_urls(format!("the Redis URLs have {what} that differ; set it in one alone"));
        let username = one_of(servers.iter().filter_map(|server| server.username.as_ref()));
        let username = username.map_err(found("user names"))?;
        let password = one_of(servers.iter().filter_map(|server| server.password.as_ref()));
        let password = password.map_err(found("passwords"))?;
        let database = one_of(servers.iter().filter_map(|server| server.database)).map_err(found("databases"))?;
        if username.is_some() && self.username.is_some() || password.is_some() && self.password.is_some() {
            return Err(of_urls("user name or password of Redis is set both in the URL and beside it; set it once"));
        }
        let username = self.username.as_ref().or(username).cloned();
        let password = self.password.as_ref().or(password).cloned();
        let login = login(&username, &password, Setting::Username, Setting::Password)?.unwrap_or_default();
        Ok(Login { database: database.unwrap_or_default(), ..login })
    }
}

/// What the settings come to.
struct Checked {
    layout: Layout,
    servers: Vec<Server>,
    login: Login,
    with_tls: bool,
}

/// What one URL says.
struct Server {
    tls: bool,
    address: Address,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    database: Option<u32>,
}

impl Server {
    /// No error repeats the URL, since it may have a password in it.
    fn parse(url: &str, default_port: u16) -> Result<Self, Error> {
        Setting::Urls.check(url)?;
        let url = Url::parse(url).map_err(|_| configuration("the Redis URL isn't a URL"))?;
        let tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(configuration("the Redis URL must begin with redis:// or rediss://")),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(configuration("the Redis URL has no host; it is redis://host:port/database")),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(configuration("the Redis URL must not hold a query or fragment; give settings to the builder"));
        }
        let database = match url.path().trim_matches('/') {
            "" => None,
            digits => Some(digits.parse().map_err(|_| {
                configuration(
                    "the path of the Redis URL isn't the number of a database; it is redis://host:port/database",
                )
            })?),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(|text| text.into_owned()).map_err(|_| {
                configuration(
                    "user name or password in the Redis URL is no text; percent-encode it as UTF-8, or set it beside",
                )
            })
        };
        let username = Some(url.username()).filter(|name| !name.is_empty()).map(decoded).transpose()?;
        let password = url.password().map(decoded).transpose()?.map(Zeroizing::new);
        let port = url.port().unwrap_or(default_port);
        let address = Address { host, port, host_of: HostOf::Url };
        Ok(Self { tls, address, username, password, database })
    }
}

/// A user name alone would be left unsaid, and an empty password refused.
fn login(
    username: &Option<String>,
    password: &Option<Zeroizing<String>>,
    of_username: Setting,
    of_password: Setting,
) -> Result<Option<Login>, Error> {
    if let Some(username) = username {
        of_username.check(username)?;
    }
    if let Some(password) = password {
        of_password.check(password)?;
    }
    match (username, password) {
        (None, None) => Ok(None),
        (Some(_), None) => {
            let (username, password) = (of_username.key(), of_password.key());
            let message = format!("{username} is set for Redis, and no {password}");
            Err(configuration(message).with_setting(of_password))
        }
        (username, password) => Ok(Some(Login { username: username.clone(), password: password.clone(), database: 0 })),
    }
}

fn of_urls(message: impl Into<String>) -> Error {
    configuration(message).with_setting(Setting::Urls)
}

fn check_prefix(prefix: &str) -> Result<(), Error> {
    let visible = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}'));
    if !visible || prefix.is_empty() || prefix.len() > LONGEST_PREFIX {
        return Err(configuration("the prefix of Redis keys must be 1 to 100 visible ASCII characters without braces"));
    }
    Ok(())
}

fn without_user(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    // They fail where there can't be a user name or password.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// What all agree on, if there are any.
fn one_of<T: PartialEq + Copy>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, ()> {
    let first = values.next();
    if values.all(|value| Some(value) == first) { Ok(first) } else { Err(()) }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("urls", &self.urls.len())
            .field("cluster", &self.cluster)
            .field("sentinel", &self.sentinel)
            .field("username", &self.username)
            .field("prefix", &self.prefix)
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}
