//! What a specification says of each quirk of the ledger, and what is to go where upstream fixed one.

use std::{fs, path::Path};

use serde_json::Value;

use crate::ledger::{self, Handling, Quirk};

/// A quirk, and what a version of its specification says of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) status: Status,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Status {
    StillThere,
    /// It is the server's or the generator's; no line of the specification shows it.
    NotShown,
    /// What stood there is gone, and what stands there isn't known to be right: pointers, with what stands there now.
    Changed(Vec<String>),
    /// The specification says now what the ledger calls right.
    Fixed,
}

impl Status {
    /// Whether the ledger has to follow.
    pub(crate) fn is_news(&self) -> bool {
        matches!(self, Self::Changed(_) | Self::Fixed)
    }
}

/// Each quirk that `module` has, in the ledger's order.
pub(crate) fn found(quirks: &[Quirk], module: &str, spec: &Value) -> Vec<Found> {
    let of_module = quirks.iter().filter(|quirk| quirk.provider == module || quirk.provider == ledger::ALL);
    of_module.map(|quirk| Found { id: quirk.id.clone(), status: status(quirk, spec) }).collect()
}

fn status(quirk: &Quirk, spec: &Value) -> Status {
    if quirk.pointers.is_empty() {
        return Status::NotShown;
    }
    let gone = quirk.gone(spec);
    if gone.is_empty() {
        Status::StillThere
    } else if quirk.is_fixed(spec) {
        Status::Fixed
    } else {
        let now = |pointer: &str| match spec.pointer(pointer) {
            Some(value) => format!("{pointer} is {}", super::changes::show(value)),
            None => format!("{pointer} is gone"),
        };
        Status::Changed(gone.into_iter().map(now).collect())
    }
}

/// What handles the quirk and is to be deleted with it: overlay actions, lines of code, the ledger's entry, tests. A test that
/// another quirk needs stays.
pub(crate) fn handling(workspace: &Path, quirk: &Quirk, all: &[Quirk]) -> Vec<String> {
    let mut places = Vec::new();
    let mut add = |what: &str, file: &Path, wanted: &dyn Fn(&str) -> bool| {
        let Ok(text) = fs::read_to_string(workspace.join(file)) else { return };
        let lines = text.lines().enumerate().filter(|(_, line)| wanted(line));
        places.extend(lines.map(|(index, _)| format!("{what} {}:{}", file.display(), index + 1)));
    };
    let names = |line: &str| {
        // Not a longer id that begins or ends with this one.
        let part_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        line.match_indices(&quirk.id).any(|(at, id)| {
            !line.get(..at).is_some_and(|before| before.ends_with(part_of_id))
                && !line.get(at + id.len()..).is_some_and(|after| after.starts_with(part_of_id))
        })
    };
    for file in files(workspace, Path::new("specs"), "overlay.yaml") {
        add("overlay action", &file, &|line| line.trim_start().starts_with("x-quirk:") && names(line));
    }
    if quirk.handled.iter().any(|handling| matches!(handling, Handling::Facade | Handling::Hook)) {
        for file in sources(workspace) {
            add("code", &file, &names);
        }
    }
    add("ledger", &Path::new("specs").join(ledger::FILE), &|line| line.starts_with("- id:") && names(line));
    places.extend(quirk.tests.iter().map(|test| {
        let others: Vec<_> = all.iter().filter(|other| other.id != quirk.id && other.tests.contains(test)).collect();
        match others.as_slice() {
            [] => format!("test {test}"),
            [one] => format!("of test {test} what isn't for {}", one.id),
            [_, _, ..] => format!("of test {test} what isn't for {} others", others.len()),
        }
    }));
    places
}

/// The hand-written code that quirks are handled in, which names their ids.
pub(crate) fn sources(workspace: &Path) -> Vec<std::path::PathBuf> {
    let mut sources = files(workspace, Path::new("crates/access-tokens/src"), ".rs");
    sources.push("crates/access-tokens-raw/hooks.rs".into());
    sources
}

/// The files in a folder of the workspace and the folders in it, in the order of their names; paths relative to the workspace.
fn files(workspace: &Path, folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(workspace.join(folder)) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let inside = |name| {
        let path = folder.join(name);
        if workspace.join(&path).is_dir() {
            files(workspace, &path, ending)
        } else if path.to_string_lossy().ends_with(ending) {
            vec![path]
        } else {
            Vec::new()
        }
    };
    names.into_iter().flat_map(inside).collect()
}
