//! The realm, checked before it becomes a segment of a path.

use std::{fmt, str::FromStr};

use access_tokens_raw::progenitor_client::encode_path;

use crate::{Error, Setting};

/// The name of a realm, as given at onboarding. It becomes a segment of the request's path and nothing else: a name that
/// would leave its segment, such as `..`, is refused.
///
/// ```
/// use access_tokens::worldline::Realm;
///
/// assert_eq!(Realm::new("merchant-clients")?.as_str(), "merchant-clients");
/// for bad in ["", ".", "..", "a/b", "a\\b", "a?b", "a#b", "a%2fb", "a;b", "a\nb", " a"] {
///     assert!(Realm::new(bad).is_err(), "{bad:?}");
/// }
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Realm(String);

impl Realm {
    /// Checks the name.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if [`Setting::check`] refuses it, if it is `.`, `..` or longer
    /// than 255 bytes, or holds one of `/ \ ? # % ;`.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let refused = |why: &str| Err(Setting::Realm.error(why));
        Setting::Realm.check(&name)?;
        if name.len() > 255 {
            return refused("must be 1 to 255 bytes long");
        }
        // Quirk worldline-realm-unrestricted.
        if name == "." || name == ".." {
            return refused("must not be . or ..");
        }
        if let Some(c) = name.chars().find(|c| "/\\?#%;".contains(*c)) {
            return refused(&format!("must not hold {c:?}; it is a name, not a path or URL"));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in a path.
    pub(super) fn encoded(&self) -> String {
        encode_path(&self.0)
    }
}

impl FromStr for Realm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
