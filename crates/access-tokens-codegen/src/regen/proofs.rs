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
    text::shown,
};
use crate::{
    Error, Misfit, client, invisible,
    ledger::{self, Quirk},
    openapi::NAMED,
    pointer::{escape, unescape},
    source,
};

/// What was tried of one specification.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Quirks without whose actions the client is the same, and the places of these actions in the overlay.
    pub(super) needless: Vec<(String, Vec<usize>)>,
    /// How many quirks' actions the client needs.
    pub(super) needed: usize,
    /// Why none of that could be tried.
    pub(super) untried: Option<String>,
    /// Of each action that doesn't fit: its place in the overlay, its quirk, and what stands there now.
    pub(super) misfits: Vec<(usize, String, String)>,
    /// Quirks that the file no longer shows as the ledger has them, and what stands there now.
    pub(super) moved: Vec<(String, Vec<String>)>,
}

impl Proofs {
    /// Tries the specification `module` in the folder `specs`, which was `before`. `misfits` are its overlay's.
    pub(super) fn of(
        specs: &Path,
        module: &str,
        before: Option<&Value>,
        misfits: &[Misfit],
        quirks: &[Quirk],
    ) -> Result<Self, Error> {
        let (spec, overlay) = source::read_pair(specs, module)?;
        let mut proofs = Self::default();
        for quirk in quirks.iter().filter(|quirk| quirk.provider == module || quirk.provider == ledger::ALL) {
            let gone: Vec<_> =
                quirk.gone(&spec.upstream).into_iter().map(|pointer| now(&spec.upstream, pointer)).collect();
            if !gone.is_empty() {
                proofs.moved.push((quirk.id.clone(), gone));
            }
        }
        let Some(overlay) = overlay else { return Ok(proofs) };
        let client = |omitted: &BTreeSet<String>| -> Result<String, Error> {
            let mut spec = spec.clone();
            overlay.try_without(omitted, &mut spec.document);
            invisible::strip(&mut spec.document);
            let code = client::generate(&spec)?;
            let file = syn::parse_file(&code).map_err(|e| Error::document(spec.file(), e))?;
            Ok(without_words(file).into_token_stream().to_string())
        };

        let selected = before.map(|before| overlay.try_without(&BTreeSet::new(), &mut before.clone()));
        for misfit in misfits {
            let places = selected.as_ref().and_then(|selected| selected.get(misfit.index)).cloned().unwrap_or_default();
            let now = instead(misfit, &places, before, &spec.upstream);
            proofs.misfits.push((misfit.index, misfit.quirk.clone(), now));
        }

        let candidates: BTreeSet<_> = overlay.quirks.iter().cloned().collect();
        let whole = match client(&BTreeSet::new()) {
            Ok(whole) => whole,
            Err(error) => {
                proofs.untried = Some(error.to_string());
                return Ok(proofs);
            }
        };
        let is_same = |omitted: &BTreeSet<String>| client(omitted).is_ok_and(|client| client == whole);
        let fits = |quirk: &String| !misfits.iter().any(|misfit| misfit.quirk == *quirk);
        let (candidates, misfits): (Vec<_>, Vec<_>) = candidates.into_iter().partition(fits);
        let all = candidates.len() + misfits.len();
        let mut needless: BTreeSet<_> =
            candidates.into_iter().filter(|quirk| is_same(&BTreeSet::from([quirk.clone()]))).collect();
        // Each by itself may be made up for by another.
        if needless.len() > 1 && !is_same(&needless) {
            needless.clear();
        }
        proofs.needed = all - misfits.len() - needless.len();
        let actions = |quirk: &String| {
            let actions = overlay.quirks.iter().enumerate().filter(|(_, other)| *other == quirk);
            actions.map(|(index, _)| index).collect()
        };
        proofs.needless = needless.into_iter().map(|quirk| (quirk.clone(), actions(&quirk))).collect();
        Ok(proofs)
    }

    /// Whether there is anything that a person must look at.
    pub(super) fn is_empty(&self) -> bool {
        self.needless.is_empty() && self.misfits.is_empty() && self.moved.is_empty()
    }
}

fn now(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        Some(value) => format!("{pointer} is {}", shown(value)),
        None => format!("nothing is at {pointer}"),
    }
}

/// What stands where the action found something else before; and if that is at a new place now, where.
fn instead(misfit: &Misfit, places: &[String], before: Option<&Value>, document: &Value) -> String {
    let mut lines = vec![misfit.reason.clone()];
    for place in places {
        let Some(old) = before.and_then(|before| before.pointer(place)) else { continue };
        let Some(before) = before.filter(|_| document.pointer(place).is_none()) else { continue };
        let same = canonical(Kind::Api, old);
        let mut moved = Vec::new();
        find(document, String::new(), &mut |pointer, value| {
            if before.pointer(pointer).is_none() && canonical(Kind::Api, value) == same {
                moved.push(pointer.to_owned());
            }
        });
        let moved = match moved.as_slice() {
            [] => "what was there is nowhere else".to_owned(),
            [one] => format!("what was there is at {one} now"),
            [one, rest @ ..] => format!("what was there is at {one} now, and at {} further places", rest.len()),
        };
        lines.push(format!("nothing is at {place}; {moved}"));
    }
    lines.join("; ")
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

/// Where a quirk is written down or handled beside the overlay, and who else uses that: to be looked at.
pub(super) fn places(root: &Path, quirk: &str, quirks: &[Quirk]) -> Vec<String> {
    let mut places = Vec::new();
    for file in sources(root) {
        let Ok(text) = fs::read_to_string(root.join(&file)) else { continue };
        for (index, line) in text.lines().enumerate().filter(|(_, line)| mentions(line, quirk)) {
            let others = quirks.iter().filter(|other| other.id != quirk && mentions(line, &other.id));
            places.push(also(format!("{}:{}", file.display(), index + 1), others.map(|other| other.id.as_str())));
        }
    }
    for test in quirks.iter().filter(|one| one.id == quirk).flat_map(|quirk| &quirk.tests) {
        let others = quirks.iter().filter(|other| other.id != quirk && other.tests.contains(test));
        places.push(also(format!("the test {test}"), others.map(|other| other.id.as_str())));
    }
    places
}

fn also<'a>(place: String, others: impl Iterator<Item = &'a str>) -> String {
    let others: Vec<_> = others.collect();
    if others.is_empty() { place } else { format!("{place} (also for {})", others.join(", ")) }
}

/// The names that went or moved with a change, `now` being the document: of schemas, members, paths, operations, values of an enum.
pub(super) fn gone(changes: &[SpecChange], now: Option<&Value>) -> BTreeSet<String> {
    let (mut gone, mut inner, mut there) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    now.into_iter().for_each(|now| names(now, &mut there));
    for SpecChange { pointer, old, new } in changes {
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
            && (name == "operationId" || name == "url" || new.is_none() && ["enum", "required"].contains(&parent))
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

/// The files of people that mention each of the names.
pub(super) fn who_mentions(root: &Path, names: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources(root).chain(["README.md".into(), "CONTRIBUTING.md".into()]) {
        let Ok(text) = fs::read_to_string(root.join(&file)) else { continue };
        for name in names.iter().filter(|name| mentions(&text, name)) {
            found.entry(name.clone()).or_default().push(file.display().to_string());
        }
    }
    found
}

/// Whether the text has the name as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).any(|(at, _)| {
        !text.get(..at).is_some_and(|before| before.ends_with(in_word))
            && !text.get(at + name.len()..).is_some_and(|after| after.starts_with(in_word))
    })
}

/// What people write, in which a name or a quirk may be mentioned.
fn sources(root: &Path) -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "docs", "specs", "tests"] {
        files(root, Path::new(folder), &mut found);
    }
    found.sort();
    found.into_iter()
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
