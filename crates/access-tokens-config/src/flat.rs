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
    /// Each variable with its key. Where the key ends in `env`, the variable is the one that a reference names.
    variables: &'static [(&'static str, &'static str)],
}

pub(crate) static FLAT: [Flat; 2] = [
    Flat {
        source: "onence",
        variables: &[
            ("ONENCE_BASE_URL", "base_url"),
            ("ONENCE_USERNAME", "username"),
            ("ONENCE_PASSWORD", "password.env"),
            ("ONENCE_PASSWORD_FILE", "password.file"),
        ],
    },
    Flat {
        source: "worldline",
        variables: &[
            ("WORLDLINE_BASE_URL", "base_url"),
            ("WORLDLINE_REALM", "realm"),
            ("WORLDLINE_CLIENT_ID", "client_id"),
            ("WORLDLINE_SCOPE", "scopes"),
            ("WORLDLINE_CLIENT_SECRET", "client_secret.env"),
            ("WORLDLINE_CLIENT_SECRET_FILE", "client_secret.file"),
            ("WORLDLINE_SIGNING_KEY", "assertion.key.file"),
            ("WORLDLINE_SIGNING_CERT", "assertion.certificate.file"),
            ("WORLDLINE_SIGNING_KEY_PASSPHRASE", "assertion.passphrase.env"),
            ("WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE", "assertion.passphrase.file"),
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
        self.variables.iter().find(|(_, of)| is_of(of)).map(|(variable, _)| *variable)
    }

    /// Whether a second variable names the file of a secret.
    pub(crate) fn has_file(&self, key: &str) -> bool {
        self.variables.iter().any(|(_, of)| of.strip_suffix(".env") == Some(key))
    }

    /// The source, if it is named, or one of its variables is set that no reference of the configuration names.
    pub(crate) fn read(
        &self,
        environment: &Environment,
        flags: &Flags,
        referred: &BTreeSet<String>,
        is_named: bool,
    ) -> Option<FlatSource> {
        let first = self.variables.first().map(|(variable, _)| Origin::Variable((*variable).to_owned()));
        let mut origin = None;
        let mut node = Node { origin: Origin::Environment, value: Value::Table(BTreeMap::new()) };
        let (mut problems, mut empty) = (Vec::new(), Vec::new());
        for (variable, key) in self.variables {
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
