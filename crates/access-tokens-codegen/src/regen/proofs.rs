//! What is left to do, each part of it tried: which corrections fit the file that is taken in, which it needs, and who speaks of
//! what is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use quote::ToTokens;
use serde_json::Value;

use super::{
    changes::{Kind, SpecChange, canonical},
    files::{PINNED, SNAPSHOTS},
    surface::without_words,
};
use crate::{
    Error, Misfit, Spec, client, invisible,
    ledger::{self, Quirk},
    openapi::NAMED,
    overlay::Overlay,
    pointer::{escape, unescape},
    source,
};

/// What was tried of one specification.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// What is new about each quirk.
    pub(super) quirks: BTreeMap<String, Vec<String>>,
    /// How many quirks there are without whose actions the client is another; `None` if that couldn't be tried.
    pub(super) needed: Option<usize>,
    /// The actions that find nothing, that find another value, and that nothing needs any more.
    pub(super) astray: Vec<usize>,
    pub(super) surprised: Vec<usize>,
    pub(super) needless: Vec<usize>,
}

/// A specification, as it is and as it was.
pub(super) struct Taken<'a> {
    /// The folder that it is in, with its overlay and the ledger.
    pub(super) specs: &'a Path,
    pub(super) module: &'a str,
    pub(super) before: Option<&'a Value>,
    pub(super) quirks: &'a [Quirk],
}

impl Proofs {
    pub(super) fn of(taken: &Taken<'_>) -> Result<Self, Error> {
        let Taken { specs, module, before, quirks } = *taken;
        let (spec, overlay) = source::read_pair(specs, module)?;
        let mut proofs = Self::default();
        if let Some(overlay) = &overlay {
            proofs.actions(taken, &spec, overlay)?;
        }
        for quirk in quirks.iter().filter(|quirk| quirk.provider == module || quirk.provider == ledger::ALL) {
            for (pointer, difference) in quirk.gone(&spec.upstream) {
                let news = format!("its pointers in specs/{} don't hold: {difference}", ledger::FILE);
                proofs.add(&quirk.id, news + &elsewhere(pointer, before, &spec.upstream));
            }
        }
        Ok(proofs)
    }

    fn add(&mut self, quirk: &str, news: String) {
        self.quirks.entry(quirk.to_owned()).or_default().push(news);
    }

    /// Tries the overlay's actions.
    fn actions(&mut self, taken: &Taken<'_>, spec: &Spec, overlay: &Overlay) -> Result<(), Error> {
        let Taken { specs, before, .. } = *taken;
        let misfits = match overlay.apply(&mut spec.upstream.clone()) {
            Err(Error::Overlay { misfits, .. }) => misfits,
            _ => Vec::new(),
        };
        let client = |omitted: &BTreeSet<String>| -> Result<String, Error> {
            let mut spec = spec.clone();
            overlay.try_without(omitted, &mut spec.document);
            invisible::strip(&mut spec.document);
            let code = client::generate(&spec)?;
            let file = syn::parse_file(&code).map_err(|e| Error::document(spec.file(), e))?;
            Ok(without_words(file).into_token_stream().to_string())
        };
        let place = |index: usize| overlay.place(specs, index);
        let none = BTreeSet::new();
        let before_selected = before.map(|before| overlay.try_without(&none, &mut before.clone())).unwrap_or_default();
        let selected = overlay.try_without(&none, &mut spec.upstream.clone());
        for Misfit { index, quirk, reason, .. } in &misfits {
            let mut news = format!("actions[{index}]{} doesn't fit: {reason}", place(*index));
            if selected.get(*index).is_some_and(Vec::is_empty) {
                self.astray.push(*index);
                for pointer in before_selected.get(*index).into_iter().flatten() {
                    news += &format!(
                        "; in the old file it selected {pointer}{}",
                        elsewhere(pointer, before, &spec.upstream)
                    );
                }
            } else {
                self.surprised.push(*index);
            }
            self.add(quirk, news);
        }

        let Ok(whole) = client(&none) else {
            for quirk in misfits.iter().map(|misfit| &misfit.quirk).collect::<BTreeSet<_>>() {
                self.add(quirk, "which actions the client needs can't be tried before all of them fit".to_owned());
            }
            return Ok(());
        };
        let is_same = |omitted: &BTreeSet<String>| client(omitted).is_ok_and(|client| client == whole);
        let all: BTreeSet<_> = overlay.quirks.iter().cloned().collect();
        let (fitting, unfit): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|quirk| !misfits.iter().any(|misfit| misfit.quirk == *quirk));
        for quirk in unfit {
            let without = match client(&BTreeSet::from([quirk.clone()])) {
                Ok(client) if client == whole => "without its actions the client is the same",
                Ok(_) => "without its actions the client is another",
                Err(_) => "without its actions no client can be generated",
            };
            self.add(&quirk, without.to_owned());
        }
        let count = fitting.len();
        let mut needless: BTreeSet<_> =
            fitting.into_iter().filter(|quirk| is_same(&BTreeSet::from([quirk.clone()]))).collect();
        self.needed = Some(count - needless.len());
        // Each by itself may be made up for by another.
        if needless.len() > 1 && !is_same(&needless) {
            for quirk in std::mem::take(&mut needless) {
                self.add(
                    &quirk,
                    "needed beside others like it: without its actions alone the client is the same".to_owned(),
                );
            }
        }
        for quirk in needless {
            let actions = overlay.quirks.iter().enumerate().filter(|(_, other)| **other == quirk);
            let actions: Vec<_> = actions.map(|(index, _)| index).collect();
            let named: Vec<_> = actions.iter().map(|index| format!("actions[{index}]{}", place(*index))).collect();
            self.add(&quirk, format!("no longer needed: without {} the client is the same", named.join(", ")));
            self.needless.extend(actions);
        }
        Ok(())
    }
}

/// Where what stood at `pointer` has come, if it is gone from there.
fn elsewhere(pointer: &str, before: Option<&Value>, document: &Value) -> String {
    let Some((before, old)) = before.and_then(|before| Some((before, before.pointer(pointer)?))) else {
        return String::new();
    };
    if document.pointer(pointer).is_some() {
        return String::new();
    }
    let same = canonical(Kind::Api, old);
    let mut come = Vec::new();
    find(document, String::new(), &mut |pointer, value| {
        if before.pointer(pointer).is_none() && canonical(Kind::Api, value) == same {
            come.push(pointer.to_owned());
        }
    });
    match come.as_slice() {
        [] => ", and nothing equal came elsewhere".to_owned(),
        [one] => format!(", and an equal value is at {one} now"),
        [one, rest @ ..] => format!(", and an equal value is at {one} now, and at {} further places", rest.len()),
    }
}

fn find(value: &Value, pointer: String, found: &mut dyn FnMut(&str, &Value)) {
    found(&pointer, value);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find(item, format!("{pointer}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                find(member, format!("{pointer}/{}", escape(name)), found);
            }
        }
        _ => {}
    }
}

fn also<'a>(place: String, others: impl Iterator<Item = &'a str>) -> String {
    let others: Vec<_> = others.collect();
    if others.is_empty() { place } else { format!("{place} (also mentions {})", others.join(", ")) }
}

/// The names that went or moved with a change, `now` being the document: of schemas, members, paths, operations, values of an enum.
pub(super) fn gone(changes: &[SpecChange], now: Option<&Value>) -> BTreeSet<String> {
    let (mut gone, mut inner, mut there) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    now.into_iter().for_each(|now| names(now, &mut there));
    for SpecChange { pointer, old, new, .. } in changes {
        let Some(old) = old else { continue };
        let segments: Vec<_> = pointer.split('/').map(unescape).collect();
        let name = segments.last().map(String::as_str).unwrap_or_default();
        let parent = segments.iter().rev().nth(1).map(String::as_str).unwrap_or_default();
        if new.is_none() && NAMED.contains(&parent) {
            gone.insert(name.to_owned());
        }
        if new.is_none() && !old.is_string() {
            names(old, &mut inner);
        }
        if let Some(text) = old.as_str()
            && (name == "operationId" || name == "url" || new.is_none() && parent == "enum")
        {
            gone.insert(text.to_owned());
        }
    }
    gone.extend(inner.difference(&there).cloned());
    // Statuses, media types and the like stand everywhere.
    gone.retain(|name| name.len() > 3 && !name.chars().all(|c| c.is_ascii_digit()) && !name.contains("application/"));
    gone
}

/// The names in what was removed whole.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        if let ("properties" | "schemas", Value::Object(members)) = (name.as_str(), member) {
            found.extend(members.keys().cloned());
        }
        if let ("operationId", Value::String(id)) = (name.as_str(), member) {
            found.insert(id.clone());
        }
        names(member, found);
    }
}

/// Whether the text has the name as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).any(|(at, _)| {
        !text.get(..at).is_some_and(|before| before.ends_with(in_word))
            && !text.get(at + name.len()..).is_some_and(|after| after.starts_with(in_word))
    })
}

/// What people write, in which a name or a quirk may be mentioned: files, relative to the workspace, and their texts.
pub(super) struct Sources(Vec<(String, String)>);

/// They have names. The ledger's ids are in the README's table, which is generated.
const TOP: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

impl Sources {
    /// Reads what is text.
    pub(super) fn read(root: &Path) -> Self {
        let mut found = Vec::new();
        for folder in ["crates", "docs", "specs", "tests"] {
            files(root, Path::new(folder), &mut found);
        }
        found.sort();
        found.extend(TOP.map(PathBuf::from));
        let text = |file: PathBuf| Some((file.display().to_string(), fs::read_to_string(root.join(&file)).ok()?));
        Self(found.into_iter().filter_map(text).collect())
    }

    /// Where a quirk is written down or handled, and who else uses that: to be looked at.
    pub(super) fn places(&self, quirk: &str, quirks: &[Quirk]) -> Vec<String> {
        let mut places = Vec::new();
        for (file, text) in self.0.iter().filter(|(file, text)| !TOP.contains(&&**file) && text.contains(quirk)) {
            for (index, line) in text.lines().enumerate().filter(|(_, line)| mentions(line, quirk)) {
                let others = quirks.iter().filter(|other| other.id != quirk && mentions(line, &other.id));
                places.push(also(format!("{file}:{}", index + 1), others.map(|other| other.id.as_str())));
            }
        }
        for test in quirks.iter().filter(|one| one.id == quirk).flat_map(|quirk| &quirk.tests) {
            let others = quirks.iter().filter(|other| other.id != quirk && other.tests.contains(test));
            places.push(also(format!("the test {test}"), others.map(|other| other.id.as_str())));
        }
        places
    }

    /// The files that mention each of the names.
    pub(super) fn mentions(&self, names: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (file, text) in &self.0 {
            for name in names.iter().filter(|name| mentions(text, name)) {
                found.entry(name.clone()).or_default().push(file.clone());
            }
        }
        found
    }
}

fn files(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        let generated = path.starts_with(PINNED) || path.starts_with(SNAPSHOTS) || path.ends_with("target");
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !generated {
            files(root, &path, found);
        } else if kind.is_file() && !path.to_string_lossy().ends_with(source::SPEC_ENDING) {
            let wanted = ["rs", "yaml", "md", "toml", "json", "sh"];
            if path.extension().is_some_and(|ending| wanted.iter().any(|wanted| ending == *wanted)) {
                found.push(path);
            }
        }
    }
}
