//! What can be set. The doc comments of these types are what an editor shows: they become the JSON Schema.

mod value;

use std::{collections::BTreeMap, time::Duration};

use access_tokens::{Policy, assertion, onence};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::value::{
    Audience, Bundle, FilePath, Filled, KeyId, OneOrMore, Proxy, Reference, ScopeText, Span, StoreUrl,
};

/// Token sources for access-tokens.
///
/// The environment goes on top: `ACCESS_TOKENS__SOURCES__SIMS__USERNAME` sets `sources.sims.username`.
#[derive(JsonSchema)]
#[schemars(title = "access-tokens configuration", deny_unknown_fields)]
#[allow(dead_code, reason = "its parts are read one by one, so that each source can tell of its problem")]
pub(crate) struct Document {
    /// Where the schema of this file is, for editors.
    #[serde(rename = "$schema")]
    schema: Option<String>,
    /// The store that the sources share their tokens through with the other instances of a fleet. Not shared if not set.
    store: Option<StoreSettings>,
    /// The token sources, each by a name of your own: lower-case letters and digits, with single `-` or `_` between.
    #[schemars(extend("minProperties" = 1, "propertyNames" = { "pattern": "^[a-z0-9]+([_-][a-z0-9]+)*$" }))]
    sources: BTreeMap<String, SourceSettings>,
}

/// One token source; `provider` says which settings there are.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
// Editors complete by `anyOf`; where it fails, these say which setting it is.
#[schemars(extend("allOf" = [
    {
        "if": { "properties": { "provider": { "const": "onence" } }, "required": ["provider"] },
        "then": { "$ref": "#/definitions/OnenceSettings" },
    },
    {
        "if": { "properties": { "provider": { "const": "worldline" } }, "required": ["provider"] },
        "then": { "$ref": "#/definitions/WorldlineSettings" },
    },
]))]
#[allow(clippy::large_enum_variant, reason = "a few of them are made, once")]
pub(crate) enum SourceSettings {
    Onence(OnenceSettings),
    Worldline(WorldlineSettings),
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    Onence,
    Worldline,
}

/// `https`, or `http` to this machine; nothing of a user, a query or a fragment.
const BASE_URL: &str =
    r"^(https://[^/@?#\\\s]|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?(/|$))[^@?#\\\s]*$";

/// No colon, no control or invisible character, no space or quote at either end.
const USERNAME: &str =
    r#"^(?![\s"'])[^:\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060-\u206f\ufeff]*[^\s"':\x00-\x1f\x7f-\x9f]$"#;

/// 1NCE, IoT SIM management.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnenceSettings {
    /// Whose tokens these are: `onence` for 1NCE, `worldline` for Worldline Open Banking.
    #[schemars(with = "String", extend("enum" = ["onence"]))]
    provider: Provider,
    /// The URL before `/oauth/token`: `https`, or `http` to this machine.
    #[serde(default = "onence_base_url")]
    #[schemars(regex(pattern = BASE_URL))]
    pub(crate) base_url: Filled,
    /// The user name of an account that may use the API.
    #[schemars(regex(pattern = USERNAME), example = "me@example.com")]
    pub(crate) username: Filled,
    /// Where the password of that account stands.
    pub(crate) password: Reference,
    /// Whether its tokens are shared, if there is a `[store]`.
    #[serde(default = "yes")]
    pub(crate) store: bool,
    /// When the cache asks for a token, and when it asks again.
    #[serde(default)]
    pub(crate) policy: PolicySettings,
    /// How requests reach the token endpoint.
    #[serde(default)]
    pub(crate) transport: TransportSettings,
}

fn yes() -> bool {
    true
}

fn onence_base_url() -> Filled {
    Filled::from(onence::BASE_URL)
}

/// Worldline Open Banking (VOP, Wero). It needs either `client_secret` or `assertion`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["client_secret"] }, { "required": ["assertion"] }]))]
pub(crate) struct WorldlineSettings {
    /// Whose tokens these are: `onence` for 1NCE, `worldline` for Worldline Open Banking.
    #[schemars(with = "String", extend("enum" = ["worldline"]))]
    provider: Provider,
    /// The URL before `/realms`, which ends in `/auth`, as given at onboarding: `https`, or `http` to this machine.
    #[schemars(regex(pattern = BASE_URL), example = "https://auth.example/auth")]
    pub(crate) base_url: Filled,
    /// The realm, as given at onboarding.
    #[schemars(example = "merchant-clients")]
    pub(crate) realm: Filled,
    /// The client id, as given at onboarding.
    #[schemars(example = "Worldline-000021")]
    pub(crate) client_id: Filled,
    /// The scopes to request: a list, or a text with spaces or commas between.
    #[schemars(extend("examples" = [["VOP", "WERO"]]))]
    pub(crate) scopes: OneOrMore<ScopeText>,
    /// Where the client secret stands.
    pub(crate) client_secret: Option<Reference>,
    /// A signed assertion instead of a client secret.
    pub(crate) assertion: Option<AssertionSettings>,
    /// Whether its tokens are shared, if there is a `[store]`.
    #[serde(default = "yes")]
    pub(crate) store: bool,
    /// When the cache asks for a token, and when it asks again.
    #[serde(default)]
    pub(crate) policy: PolicySettings,
    /// How requests reach the token endpoint.
    #[serde(default)]
    pub(crate) transport: TransportSettings,
}

/// A signed assertion (RFC 7523). It needs either `key` and `certificate`, or `pkcs12`; `key` alone where `key_id` is a text and
/// `x509` is empty.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{ "required": ["key"] }, { "required": ["pkcs12"] }],
    "dependencies" = { "certificate": ["key"] },
    // A certificate is needed for the default `kid`, for the other fingerprint, and for what `x509` adds.
    "anyOf" = [
        { "required": ["certificate"] },
        { "required": ["pkcs12"] },
        { "required": ["key_id"], "properties": { "key_id": { "type": "object" }, "x509": { "maxItems": 0 } } },
    ],
))]
pub(crate) struct AssertionSettings {
    /// Where the private key stands: PEM or DER; PKCS#8, PKCS#1 or SEC1.
    pub(crate) key: Option<Reference>,
    /// Where its certificate stands: PEM or DER.
    pub(crate) certificate: Option<Reference>,
    /// A PKCS#12 bundle with both.
    pub(crate) pkcs12: Option<Bundle>,
    /// Where the passphrase of the private key or of the bundle stands.
    pub(crate) passphrase: Option<Reference>,
    /// What signs it. If not set, what suits the key.
    pub(crate) algorithm: Option<Algorithm>,
    /// The `kid` in its header.
    #[serde(default)]
    pub(crate) key_id: KeyId,
    /// The `aud` among its claims.
    #[serde(default)]
    pub(crate) audience: Audience,
    /// How long it is valid, from `1s` to `1h`. Keycloak takes `60s` at most.
    #[serde(default = "assertion_lifetime")]
    pub(crate) lifetime: Span,
    /// What its header tells of the certificate.
    #[serde(default)]
    pub(crate) x509: Vec<X509>,
}

fn assertion_lifetime() -> Span {
    Span(Duration::from_secs(60))
}

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Es256,
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for assertion::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Rs384 => Self::Rs384,
            Algorithm::Rs512 => Self::Rs512,
            Algorithm::Ps256 => Self::Ps256,
            Algorithm::Es256 => Self::Es256,
            Algorithm::Es384 => Self::Es384,
            Algorithm::EdDsa => Self::EdDsa,
        }
    }
}

/// A header that tells of the certificate (RFC 7515 sections 4.1.6 to 4.1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) enum X509 {
    /// Its SHA-1 fingerprint.
    #[serde(rename = "x5t")]
    X5t,
    /// Its SHA-256 fingerprint.
    #[serde(rename = "x5t#S256")]
    X5tS256,
    /// The certificate with its chain.
    #[serde(rename = "x5c")]
    X5c,
}

impl From<X509> for assertion::X509Header {
    fn from(header: X509) -> Self {
        match header {
            X509::X5t => Self::X5t,
            X509::X5tS256 => Self::X5tS256,
            X509::X5c => Self::X5c,
        }
    }
}

/// When the cache asks for a token, and when it asks again. The defaults suit both providers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicySettings {
    /// At what part of its lifetime a token is refreshed while it is still served, less the jitter.
    #[schemars(range(min = 0.1, max = 1.0))]
    pub(crate) refresh_at: f64,
    /// The part of its lifetime by which that is earlier at most, drawn anew for each token; to half of `refresh_at`.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub(crate) jitter: f64,
    /// Refreshes also while nobody asks, so that the first caller after a pause doesn't wait.
    pub(crate) keep_warm: bool,
    /// How long a token is taken to live if the server doesn't tell, from `1s` to `30d`.
    pub(crate) assumed_lifetime: Span,
    /// What the pause after a failure begins with where the server names no time, from `100ms` to `longest_pause`; it doubles up
    /// to that, or to `longest_rejected_pause`.
    pub(crate) first_pause: Span,
    /// What that pause grows to, unless the credentials were rejected, from `100ms` to `1h`.
    pub(crate) longest_pause: Span,
    /// What that pause grows to while the provider rejects the credentials, which may lock an account if it happens often, from
    /// `100ms` to `1h`.
    pub(crate) longest_rejected_pause: Span,
    /// A longer `Retry-After` counts as this, from `1s` to `1h`. The next exchange comes up to a tenth of that time later, at least
    /// up to `500ms` and at most up to `5s`, so that not all who were told the same come back at once.
    pub(crate) longest_retry_after: Span,
    /// How long a token can't be invalidated again that came back after it was, from `1s` to `1h`.
    pub(crate) invalidation_pause: Span,
    /// How long the cache waits for an exchange before it counts as failed, whatever the exchange is at, from `100ms` to `1h`.
    pub(crate) exchange_timeout: Span,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            refresh_at: 0.8,
            jitter: 0.125,
            keep_warm: false,
            assumed_lifetime: Span(Duration::from_secs(60)),
            first_pause: Span(Duration::from_millis(500)),
            longest_pause: Span(Duration::from_secs(5)),
            longest_rejected_pause: Span(Duration::from_secs(60)),
            longest_retry_after: Span(Duration::from_secs(60 * 60)),
            invalidation_pause: Span(Duration::from_secs(30)),
            exchange_timeout: Span(Duration::from_secs(30)),
        }
    }
}

impl PolicySettings {
    pub(crate) fn policy(&self) -> Policy {
        Policy::new()
            .refresh_at(self.refresh_at)
            .jitter(self.jitter)
            .assumed_lifetime(self.assumed_lifetime.0)
            .first_pause(self.first_pause.0)
            .longest_pause(self.longest_pause.0)
            .longest_rejected_pause(self.longest_rejected_pause.0)
            .longest_retry_after(self.longest_retry_after.0)
            .invalidation_pause(self.invalidation_pause.0)
            .exchange_timeout(self.exchange_timeout.0)
    }
}

/// How requests reach the token endpoint.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TransportSettings {
    /// The URL of an HTTP proxy. With a user name or password in it, where that URL stands. If not set, that of `HTTPS_PROXY` or `ALL_PROXY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "http://proxy.example:3128")]
    pub(crate) proxy: Option<Proxy>,
    /// Files with root certificates (PEM) to trust too.
    #[schemars(extend("examples" = [["ca.pem"]]))]
    pub(crate) roots: Vec<FilePath>,
    /// The client certificate to show to the server (mTLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<IdentitySettings>,
    /// How long a connection may take, from `100ms` to `timeout`.
    pub(crate) connect_timeout: Span,
    /// How long one request may take, from connecting to the last byte of the answer, from `100ms` to `policy.exchange_timeout`.
    pub(crate) timeout: Span,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            proxy: None,
            roots: Vec::new(),
            identity: None,
            connect_timeout: Span(Duration::from_secs(5)),
            timeout: Span(Duration::from_secs(15)),
        }
    }
}

/// A client certificate for mTLS. It needs either `key` and `certificate`, or `pkcs12`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{ "required": ["key", "certificate"] }, { "required": ["pkcs12"] }],
    "dependencies" = { "key": ["certificate"], "certificate": ["key"] },
))]
pub(crate) struct IdentitySettings {
    /// Where the private key stands: PEM or DER; PKCS#8, PKCS#1 or SEC1.
    pub(crate) key: Option<Reference>,
    /// Where its certificate stands, with its chain: PEM or DER.
    pub(crate) certificate: Option<Reference>,
    /// A PKCS#12 bundle with both.
    pub(crate) pkcs12: Option<Bundle>,
    /// Where the passphrase of the private key or of the bundle stands.
    pub(crate) passphrase: Option<Reference>,
}

/// The store on Redis or Valkey that the sources share their tokens through, so that the instances of a fleet make one exchange
/// and not one each. It sees hashes and sealed values, and no token.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSettings {
    /// Where it is: `redis://host:port/database`, or `rediss://` for TLS; of sentinels or a cluster several. With a user name or
    /// password in it, where that URL stands.
    #[schemars(extend("examples" = ["rediss://redis.example:6379"]))]
    pub(crate) urls: OneOrMore<StoreUrl>,
    /// What the URLs lead to: one server, some servers of a cluster, or the sentinels that know the master.
    #[serde(default)]
    pub(crate) mode: StoreMode,
    /// The name by which sentinels know the master.
    pub(crate) master: Option<Filled>,
    /// The user by Redis' ACL. If not set, `default`.
    pub(crate) username: Option<Filled>,
    /// Where the user's password stands.
    pub(crate) password: Option<Reference>,
    /// The user by the sentinels' own ACL. If not set, `default`.
    pub(crate) sentinel_username: Option<Filled>,
    /// Where the password of the sentinels themselves stands, if they want one.
    pub(crate) sentinel_password: Option<Reference>,
    /// Where the key stands that names are hashed with: 32 bytes in base64, as `openssl rand -base64 32` makes them. The same
    /// for the whole fleet.
    pub(crate) name_key: Reference,
    /// Where the keys stand that seal what is stored, each 32 bytes in base64: 1 to 16 in all, several in one place with line
    /// breaks between. The first seals, every one opens. The same for the whole fleet.
    pub(crate) keys: OneOrMore<Reference>,
    /// What the names of its entries begin with: 1 to 100 visible ASCII characters without braces.
    #[serde(default = "store_prefix")]
    #[schemars(regex(pattern = r"^[!-z|~]{1,100}$"))]
    pub(crate) prefix: Filled,
    /// How long a caller may wait for it beyond the exchange itself, from `10ms` to `2s`. If it is slower it counts as away.
    #[serde(default = "store_timeout")]
    pub(crate) timeout: Span,
    /// Files with root certificates (PEM) to trust too.
    #[serde(default)]
    #[schemars(extend("examples" = [["ca.pem"]]))]
    pub(crate) roots: Vec<FilePath>,
    /// The client certificate to show to the server (mTLS).
    pub(crate) identity: Option<StoreIdentity>,
}

fn store_prefix() -> Filled {
    Filled::from("access-tokens")
}

fn store_timeout() -> Span {
    Span(Duration::from_millis(250))
}

/// What the URLs of the store lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum StoreMode {
    #[default]
    Single,
    Cluster,
    Sentinel,
}

/// A client certificate for mTLS with the store. It needs both.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreIdentity {
    /// Where the private key stands: PEM or DER, not encrypted; PKCS#8, PKCS#1 or SEC1.
    pub(crate) key: Reference,
    /// Where its certificate stands, with its chain: PEM or DER.
    pub(crate) certificate: Reference,
}

impl AssertionSettings {
    /// What the certificate is needed for.
    pub(crate) fn needs_certificate(&self) -> Option<&'static str> {
        match (&self.key_id, self.x509.as_slice()) {
            (KeyId::Text(_), []) => None,
            (KeyId::Text(_), _) => Some("x509 is of the certificate; set it, or leave x509 out"),
            _ => Some("the key id is the certificate's fingerprint; set it, or key_id to a text"),
        }
    }
}

/// A setting that each kind of source has.
macro_rules! of_each {
    ($settings:expr, $field:ident) => {
        match $settings {
            SourceSettings::Onence(settings) => &settings.$field,
            SourceSettings::Worldline(settings) => &settings.$field,
        }
    };
}

impl SourceSettings {
    pub(crate) fn base_url(&self) -> &str {
        of_each!(self, base_url).as_str()
    }

    pub(crate) fn is_shared(&self) -> bool {
        *of_each!(self, store)
    }

    pub(crate) fn policy(&self) -> &PolicySettings {
        of_each!(self, policy)
    }

    pub(crate) fn transport(&self) -> &TransportSettings {
        of_each!(self, transport)
    }

    pub(crate) fn assertion(&self) -> Option<&AssertionSettings> {
        if let Self::Worldline(settings) = self { settings.assertion.as_ref() } else { None }
    }

    /// Each text of scopes with its key; none where the provider knows no scopes.
    pub(crate) fn scopes(&self) -> Vec<(String, &ScopeText)> {
        if let Self::Worldline(settings) = self { settings.scopes.keyed("scopes") } else { Vec::new() }
    }
}
