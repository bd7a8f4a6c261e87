//! What a text must be like to be a setting.

use std::fmt;

use url::{ParseError, Url};

use super::Setting;
use crate::{Error, text::is_invisible};

/// What a setting holds; each has rules of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Only characters that nobody can see are refused: whatever else is in a secret is the provider's choice.
    Secret,
    /// An identifier, which also has no space around it, and no quotes or variables that a shell would have replaced.
    Name,
    /// The same and absolute; a user name and password in it count as a secret.
    Url,
}

impl Setting {
    /// Refuses what a text of this setting can't be: empty; with a control character or an invisible one; and unless it is a
    /// secret, with spaces around it, or with quotes, `$VARIABLE` or `~` that a shell would have replaced. A URL must be one.
    ///
    /// The clients of this crate check each setting so before anything is sent.
    ///
    /// ```
    /// use access_tokens::Setting;
    ///
    /// let error = Setting::ClientSecret.check("correct horse\n").unwrap_err();
    /// assert_eq!(error.to_string(), "the client secret holds a line feed (U+000A); remove it");
    /// assert!(Setting::ClientSecret.check("\"größer $HOME\" ").is_ok());
    /// assert!(Setting::ClientId.check("\"Worldline-000021\"").is_err());
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), which names the setting and the character.
    pub fn check(self, text: &str) -> Result<(), Error> {
        self.check_in(text, "")
    }

    /// The same, with where the text comes from, such as ` in /run/secrets/1nce`.
    pub(crate) fn check_in(self, text: &str, place: &str) -> Result<(), Error> {
        let refused = |what: &str| Err(self.error_in(place, what));
        if text.is_empty() {
            return refused("is empty");
        }
        if let Some(c) = text.chars().find(|c| c.is_control() || is_invisible(*c)) {
            return refused(&format!("holds {}; remove it", described(c)));
        }
        let form = self.form();
        if form == Form::Secret {
            return Ok(());
        }
        if text.trim() != text {
            return refused("begins or ends with a space; remove it");
        }
        if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
            return refused("is in quotes, which became a part of it; write it without them");
        }
        let public = if form == Form::Url { without_user(text) } else { text };
        if let Some(name) = unexpanded(public) {
            return refused(&format!("holds {name}, which no shell has replaced; write what it stands for"));
        }
        if form == Form::Url {
            if self != Self::BaseUrl && public.len() == text.len() && text.contains('@') {
                return refused(CUT_OFF);
            }
            if let Some(c) = text.chars().find(|c| c.is_whitespace() || *c == '\\') {
                return refused(&format!("holds {c:?}; remove it"));
            }
            let example = match self {
                Self::Urls => "redis://host:port",
                Self::Proxy => "http://host:port",
                _ => "https://host/path",
            };
            match Url::parse(text) {
                Ok(_) => {}
                Err(ParseError::RelativeUrlWithoutBase) => {
                    return refused(&format!("isn't a URL; write it in full, as in {example}"));
                }
                Err(error) => return refused(&format!("isn't a URL ({error}); write it as in {example}")),
            }
        }
        Ok(())
    }

    /// What is odd about a secret and yet may be right: a space at either end, which is sent.
    pub fn warning(self, text: &str) -> Option<String> {
        let spaced = self.form() == Form::Secret && text.trim() != text;
        spaced.then(|| format!("the {self} begins or ends with a space, which counts; is it part of it?"))
    }

    /// An error about this setting, in words that follow its name.
    pub(crate) fn error(self, what: impl fmt::Display) -> Error {
        self.error_in("", what)
    }

    pub(crate) fn error_in(self, place: &str, what: impl fmt::Display) -> Error {
        Error::configuration(format!("the {self}{place} {what}")).with_setting(self)
    }

    fn form(self) -> Form {
        match self {
            Self::Password | Self::ClientSecret | Self::Passphrase | Self::SentinelPassword => Form::Secret,
            Self::BaseUrl | Self::Proxy | Self::Urls => Form::Url,
            _ => Form::Name,
        }
    }
}

const QUOTES: [char; 6] = ['"', '\'', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];

fn described(c: char) -> String {
    let name = match c {
        '\n' => "a line feed",
        '\r' => "a carriage return",
        '\t' => "a tab",
        '\0' => "a null character",
        '\u{feff}' => "a byte order mark",
        c if c.is_control() => "a control character",
        _ => "an invisible character",
    };
    format!("{name} (U+{:04X})", u32::from(c))
}

/// A password with one of these in it ends the host early, and the rest counts as a path.
pub(crate) const CUT_OFF: &str =
    "must end behind its host and port; in its user name and password write @ as %40, / as %2F, ? as %3F, # as %23";

/// A URL behind its user name and password.
fn without_user(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(authority..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| authority + at);
    let user = url.get(authority..end).and_then(|authority| authority.rfind('@')).map_or(0, |at| authority + at + 1);
    url.get(user..).unwrap_or(url)
}

/// What a shell replaces, and nobody else does: `$NAME`, `${NAME}`, `$(command)`, `~` at the start. A lower-case name within a
/// text may be a part of it, as in `robot$reader`.
fn unexpanded(text: &str) -> Option<&'static str> {
    if text == "~" || text.starts_with("~/") {
        return Some("~ for a home folder");
    }
    let is_variable = text.match_indices('$').any(|(at, _)| {
        let next = text.get(at + 1..).and_then(|rest| rest.chars().next());
        next.is_some_and(|c| "{(_".contains(c) || c.is_ascii_uppercase() || at == 0 && c.is_ascii_lowercase())
    });
    is_variable.then_some("a $VARIABLE")
}
