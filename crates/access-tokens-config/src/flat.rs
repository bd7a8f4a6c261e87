//! The variables `ONENCE_*` and `WORLDLINE_*`, and the command's flags of the same names: another spelling of the sources
//! `onence` and `worldline`.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::{
    environment::{Environment, Settings},
    error::{Origin, Problem, is_within, parent},
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

pub(crate) static FLAT: [Flat; 2] =
    [Flat { source: "onence", variables: &ONENCE }, Flat { source: "worldline", variables: &WORLDLINE }];

static ONENCE: [FlatVariable; 4] = [
    row("ONENCE_BASE_URL", "base_url", "URL", "What comes before /oauth/token [default: the specification's server]"),
    row("ONENCE_USERNAME", "username", "NAME", "User name of a 1NCE account that may use the API"),
    row("ONENCE_PASSWORD", "password.env", "PASSWORD", "Password of that account"),
    row("ONENCE_PASSWORD_FILE", "password.file", "PATH", "File that holds the password"),
];

static WORLDLINE: [FlatVariable; 10] = [
    row("WORLDLINE_BASE_URL", "base_url", "URL", "What comes before /realms; ends in /auth"),
    row("WORLDLINE_REALM", "realm", "NAME", "The realm, as given at onboarding"),
    row("WORLDLINE_CLIENT_ID", "client_id", "ID", "The client id, as given at onboarding"),
    row("WORLDLINE_SCOPE", "scopes", "SCOPES", "The scopes to request, with spaces or commas between"),
    row("WORLDLINE_CLIENT_SECRET", "client_secret.env", "SECRET", "The client secret"),
    row("WORLDLINE_CLIENT_SECRET_FILE", "client_secret.file", "PATH", "File that holds the client secret"),
    row("WORLDLINE_SIGNING_KEY", "assertion.key.file", "PATH", "File of the private key, or of a PKCS#12 bundle"),
    row("WORLDLINE_SIGNING_CERT", "assertion.certificate.file", "PATH", "File of the certificate of that key"),
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
        "File of the passphrase of that key",
    ),
];

/// What was given on a command line in place of variables: the flag and its value, by the variable.
pub(crate) type Flags = BTreeMap<String, (String, String)>;

impl Flat {
    /// The variable that sets this key, or the first one within it.
    pub(crate) fn variable(&self, key: &str) -> Option<&'static str> {
        let key = if key.starts_with("assertion.pkcs12") { "assertion.key" } else { key };
        self.variables.iter().find(|variable| is_within(variable.key, key)).map(|variable| variable.name)
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
    ) -> Option<Settings> {
        let first = self.variables.first().map(|variable| Origin::Variable(variable.name.to_owned()));
        let mut origin = None;
        let Settings { root: mut node, mut problems, mut empty } = Settings::new();
        for FlatVariable { name: variable, key, .. } in self.variables {
            let (place, value) = match flags.get(*variable) {
                Some((flag, value)) => (Origin::Flag(flag.clone()), Ok(Some(Zeroizing::new(value.clone())))),
                None => (Origin::Variable((*variable).to_owned()), environment.variable(variable)),
            };
            let Some(value) = value.transpose() else { continue };
            let full = format!("sources.{}.{key}", self.source);
            if value.as_ref().is_ok_and(|value| value.is_empty()) {
                empty.push((full, place));
                continue;
            }
            if !referred.contains(*variable) || matches!(place, Origin::Flag(_)) {
                origin.get_or_insert_with(|| place.clone());
            }
            // Of a secret, the other variable of the two that can set it.
            let other = Some(parent(key)).filter(|key| !key.is_empty()).and_then(|reference| node.get(reference));
            match (value, other) {
                (Err(what), _) => {
                    // It is set all the same, and not missing.
                    node.set(key, Node::text(&place, variable));
                    problems.push(Problem::new(place, full, what));
                }
                (_, Some(other)) => {
                    let other = other.reference().unwrap_or(other);
                    let message = format!("can't be set beside {}; unset one of the two", other.origin);
                    problems.push(Problem::new(place, full, message));
                }
                // The secret itself is read when it is needed, and anew each time.
                (Ok(_), None) if key.ends_with(".env") => node.set(key, Node::text(&place, variable)),
                (Ok(value), None) => node.set(key, Node::new(&place, Value::Variable(value.to_string()))),
            }
        }
        // A key alone is a bundle, since no variable says how a key without a certificate is called.
        if node.get("assertion.certificate").is_none()
            && let Some(bundle) = node.get("assertion.key").cloned()
        {
            node.remove("assertion.key");
            node.set("assertion.pkcs12", bundle);
        }
        node.origin = origin.or(first.filter(|_| is_named))?;
        node.set("provider", Node::text(&node.origin, self.source));
        Some(Settings { root: node, problems, empty })
    }
}
