//! Scopes of RFC 6749 section 3.3.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{Error, Setting};

/// A set of scopes, such as `VOP WERO`. Order and repetition don't count. A comma separates like a space, since people write both.
///
/// ```
/// use access_tokens::Scopes;
///
/// let scopes: Scopes = "WERO VOP,WERO".parse()?;
/// assert_eq!(scopes.to_string(), "VOP WERO");
/// assert!(scopes.contains("VOP"));
/// assert!("VOP \"WERO\"".parse::<Scopes>().is_err());
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scopes(BTreeSet<Box<str>>);

impl Scopes {
    /// No scope at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// What a server sent, but for what is no scope (RFC 6749 section 3.3) and could steer a terminal.
    pub(crate) fn from_answer(text: &str) -> Self {
        Self(text.split_whitespace().filter(|scope| scope.chars().all(allowed)).map(Box::from).collect())
    }

    /// Whether `scope` is among them; case counts.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes that `other` doesn't have.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }
}

/// Whether RFC 6749 section 3.3 allows it in a scope.
fn allowed(c: char) -> bool {
    matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

impl FromStr for Scopes {
    type Err = Error;

    /// Scopes with spaces or commas between.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a character that RFC 6749 section 3.3 doesn't allow.
    fn from_str(text: &str) -> Result<Self, Error> {
        let scopes = || text.split([' ', ',']).filter(|scope| !scope.is_empty());
        if scopes().next().is_some() {
            // Quotes and variables that a shell would have replaced.
            Setting::Scopes.check(text.trim())?;
        }
        if let Some(c) = scopes().flat_map(str::chars).find(|c| !allowed(*c)) {
            let what =
                format!("hold {c:?}; RFC 6749 allows ASCII without \" and \\, with spaces or commas between scopes");
            return Err(Setting::Scopes.error(what));
        }
        Ok(Self(scopes().map(Box::from).collect()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}
