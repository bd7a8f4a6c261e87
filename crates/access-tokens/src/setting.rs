//! The settings by name.

mod check;

use std::fmt;

pub(crate) use self::check::CUT_OFF;

/// The setting that an [`Error`](crate::Error) of kind [`Configuration`](crate::ErrorKind::Configuration) is about; see
/// [`Error::setting`](crate::Error::setting).
///
/// ```
/// use access_tokens::{Setting, worldline::Realm};
///
/// let error = Realm::new("merchant-clients\n").unwrap_err();
/// assert_eq!(error.setting(), Some(Setting::Realm));
/// assert_eq!(error.to_string(), "the realm holds a line feed (U+000A); remove it");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// The URL that request paths are appended to.
    BaseUrl,
    /// The user name of Basic authentication, or of a store.
    Username,
    /// Its password.
    Password,
    /// Worldline's realm.
    Realm,
    /// The OAuth client id.
    ClientId,
    /// The OAuth client secret.
    ClientSecret,
    /// The scopes to request.
    Scopes,
    /// A private key.
    Key,
    /// A certificate with its chain.
    Certificate,
    /// A PKCS#12 bundle.
    Pkcs12,
    /// The passphrase of a private key or PKCS#12 bundle.
    Passphrase,
    /// The algorithm that signs an assertion.
    Algorithm,
    /// The `kid` of an assertion.
    KeyId,
    /// The `aud` of an assertion.
    Audience,
    /// The headers of an assertion that identify its certificate.
    X509,
    /// The URL of the HTTP proxy.
    Proxy,
    /// Additional root certificates.
    Roots,
    /// [`Policy::refresh_at`](crate::Policy::refresh_at).
    RefreshAt,
    /// [`Policy::jitter`](crate::Policy::jitter).
    Jitter,
    /// [`Policy::assumed_lifetime`](crate::Policy::assumed_lifetime).
    AssumedLifetime,
    /// [`Policy::first_pause`](crate::Policy::first_pause).
    FirstPause,
    /// [`Policy::longest_pause`](crate::Policy::longest_pause).
    LongestPause,
    /// [`Policy::longest_rejected_pause`](crate::Policy::longest_rejected_pause).
    LongestRejectedPause,
    /// [`Policy::longest_retry_after`](crate::Policy::longest_retry_after).
    LongestRetryAfter,
    /// [`Policy::invalidation_pause`](crate::Policy::invalidation_pause).
    InvalidationPause,
    /// [`Policy::exchange_timeout`](crate::Policy::exchange_timeout).
    ExchangeTimeout,
    /// The URLs of a store.
    Urls,
    /// The name by which sentinels know the master.
    Master,
    /// The user name for the sentinels.
    SentinelUsername,
    /// The password for the sentinels.
    SentinelPassword,
    /// The prefix of a store's keys.
    Prefix,
    /// The time limit of a store.
    Timeout,
    /// The key that hashes names in a store.
    NameKey,
    /// The keys that seal what is stored.
    Keys,
    /// The path of a file that holds one of the above.
    File,
}

impl Setting {
    /// Its key in the configuration file, such as `base_url`.
    pub fn key(self) -> &'static str {
        match self {
            Self::BaseUrl => "base_url",
            Self::Username => "username",
            Self::Password => "password",
            Self::Realm => "realm",
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
            Self::Scopes => "scopes",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Pkcs12 => "pkcs12",
            Self::Passphrase => "passphrase",
            Self::Algorithm => "algorithm",
            Self::KeyId => "key_id",
            Self::Audience => "audience",
            Self::X509 => "x509",
            Self::Proxy => "proxy",
            Self::Roots => "roots",
            Self::RefreshAt => "refresh_at",
            Self::Jitter => "jitter",
            Self::AssumedLifetime => "assumed_lifetime",
            Self::FirstPause => "first_pause",
            Self::LongestPause => "longest_pause",
            Self::LongestRejectedPause => "longest_rejected_pause",
            Self::LongestRetryAfter => "longest_retry_after",
            Self::InvalidationPause => "invalidation_pause",
            Self::ExchangeTimeout => "exchange_timeout",
            Self::Urls => "urls",
            Self::Master => "master",
            Self::SentinelUsername => "sentinel_username",
            Self::SentinelPassword => "sentinel_password",
            Self::Prefix => "prefix",
            Self::Timeout => "timeout",
            Self::NameKey => "name_key",
            Self::Keys => "keys",
            Self::File => "file",
        }
    }
}

impl fmt::Display for Setting {
    /// As people call it: `base URL`, `client id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BaseUrl => "base URL",
            Self::Username => "user name",
            Self::ClientId => "client id",
            Self::ClientSecret => "client secret",
            Self::Key => "private key",
            Self::Pkcs12 => "PKCS#12 bundle",
            Self::KeyId => "key id",
            Self::X509 => "certificate headers (x509)",
            Self::Proxy => "proxy",
            Self::Roots => "root certificates",
            Self::Urls => "Redis URL",
            Self::Master => "name of the sentinels' master",
            Self::SentinelUsername => "sentinels' user name",
            Self::SentinelPassword => "sentinels' password",
            Self::NameKey => "name key",
            Self::Keys => "sealing keys",
            Self::File => "path of the file",
            other => other.key(),
        })
    }
}
