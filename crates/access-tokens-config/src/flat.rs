//! The variables `ONENCE_*` and `WORLDLINE_*`, and the command's flags of the same names: another spelling of the sources
//! `onence` and `worldline`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    environment::Environment,
    error::{Origin, Problem},
    tree::{Node, Value},
};

/// A source that has variables of its own.
pub(crate) struct Flat {
    /// The name of the source, and of its provider.
    pub(crate) source: &'static str,
    variables: &'static [FlatVariable],
}

/// One of the variables `ONENCE_*` and `WORLDLINE_*`; from [`flat_variables`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FlatVariable {
    /// Its name, such as `ONENCE_BASE_URL`.
    pub name: &'static str,
    /// The key that it sets, within the source. If the key ends in `.env`, the value of the variable is a secret.
    pub key: &'static str,
    /// The kind of value, for a help text: `URL`, `PATH`.
    pub value_name: &'static str,
    /// What the value is, in one line.
    pub help: &'static str,
}

/// The variables that set the source `onence` or `worldline`, in the order of a help text. Other sources have none.
///
/// ```
/// let names: Vec<_> = access_tokens_config::flat_variables("onence").map(|variable| variable.name).collect();
/// assert_eq!(names, ["ONENCE_BASE_URL", "ONENCE_USERNAME", "ONENCE_PASSWORD", "ONENCE_PASSWORD_FILE"]);
/// ```
pub fn flat_variables(source: &str) -> impl Iterator<Item = &'static FlatVariable> {
    FLAT.iter().filter(move |flat| flat.source == source).flat_map(|flat| flat.variables)
}

const fn row(name: &'static str, key: &'static str, value_name: &'static str, help: &'static str) -> FlatVariable {
    FlatVariable { name, key, value_name, help }
}

pub(crate) static FLAT: [Flat; 2] = [
    Flat {
        source: "onence",
        variables: &[
            row(
                "ONENCE_BASE_URL",
                "base_url",
                "URL",
                "What comes before /oauth/token [default: the specification's server]",
            ),
            row("ONENCE_USERNAME", "username", "NAME", "User name of a 1NCE account that may use the API"),
            row("ONENCE_PASSWORD", "password.env", "PASSWORD", "Password of that account"),
            row("ONENCE_PASSWORD_FILE", "password.file", "PATH", "File that holds the password"),
        ],
    },
    Flat {
        source: "worldline",
        variables: &[
            row("WORLDLINE_BASE_URL", "base_url", "URL", "What comes before /realms; ends in /auth"),
            row("WORLDLINE_REALM", "realm", "NAME", "The realm, as given at onboarding"),
            row("WORLDLINE_CLIENT_ID", "client_id", "ID", "The client id, as given at onboarding"),
            row("WORLDLINE_SCOPE", "scopes", "SCOPES", "The scopes to request, with spaces or commas between"),
            row("WORLDLINE_CLIENT_SECRET", "client_secret.env", "SECRET", "The client secret"),
            row("WORLDLINE_CLIENT_SECRET_FILE", "client_secret.file", "PATH", "File that holds the client secret"),
            row(
                "WORLDLINE_SIGNING_KEY",
                "assertion.key.file",
                "PATH",
                "File that holds the private key for assertions (PEM or DER), or a PKCS#12 bundle with its certificate",
            ),
            row(
                "WORLDLINE_SIGNING_CERT",
                "assertion.certificate.file",
                "PATH",
                "File that holds the certificate registered for that key (PEM or DER)",
            ),
            row(
                "WORLDLINE_SIGNING_KEY_PASSPHRASE",
                "assertion.passphrase.env",
                "PASSPHRASE",
                "Passphrase of that key or bundle",
            ),
            row(
                "WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE",
                "assertion.passphrase.file",
                "PATH",
                "File that holds the passphrase of that key or bundle",
            ),
        ],
    },
];

/// What was given on a command line in place of variables: the flag and its value, by the variable.
pub(crate) type Flags = BTreeMap<String, (String, String)>;

/// A source as its variables have it.
pub(crate) struct FlatSource {
    pub(crate) node: Node,
    pub(crate) problems: Vec<Problem>,
    /// Keys whose variable is empty, with where.
    pub(crate) empty: Vec<(String, Origin)>,
}

impl Flat {
    /// The variable that sets this key, or the first one within it.
    pub(crate) fn variable(&self, key: &str) -> Option<&'static str> {
        let is_of = |of: &str| of.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.variables.iter().find(|variable| is_of(variable.key)).map(|variable| variable.name)
    }

    /// Whether a second variable names the file of a secret.
    pub(crate) fn has_file(&self, key: &str) -> bool {
        self.variables.iter().any(|variable| variable.key.strip_suffix(".env") == Some(key))
    }

    /// The source, if it is named, or one of its variables is set that no reference of the configuration names.
    pub(crate) fn read(
        &self,
        environment: &Environment,
        flags: &Flags,
        referred: &BTreeSet<String>,
        is_named: bool,
    ) -> Option<FlatSource> {
        let first = self.variables.first().map(|variable| Origin::Variable(variable.name.to_owned()));
        let mut origin = None;
        let mut node = Node { origin: Origin::Environment, value: Value::Table(BTreeMap::new()) };
        let (mut problems, mut empty) = (Vec::new(), Vec::new());
        for FlatVariable { name: variable, key, .. } in self.variables {
            let (place, value) = match flags.get(*variable) {
                Some((flag, value)) => (Origin::Flag(flag.clone()), Ok(value.clone())),
                None => match environment.variable(variable) {
                    Ok(None) => continue,
                    Ok(Some(value)) => (Origin::Variable((*variable).to_owned()), Ok(value.as_str().to_owned())),
                    Err(what) => (Origin::Variable((*variable).to_owned()), Err(what)),
                },
            };
            if value.as_ref().is_ok_and(String::is_empty) {
                empty.push((format!("sources.{}.{key}", self.source), place));
                continue;
            }
            if !referred.contains(*variable) || matches!(place, Origin::Flag(_)) {
                origin.get_or_insert_with(|| place.clone());
            }
            let full = format!("sources.{}.{key}", self.source);
            let other = key.rsplit_once('.').and_then(|(reference, _)| node.get(reference));
            match (value, other) {
                (Err(what), _) => problems.push(Problem::new(place, full, what)),
                (_, Some(other)) => {
                    let message = format!("can't be set beside {}; unset one of the two", only_origin(other));
                    problems.push(Problem::new(place, full, message));
                }
                // The secret itself is read when it is needed, and anew each time.
                (Ok(_), None) if key.ends_with(".env") => {
                    node.set(key, Node { origin: place, value: Value::Text((*variable).to_owned()) });
                }
                (Ok(value), None) => node.set(key, Node { origin: place, value: Value::Variable(value) }),
            }
        }
        node.origin = origin.or(first.filter(|_| is_named))?;
        let provider = Node { origin: node.origin.clone(), value: Value::Text(self.source.to_owned()) };
        node.set("provider", provider);
        Some(FlatSource { node, problems, empty })
    }
}

/// Where the one value of a reference comes from.
fn only_origin(reference: &Node) -> &Origin {
    reference.table().and_then(|table| table.values().next()).map_or(&reference.origin, |node| &node.origin)
}
