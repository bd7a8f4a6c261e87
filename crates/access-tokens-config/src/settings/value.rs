//! The kinds of values: references to secrets, files, durations, scopes.

use std::{borrow::Cow, fmt, marker::PhantomData, path::PathBuf, time::Duration};

use access_tokens::Setting;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Unexpected, Visitor},
};

/// A text that isn't empty.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("minLength" = 1))]
pub(crate) struct Filled(String);

impl Filled {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Filled {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl TryFrom<String> for Filled {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.is_empty() { Err("must not be empty") } else { Ok(Self(text)) }
    }
}

/// The path of a file; a relative one begins at the folder of the file that it's written in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, with = "String", extend("minLength" = 1))]
pub(crate) struct FilePath(PathBuf);

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.display())
    }
}

impl TryFrom<String> for FilePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Messages show the path, and must not show a key that was pasted in its place.
        if text.is_empty() || text.contains("-----BEGIN") || text.contains(char::is_control) {
            return Err("must be the path of a file, not empty and not what is in the file".to_owned());
        }
        Setting::File.check(&text).map_err(|error| error.to_string())?;
        Ok(Self(text.into()))
    }
}

/// The name of an environment variable, in upper case.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = "^[A-Z_][A-Z0-9_]*$"))]
pub(crate) struct VariableName(String);

impl TryFrom<String> for VariableName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        // The name is told in messages, and a secret in its place isn't to be; few secrets look like such a name.
        let valid = text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if text.is_empty() || !valid || text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("must be the name of an environment variable: upper-case letters, digits and _");
        }
        Ok(Self(text))
    }
}

/// Where a secret stands, never the secret itself.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reference {
    /// The environment variable that holds it.
    Env(VariableName),
    /// The file that holds it; one line break at its end is dropped.
    File(FilePath),
}

/// The file of a PKCS#12 bundle.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Bundle {
    /// The file that holds it.
    File(FilePath),
}

/// A proxy's URL, or where that stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Proxy {
    /// `http://` or `https://`, without a user name or password.
    Url(
        #[schemars(regex(pattern = r"^https?://[^/@\\\s][^@\\\s]*$"))]
        String,
    ),
    /// With a user name or password in it.
    Reference(Reference),
}

/// The URL of a store, or where that stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum StoreUrl {
    /// `redis://` or `rediss://`, without a user name or password.
    Url(
        #[schemars(regex(pattern = r"^(redis|valkey)s?://[^/@?#\\\s]+(/[0-9]*)?$"))]
        String,
    ),
    /// With a user name or password in it.
    Reference(Reference),
}

/// The `kid` of an assertion.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyId {
    /// The certificate's SHA-1 fingerprint, in upper-case hex.
    #[default]
    Sha1,
    /// The certificate's SHA-256 fingerprint, in upper-case hex.
    Sha256,
    /// This text.
    Text(Filled),
}

/// The `aud` of an assertion.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Audience {
    /// The realm's URL.
    #[default]
    Issuer,
    /// The URL that the assertion is sent to.
    TokenEndpoint,
    /// This text.
    Text(Filled),
}

impl KeyId {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }
}

impl Audience {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }
}

/// A value that is one of some words, or a table with one of some keys.
trait Choice: Sized {
    const EXPECTED: &'static str;
    const KEYS: &'static [&'static str];
    /// Why another text won't do, where that isn't plain.
    const NOT_A_TEXT: &'static str = "";

    /// The value for a word; none if a word won't do.
    fn word(_: &str) -> Option<Self> {
        None
    }

    /// The value for a table with this key of [`Self::KEYS`].
    fn entry<'de, A: MapAccess<'de>>(key: &'static str, map: &mut A) -> Result<Self, A::Error>;
}

impl Choice for Reference {
    const EXPECTED: &'static str = "a reference, { env = \"NAME\" } or { file = \"path\" }";
    const KEYS: &'static [&'static str] = &["env", "file"];
    const NOT_A_TEXT: &'static str = "; secrets aren't written into a configuration";

    fn entry<'de, A: MapAccess<'de>>(key: &'static str, map: &mut A) -> Result<Self, A::Error> {
        if key == "env" { map.next_value().map(Self::Env) } else { map.next_value().map(Self::File) }
    }
}

impl Choice for Bundle {
    const EXPECTED: &'static str = "a reference to a file, { file = \"path\" }";
    const KEYS: &'static [&'static str] = &["file"];

    fn entry<'de, A: MapAccess<'de>>(_: &'static str, map: &mut A) -> Result<Self, A::Error> {
        map.next_value().map(Self::File)
    }
}

impl Choice for Proxy {
    const EXPECTED: &'static str = "a URL, { env = \"NAME\" } or { file = \"path\" }";
    const KEYS: &'static [&'static str] = &["env", "file"];

    fn word(text: &str) -> Option<Self> {
        Some(Self::Url(text.to_owned()))
    }

    fn entry<'de, A: MapAccess<'de>>(key: &'static str, map: &mut A) -> Result<Self, A::Error> {
        Reference::entry(key, map).map(Self::Reference)
    }
}

impl Choice for StoreUrl {
    const EXPECTED: &'static str = Proxy::EXPECTED;
    const KEYS: &'static [&'static str] = Proxy::KEYS;

    fn word(text: &str) -> Option<Self> {
        Some(Self::Url(text.to_owned()))
    }

    fn entry<'de, A: MapAccess<'de>>(key: &'static str, map: &mut A) -> Result<Self, A::Error> {
        Reference::entry(key, map).map(Self::Reference)
    }
}

impl Choice for KeyId {
    const EXPECTED: &'static str = "\"sha1\", \"sha256\" or { text = \"...\" }";
    const KEYS: &'static [&'static str] = &["text"];

    fn word(text: &str) -> Option<Self> {
        match text {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn entry<'de, A: MapAccess<'de>>(_: &'static str, map: &mut A) -> Result<Self, A::Error> {
        map.next_value().map(Self::Text)
    }
}

impl Choice for Audience {
    const EXPECTED: &'static str = "\"issuer\", \"token-endpoint\" or { text = \"...\" }";
    const KEYS: &'static [&'static str] = &["text"];

    fn word(text: &str) -> Option<Self> {
        match text {
            "issuer" => Some(Self::Issuer),
            "token-endpoint" => Some(Self::TokenEndpoint),
            _ => None,
        }
    }

    fn entry<'de, A: MapAccess<'de>>(_: &'static str, map: &mut A) -> Result<Self, A::Error> {
        map.next_value().map(Self::Text)
    }
}

struct ChoiceVisitor<T>(PhantomData<T>);

impl<'de, T: Choice> Visitor<'de> for ChoiceVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::word(text).ok_or_else(|| E::custom(format!("must be {}{}", T::EXPECTED, T::NOT_A_TEXT)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let Some(key) = map.next_key_seed(OneOf(T::KEYS))? else {
            return Err(A::Error::custom(format!("must be {}", T::EXPECTED)));
        };
        let value = T::entry(key, &mut map)?;
        match map.next_key_seed(OneOf(T::KEYS))? {
            None => Ok(value),
            Some(second) => Err(A::Error::custom(format!("has both {key} and {second}; keep one"))),
        }
    }
}

/// A key that is one of these.
struct OneOf(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for OneOf {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        let key = String::deserialize(deserializer)?;
        self.0.iter().copied().find(|known| *known == key).ok_or_else(|| D::Error::unknown_field(&key, self.0))
    }
}

/// Choices differ in nothing but what the trait says.
macro_rules! deserialize_choice {
    ($($choice:ty),+) => {$(
        impl<'de> Deserialize<'de> for $choice {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ChoiceVisitor(PhantomData))
            }
        }
    )+};
}

deserialize_choice!(Reference, Bundle, Proxy, StoreUrl, KeyId, Audience, ScopeText);

/// A value, or a list of them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum OneOrMore<T> {
    One(T),
    More(#[schemars(length(min = 1))] Vec<T>),
}

impl<T> OneOrMore<T> {
    /// Each with its key, as in `keys[1]`; one that isn't in a list has that of the setting.
    pub(crate) fn keyed(&self, key: &str) -> Vec<(String, &T)> {
        match self {
            Self::One(value) => vec![(key.to_owned(), value)],
            Self::More(list) => {
                list.iter().enumerate().map(|(index, value)| (format!("{key}[{index}]"), value)).collect()
            }
        }
    }
}

impl<'de, T: Choice + Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueOrList<T>(PhantomData<T>);

        impl<'de, T: Choice + Deserialize<'de>> Visitor<'de> for ValueOrList<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}, or a list of them that isn't empty", T::EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
                ChoiceVisitor(PhantomData).visit_str(text).map(OneOrMore::One)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMore<T>, A::Error> {
                ChoiceVisitor(PhantomData).visit_map(map).map(OneOrMore::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                if values.is_empty() { Err(A::Error::invalid_length(0, &self)) } else { Ok(OneOrMore::More(values)) }
            }
        }

        // As a list, for that is what a variable with commas is.
        deserializer.deserialize_seq(ValueOrList(PhantomData))
    }
}

/// Scopes with spaces or commas between.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct ScopeText(#[schemars(regex(pattern = r#"^[ ,]*[!#-+\--\[\]-~][ !#-\[\]-~]*$"#))] String);

impl Choice for ScopeText {
    const EXPECTED: &'static str = "a text of scopes";
    const KEYS: &'static [&'static str] = &[];

    fn word(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn entry<'de, A: MapAccess<'de>>(_: &'static str, _: &mut A) -> Result<Self, A::Error> {
        Err(A::Error::custom(format!("must be {}", Self::EXPECTED)))
    }
}

impl ScopeText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A length of time as people write it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time with its unit, such as \"500ms\", \"5s\" or \"1h 30m\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                let duration = humantime::parse_duration(text).ok().filter(|_| is_plain_span(text));
                duration.map(Span).ok_or_else(|| E::invalid_value(Unexpected::Str(""), &self))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// Numbers, each with its unit, as the schema has it; `humantime` would take `5 5s` for 55 seconds.
fn is_plain_span(text: &str) -> bool {
    let split = |text: &'_ str, is: fn(char) -> bool| text.find(|c| !is(c)).unwrap_or(text.len());
    let mut rest = text;
    loop {
        let (number, behind) = rest.split_at(split(rest, |c| c.is_ascii_digit() || c == '.'));
        let behind = behind.trim_start_matches(' ');
        let (unit, behind) = behind.split_at(split(behind, |c| c.is_ascii_lowercase()));
        let digits = |text: &str| !text.is_empty() && !text.contains('.');
        if unit.is_empty()
            || !number.split_once('.').map_or(digits(number), |(whole, part)| digits(whole) && digits(part))
        {
            return false;
        }
        if behind.is_empty() {
            return true;
        }
        rest = behind.trim_start_matches(' ');
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            // No unit is spelled out: editors show the pattern.
            "pattern": r"^[0-9]+(\.[0-9]+)? *[a-z]+( *[0-9]+(\.[0-9]+)? *[a-z]+)*$",
            "examples": ["500ms", "5s", "1h 30m"],
        })
    }
}
