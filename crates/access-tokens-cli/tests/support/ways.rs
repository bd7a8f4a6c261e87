//! The ways to give a setting, and how each spells it.

use std::fmt::Write as _;

use super::{Folder, Said};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `ONENCE_USERNAME`, and `ONENCE_PASSWORD`.
    Variable,
    /// The same with `ONENCE_PASSWORD_FILE`.
    VariableFile,
    /// `--username`, and `--password-file`.
    Flag,
    /// `ACCESS_TOKENS__SOURCES__GIVEN__USERNAME`, and `...__PASSWORD__ENV`.
    Nested,
    /// The same with `...__PASSWORD__FILE`.
    NestedFile,
    /// `username = "..."`, and `password = { env = "..." }`.
    Toml,
    /// The same with `{ file = "..." }`.
    TomlFile,
}

pub const WAYS: [Way; 7] =
    [Way::Variable, Way::VariableFile, Way::Flag, Way::Nested, Way::NestedFile, Way::Toml, Way::TomlFile];

/// The ways that differ for what isn't a secret.
pub const PLAIN_WAYS: [Way; 4] = [Way::Variable, Way::Flag, Way::Nested, Way::Toml];

/// Each key with its flat variable and flag. A secret's are those of its file.
const KEYS: [(&str, &str, &str, &str); 8] = [
    ("onence", "base_url", "ONENCE_BASE_URL", "--base-url"),
    ("onence", "username", "ONENCE_USERNAME", "--username"),
    ("onence", "password", "ONENCE_PASSWORD_FILE", "--password-file"),
    ("worldline", "base_url", "WORLDLINE_BASE_URL", "--base-url"),
    ("worldline", "realm", "WORLDLINE_REALM", "--realm"),
    ("worldline", "client_id", "WORLDLINE_CLIENT_ID", "--client-id"),
    ("worldline", "scopes", "WORLDLINE_SCOPE", "--scope"),
    ("worldline", "client_secret", "WORLDLINE_CLIENT_SECRET_FILE", "--client-secret-file"),
];

pub fn is_secret(key: &str) -> bool {
    ["password", "client_secret"].contains(&key)
}

impl Way {
    /// Whether a secret comes from a file.
    pub fn is_by_file(self) -> bool {
        matches!(self, Self::VariableFile | Self::Flag | Self::NestedFile | Self::TomlFile)
    }

    /// Whether `get` alone knows it.
    pub fn is_of_get(self) -> bool {
        self == Self::Flag
    }

    /// Whether a value can be given so: no process takes a null character in a variable or an argument.
    pub fn takes(self, key: &str, value: &str) -> bool {
        !value.contains('\0')
            || if is_secret(key) { self.is_by_file() } else { matches!(self, Self::Toml | Self::TomlFile) }
    }
}

/// A source with these settings, given in one of the ways. The value of a secret is the secret.
pub struct Given {
    provider: &'static str,
    way: Way,
    keys: Vec<&'static str>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Given {
    pub fn new(folder: &Folder, way: Way, provider: &'static str, settings: &[(&'static str, &str)]) -> Self {
        let keys = settings.iter().map(|(key, _)| *key).collect();
        let mut given = Self { provider, way, keys, arguments: Vec::new(), environment: Vec::new() };
        let mut toml = format!("[sources.given]\nprovider = \"{provider}\"\n");
        for (key, value) in settings {
            let (value, secret) = match (is_secret(key), way.is_by_file()) {
                (false, _) => ((*value).to_owned(), ""),
                (true, true) => {
                    folder.write("given-secret", value);
                    ("given-secret".to_owned(), "file")
                }
                (true, false) => ((*value).to_owned(), "env"),
            };
            match way {
                Way::Variable | Way::VariableFile | Way::Flag => {
                    let (variable, flag) = flat(provider, key);
                    match (way, secret) {
                        (Way::Flag, _) => given.arguments.push(format!("{flag}={value}")),
                        (_, "env") => given.set(variable.strip_suffix("_FILE").unwrap(), value),
                        _ => given.set(variable, value),
                    }
                }
                Way::Nested | Way::NestedFile => {
                    let mut name = nested(key);
                    if !secret.is_empty() {
                        write!(name, "__{}", secret.to_uppercase()).unwrap();
                    }
                    let is_env = secret == "env";
                    given.set(&name, if is_env { "GIVEN_SECRET".to_owned() } else { value.clone() });
                    if is_env {
                        given.set("GIVEN_SECRET", value);
                    }
                }
                Way::Toml | Way::TomlFile => {
                    let written = match secret {
                        "env" => "{ env = \"GIVEN_SECRET\" }".to_owned(),
                        "file" => "{ file = \"given-secret\" }".to_owned(),
                        _ => quoted(&value),
                    };
                    if secret == "env" {
                        given.set("GIVEN_SECRET", value);
                    }
                    writeln!(toml, "{key} = {written}").unwrap();
                }
            }
        }
        if matches!(way, Way::Nested | Way::NestedFile) {
            given.set(&nested("provider"), provider.to_owned());
        }
        if matches!(way, Way::Toml | Way::TomlFile) {
            folder.write("given.toml", toml);
            given.set("ACCESS_TOKENS_CONFIG", "given.toml".to_owned());
        }
        given
    }

    /// Adds a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// The name of the source.
    pub fn source(&self) -> &'static str {
        match self.way {
            Way::Variable | Way::VariableFile | Way::Flag => self.provider,
            _ => "given",
        }
    }

    /// What a message about this setting begins with.
    pub fn name(&self, key: &str) -> String {
        let suffix = |env: &'static str, file: &'static str| match (is_secret(key), self.way.is_by_file()) {
            (false, _) => "",
            (true, true) => file,
            (true, false) => env,
        };
        match self.way {
            Way::Variable | Way::VariableFile => {
                let variable = flat(self.provider, key).0;
                let variable = if self.way == Way::Variable { variable.trim_end_matches("_FILE") } else { variable };
                format!("{variable}: ")
            }
            Way::Flag => format!("{}: ", flat(self.provider, key).1),
            Way::Nested | Way::NestedFile => format!("{}{}: ", nested(key), suffix("__ENV", "__FILE")),
            Way::Toml | Way::TomlFile => {
                let line = self.keys.iter().position(|known| *known == key).unwrap() + 3;
                format!("given.toml:{line}: sources.given.{key}{}: ", suffix(".env", ".file"))
            }
        }
    }

    pub fn run(&self, folder: &Folder, arguments: &[&str]) -> Said {
        self.run_with(folder, arguments, &[])
    }

    pub fn run_with(&self, folder: &Folder, arguments: &[&str], more: &[(&str, &str)]) -> Said {
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<_> = environment.chain(more.iter().copied()).collect();
        let arguments = arguments.iter().copied().chain(self.arguments.iter().map(String::as_str));
        folder.run(&arguments.collect::<Vec<_>>(), &environment)
    }

    /// `get` of this source.
    pub fn get(&self, folder: &Folder) -> Said {
        self.run(folder, &["get", self.source()])
    }
}

fn flat(provider: &str, key: &str) -> (&'static str, &'static str) {
    let found = KEYS.iter().find(|(of, known, ..)| *of == provider && *known == key);
    let (_, _, variable, flag) = found.unwrap();
    (variable, flag)
}

fn nested(key: &str) -> String {
    format!("ACCESS_TOKENS__SOURCES__GIVEN__{}", key.to_uppercase())
}

/// A text of TOML, with escapes for what may not stand in one.
pub fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() || !c.is_ascii() => format!("\\U{:08X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
