//! One table of the configuration with all that it refers to: a source, or the store.

use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{self, Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use access_tokens::Setting;

use crate::{
    environment::Environment,
    error::{Origin, Problem, parent, within},
    reference::{Place, Reference},
    schema,
    settings::Span,
    spelling::Spelling,
    tree::{Node, Value},
};

pub(crate) struct Section {
    spelling: Spelling,
    /// The settings as they were written, for where each comes from.
    node: Node,
    /// All that they refer to: what is read is what is watched.
    references: Vec<Reference>,
    pub(crate) environment: Arc<Environment>,
}

impl Section {
    /// The table, once it is known to be right. Paths of a file begin at `folder`, those of variables at the working directory;
    /// in `node` they are made absolute.
    pub(crate) fn new(
        spelling: Spelling,
        node: &mut Node,
        environment: Arc<Environment>,
        folder: Option<&Path>,
    ) -> Self {
        let mut references = Vec::new();
        for key in ["urls", "roots", "transport.roots"] {
            // A variable holds a list with commas between.
            if let Some(Node { origin, value: Value::Variable(texts) }) = node.get(key) {
                let items = texts.split(',').map(|text| text.trim_matches(' ')).filter(|text| !text.is_empty());
                let item = |text: &str| Node { origin: origin.clone(), value: Value::Text(text.to_owned()) };
                let list = Node { origin: origin.clone(), value: Value::List(items.map(item).collect()) };
                node.set(key, list);
            }
        }
        node.leaves("", &mut |key, leaf| {
            let (Value::Text(value) | Value::Variable(value)) = &mut leaf.value else { return };
            let parent = parent(key);
            let place = if key.ends_with(".env") {
                Place::Variable(value.clone())
            } else if key.ends_with(".file") || is_root(key) {
                let is_of_file = matches!(leaf.origin, Origin::File { .. });
                let relative = folder.filter(|_| is_of_file).unwrap_or(Path::new("")).join(&*value);
                let is_secret = schema::is_secret(parent) && !KEY_MATERIAL.iter().any(|key| parent.ends_with(key));
                let shown = !is_secret || is_of_file || is_path(value);
                let path = path::absolute(&relative).unwrap_or(relative);
                *value = path.to_string_lossy().into_owned();
                Place::File { path, shown, pipe: OnceLock::new() }
            } else {
                return;
            };
            let setting = if is_root(key) { key } else { parent };
            references.push(Reference { key: setting.to_owned(), at: key.to_owned(), place });
        });
        Self { spelling, node: node.clone(), references, environment }
    }

    /// Its key, such as `sources.sims`.
    pub(crate) fn key(&self) -> &str {
        self.spelling.table()
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Whether somebody set it.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// What people call a setting, in the way that it was set.
    pub(crate) fn name(&self, key: &str) -> String {
        self.spelling.name(&self.node, key)
    }

    /// The files that settings refer to whose keys begin so, by absolute paths.
    pub(crate) fn files(&self, under: &[&str]) -> Vec<PathBuf> {
        let is_under = |reference: &&Reference| under.iter().any(|under| reference.key.starts_with(under));
        let path = |reference: &Reference| match &reference.place {
            Place::File { path, .. } => Some(path.clone()),
            Place::Variable(_) => None,
        };
        self.references.iter().filter(is_under).filter_map(path).collect()
    }

    /// Something wrong with a setting; `key` is empty for the table as a whole.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        self.spelling.problem(&self.node, key, message)
    }

    /// An error of the facade, at the setting within `under` that it is about, with the path of the file that holds it.
    pub(crate) fn refused(&self, under: &str, error: &access_tokens::Error) -> Problem {
        let Some(setting) = error.setting() else { return self.problem(under, format!("{error:#}")) };
        let mut key = within(under, setting.key());
        // A bundle is in the flat variable of a key too, and a passphrase that isn't set belongs to either.
        if matches!(setting, Setting::Pkcs12 | Setting::Passphrase) && !self.is_set(&key) {
            let bundle = within(under, "pkcs12");
            key = if self.is_set(&bundle) { bundle } else { within(under, "key") };
        }
        let item = error.item().map(|item| format!("{key}[{item}]")).filter(|key| self.is_set(key));
        let key = item.unwrap_or(key);
        self.problem(&key, self.with_path(&key, format!("{error:#}")))
    }

    /// A message with the path in front if the setting at `key` refers to a file whose path may be shown.
    pub(crate) fn with_path(&self, key: &str, what: impl Display) -> String {
        match self.reference(key).map(|reference| &reference.place) {
            Some(Place::File { path, shown: true, .. }) => format!("{}: {what}", path.display()),
            _ => what.to_string(),
        }
    }

    pub(crate) fn reference(&self, key: &str) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.key == key)
    }

    /// The key of the path or name that leads to the setting at `key`.
    pub(crate) fn at<'a>(&'a self, key: &'a str) -> &'a str {
        self.reference(key).map_or(key, |reference| &reference.at)
    }

    /// Of two settings that exclude each other.
    pub(crate) fn both(&self, key: &str, other: &str) -> Problem {
        let origin = self.node.origin_of(other);
        let other = match origin {
            Origin::File { .. } => format!("{} ({origin})", other.rsplit('.').next().unwrap_or(other)),
            variable => variable.to_string(),
        };
        self.problem(key, format!("can't be set beside {other}; remove one of the two"))
    }

    pub(crate) fn check_span(&self, key: &str, span: Span, range: RangeInclusive<Duration>) -> Result<(), Problem> {
        let (least, most) = (Span(*range.start()), Span(*range.end()));
        if (least..=most).contains(&span) {
            return Ok(());
        }
        Err(self.problem(key, format!("must be from {least} to {most}")))
    }

    /// That a URL which stands in the configuration itself holds no password.
    pub(crate) fn check_no_user(&self, key: &str, url: &str) -> Result<(), Problem> {
        let place = "{ env = \"NAME\" } or { file = \"path\" }";
        match url.contains('@') {
            true => Err(self.problem(key, format!("a URL with a user name or password must be a reference, {place}"))),
            false => Ok(()),
        }
    }

    /// Whether the settings of a key are those that are needed. `why` says what needs the certificate; none if nothing does.
    pub(crate) fn check_key_pair(&self, under: &str, why: Option<&str>) -> Result<(), Problem> {
        let key_of = |name: &str| within(under, name);
        let is_set = |name: &str| self.is_set(&key_of(name));
        match (is_set("key"), is_set("certificate"), is_set("pkcs12")) {
            (true, true, false) | (false, false, true) => Ok(()),
            (true, _, true) => Err(self.both(&key_of("key"), &key_of("pkcs12"))),
            (false, true, true) => Err(self.both(&key_of("certificate"), &key_of("pkcs12"))),
            (true, false, false) => match why {
                Some(why) => Err(self.problem(&key_of("certificate"), format!("is missing; {why}"))),
                None => Ok(()),
            },
            (false, true, false) => Err(self.problem(&key_of("key"), "is missing; the certificate needs its key")),
            (false, false, false) if is_set("passphrase") => {
                let key = self.spelling.name(&self.node, &key_of("key"));
                Err(self.problem(&key_of("passphrase"), format!("is set, and no {key}; set that, or remove this")))
            }
            (false, false, false) => Err(self.problem(under, "needs key and certificate, or pkcs12")),
        }
    }
}

/// Settings whose file can't be taken for a secret of one line.
const KEY_MATERIAL: [&str; 2] = [".key", ".certificate"];

/// The key of a file with root certificates: an item of a list, and no table as a reference is.
fn is_root(key: &str) -> bool {
    key.starts_with("roots[") || key.starts_with("transport.roots[")
}

/// Whether a variable holds a path, and not by mistake the secret itself: it names a folder that is there.
fn is_path(value: &str) -> bool {
    let folder = Path::new(value).parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.is_some_and(|folder| folder.is_absolute() || folder.is_dir())
}
