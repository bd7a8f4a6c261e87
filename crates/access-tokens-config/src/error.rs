//! What is wrong with a configuration, and where.
//!
//! No message repeats a value: a secret could stand in any place. Names of keys, files and variables are told.

use std::{error::Error as StdError, fmt, path::Path, sync::Arc};

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A configuration file, and where there is one, the line in it, counted from 1.
    File {
        /// As it was given.
        path: Arc<Path>,
        /// None for what concerns the file as a whole.
        line: Option<usize>,
    },
    /// The environment variable of this name.
    Variable(String),
    /// The flag of this name on the command line.
    Flag(String),
    /// The environment as a whole.
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
            Self::Environment => f.write_str("the environment"),
        }
    }
}

/// One thing that is wrong: where, with which setting, and what to do about it. It holds no value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    origin: Origin,
    key: String,
    message: String,
}

impl Problem {
    pub(crate) fn new(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin, key: key.into(), message: message.into() }
    }

    /// The file and line, the environment variable, or the flag.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The setting, such as `sources.sims.policy.refresh_at`; empty where no setting is concerned.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        // The name of a variable or flag says the key, too.
        if !self.key.is_empty() && !matches!(self.origin, Origin::Variable(_) | Origin::Flag(_)) {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl StdError for Problem {}

/// Why there is no configuration, or no client to it: at least one [`Problem`].
///
/// ```
/// use access_tokens_config::Reader;
///
/// let variables = [("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onse")];
/// let config = Reader::new().variables(variables).read()?;
/// let error = config.source("sims").unwrap_err();
/// assert_eq!(error.problems().first().map(|problem| problem.key()), Some("sources.sims.provider"));
/// assert_eq!(
///     error.to_string(),
///     "ACCESS_TOKENS__SOURCES__SIMS__PROVIDER: must be onence or worldline; did you mean onence?"
/// );
/// # Ok::<(), access_tokens_config::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Vec<Problem>);

impl Error {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// What is wrong; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Error {
    /// One problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl StdError for Error {}

/// Adds what is wrong, but for settings that have a problem already, themselves or as a part of another.
pub(crate) fn add(problems: &mut Vec<Problem>, results: impl IntoIterator<Item = Result<(), Problem>>) {
    for problem in results.into_iter().filter_map(Result::err) {
        let is_related = |other: &Problem| is_within(&problem.key, &other.key) || is_within(&other.key, &problem.key);
        // A variable holds several items of a list.
        let is_same = |other: &Problem| other.origin == problem.origin && other.message == problem.message;
        if !problems.iter().any(|other| is_related(other) || is_same(other)) {
            problems.push(problem);
        }
    }
}

/// Whether `key` is `table`, or a part of it.
pub(crate) fn is_within(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The key of the table that `key` is in; empty for the first level.
pub(crate) fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The key of `name` within `key`.
pub(crate) fn within(key: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-$".contains(c));
    let name = if plain { name.to_owned() } else { format!("{name:?}") };
    if key.is_empty() { name } else { format!("{key}.{name}") }
}
