//! The kinds of values: references to secrets, files, durations, scopes.

use std::{fmt, marker::PhantomData, time::Duration};

use access_tokens::Setting;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Unexpected, Visitor, value::SeqAccessDeserializer},
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
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Self(text)) }
    }
}

/// The path of a file; a relative one begins at the folder of the file that it's written in.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("minLength" = 1))]
pub(crate) struct FilePath(String);

impl TryFrom<String> for FilePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Messages show the path, and must not show a key that was pasted in its place.
        if text.is_empty() || text.contains("-----BEGIN") || text.contains(char::is_control) {
            return Err("must be the path of a file, not empty and not what is in the file".to_owned());
        }
        Setting::File.check(&text).map_err(|error| error.to_string())?;
        Ok(Self(text))
    }
}

/// The name of an environment variable, in upper case.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = "^[A-Z_][A-Z0-9_]*$"))]
pub(crate) struct VariableName(String);

impl TryFrom<String> for VariableName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The name is told in messages, and a secret in its place isn't to be; few secrets look like such a name.
        let valid = text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if text.is_empty() || !valid || text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("must be the name of an environment variable: upper-case letters, digits and _".to_owned());
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

/// A value that is one of some words, or a table with one key, whose value is a text.
trait Choice: Sized {
    const EXPECTED: &'static str;
    const KEYS: &'static [&'static str];
    /// Why another text won't do, where that isn't plain.
    const NOT_A_TEXT: &'static str = "";

    /// The value for a word; none if a word won't do.
    fn word(_: String) -> Option<Self> {
        None
    }

    /// The value for a table with this key of [`Self::KEYS`] and this text.
    fn entry(key: &str, text: String) -> Result<Self, String>;
}

impl Choice for Reference {
    const EXPECTED: &'static str = "a reference, { env = \"NAME\" } or { file = \"path\" }";
    const KEYS: &'static [&'static str] = &["env", "file"];
    const NOT_A_TEXT: &'static str = "; secrets aren't written into a configuration";

    fn entry(key: &str, text: String) -> Result<Self, String> {
        if key == "env" { text.try_into().map(Self::Env) } else { text.try_into().map(Self::File) }
    }
}

impl Choice for Bundle {
    const EXPECTED: &'static str = "a reference to a file, { file = \"path\" }";
    const KEYS: &'static [&'static str] = &["file"];

    fn entry(_: &str, path: String) -> Result<Self, String> {
        path.try_into().map(Self::File)
    }
}

/// A URL, or a reference to it where it holds a password.
macro_rules! url_or_reference {
    ($($choice:ty),+) => {$(
        impl Choice for $choice {
            const EXPECTED: &'static str = "a URL, { env = \"NAME\" } or { file = \"path\" }";
            const KEYS: &'static [&'static str] = Reference::KEYS;

            fn word(url: String) -> Option<Self> {
                Some(Self::Url(url))
            }

            fn entry(key: &str, text: String) -> Result<Self, String> {
                Reference::entry(key, text).map(Self::Reference)
            }
        }
    )+};
}

url_or_reference!(Proxy, StoreUrl);

/// One of some words, or a text that is checked as a setting.
macro_rules! words_or_text {
    ($choice:ident, $expected:literal, $($word:literal => $value:ident),+) => {
        impl Choice for $choice {
            const EXPECTED: &'static str = $expected;
            const KEYS: &'static [&'static str] = &["text"];

            fn word(word: String) -> Option<Self> {
                match word.as_str() {
                    $($word => Some(Self::$value),)+
                    _ => None,
                }
            }

            fn entry(_: &str, text: String) -> Result<Self, String> {
                Setting::$choice.check(&text).map_err(|error| error.to_string())?;
                Filled::try_from(text).map(Self::Text)
            }
        }
    };
}

words_or_text!(KeyId, "\"sha1\", \"sha256\" or { text = \"...\" }", "sha1" => Sha1, "sha256" => Sha256);
words_or_text!(
    Audience, "\"issuer\", \"token-endpoint\" or { text = \"...\" }",
    "issuer" => Issuer, "token-endpoint" => TokenEndpoint
);

struct ChoiceVisitor<T>(PhantomData<T>);

impl<'de, T: Choice> Visitor<'de> for ChoiceVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::word(text.to_owned()).ok_or_else(|| E::custom(format!("must be {}{}", T::EXPECTED, T::NOT_A_TEXT)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let Some(key) = map.next_key_seed(OneOf(T::KEYS))? else {
            return Err(A::Error::custom(format!("must be {}", T::EXPECTED)));
        };
        let value = map.next_value_seed(Entry { key, choice: PhantomData })?;
        match map.next_key_seed(OneOf(T::KEYS))? {
            None => Ok(value),
            Some(second) => Err(A::Error::custom(format!("has both {key} and {second}; keep one"))),
        }
    }
}

/// The text behind a key of a choice. Its mistakes are reported at that key.
struct Entry<T> {
    key: &'static str,
    choice: PhantomData<T>,
}

impl<'de, T: Choice> DeserializeSeed<'de> for Entry<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::entry(self.key, String::deserialize(deserializer)?).map_err(D::Error::custom)
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

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMore<T>, A::Error> {
                let values = Vec::deserialize(SeqAccessDeserializer::new(list))?;
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

    fn word(text: String) -> Option<Self> {
        Some(Self(text))
    }

    fn entry(_: &str, _: String) -> Result<Self, String> {
        Err(format!("must be {}", Self::EXPECTED))
    }
}

impl ScopeText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A length of time as people write it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, JsonSchema)]
// No unit is spelled out: editors show the pattern.
#[schemars(inline, extend(
    "pattern" = r"^[0-9]+(\.[0-9]+)? *[a-z]+( *[0-9]+(\.[0-9]+)? *[a-z]+)*$",
    "examples" = ["500ms", "5s", "1h 30m"],
))]
pub(crate) struct Span(#[schemars(with = "String")] pub(crate) Duration);

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
    let is_digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_number = |text: &str| text.split_once('.').map_or(is_digits(text), |(a, b)| is_digits(a) && is_digits(b));
    let numbers = text.split(|c: char| c.is_ascii_lowercase()).map(|part| part.trim_matches(' '));
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_lowercase())
        && numbers.filter(|part| !part.is_empty()).all(is_number)
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
