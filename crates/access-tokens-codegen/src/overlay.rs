//! OpenAPI Overlay 1.0, stricter than the standard: an action must name its quirk and what it expects to find, and it
//! must find it. An action that no longer applies means that upstream changed, and somebody has to look.

use std::collections::BTreeSet;
#[cfg(feature = "regen")]
use std::{fs, path::Path};

use roas_overlay::{
    apply::Apply,
    common::apply::{compile_path, locate},
    v1_0::{self, Action},
    validation::Validate,
};
use serde_json::Value;

use crate::{
    Error, Misfit,
    expected::{Extent, differences, unmentioned},
    ledger,
};

/// An overlay whose actions each name a quirk of the ledger and what they expect.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: String,
    document: v1_0::Overlay,
    /// The `x-quirk` of each action, in order.
    pub(crate) quirks: Vec<String>,
}

impl Overlay {
    /// Reads `overlay`, the contents of `file`. `ledger` has the ids of the quirks there are.
    pub(crate) fn read(file: &str, overlay: Value, ledger: &BTreeSet<String>) -> Result<Self, Error> {
        let document: v1_0::Overlay =
            serde_path_to_error::deserialize(overlay).map_err(|e| Error::document(file, not_an_overlay(&e)))?;
        let spec = file.replace(".overlay.", ".openapi.");
        if document.extends.as_ref().is_some_and(|extends| *extends != spec) {
            return Err(Error::document(file, format!("`extends` must name {spec}, the specification beside it")));
        }
        let mut quirks = Vec::new();
        for (index, action) in document.actions.iter().enumerate() {
            let wrong = |what: String| Error::document(file, format!("{}: {what}", named(index, action)));
            let quirk = extension(action, "x-quirk").map_err(wrong)?;
            let quirk = quirk.as_str().ok_or_else(|| wrong("x-quirk must be text".to_owned()))?.to_owned();
            if action.update.is_none() && !action.is_remove() {
                return Err(wrong("there is neither `update` nor `remove: true`".to_owned()));
            }
            if !ledger.contains(&quirk) {
                return Err(wrong(format!("x-quirk names `{quirk}`, which {} doesn't have", ledger::FILE)));
            }
            let was = extension(action, "x-was").map_err(wrong)?;
            if was.as_object().is_some_and(|was| was.is_empty()) {
                return Err(wrong("x-was expects nothing".to_owned()));
            }
            compile_path(&action.target).map_err(|e| wrong(format!("the target isn't a JSONPath: {e}")))?;
            quirks.push(quirk);
        }
        Ok(Self { file: file.to_owned(), document, quirks })
    }

    /// Applies all actions. The error has each that doesn't fit.
    pub(crate) fn apply(&self, document: &mut Value) -> Result<(), Error> {
        let upstream = document.clone();
        let mut misfits: Vec<Misfit> = Vec::new();
        for ((index, action), quirk) in self.document.actions.iter().enumerate().zip(&self.quirks) {
            let unfit = unfit(action, document, &upstream);
            // What doesn't fit is applied all the same, so that the next actions find what they expect.
            let reason = unfit.or(self.apply_one(action, document));
            misfits.extend(reason.map(|reason| Misfit::new(index, quirk, &action.target, reason)));
        }
        // After the actions, whose own messages say more.
        self.document.validate(Default::default()).map_err(|e| Error::document(&self.file, not_an_overlay(&e)))?;
        if misfits.is_empty() { Ok(()) } else { Err(Error::Overlay { file: self.file.clone(), misfits }) }
    }

    /// Applies the actions of all quirks but `omitted`, whether they find what they expect or not. Returns the pointers that each
    /// action selected; none for those that were left out.
    #[cfg(feature = "regen")]
    pub(crate) fn try_without(&self, omitted: &BTreeSet<String>, document: &mut Value) -> Vec<Vec<String>> {
        let one = |(action, quirk): (&Action, &String)| {
            if omitted.contains(quirk) {
                return Vec::new();
            }
            let found = compile_path(&action.target).map(|path| locate(document, &path)).unwrap_or_default();
            let _ = self.apply_one(action, document);
            found
        };
        self.document.actions.iter().zip(&self.quirks).map(one).collect()
    }

    /// Where an action stands in its file, as ` (specs/FILE:LINE)`; empty if the file is written in a way that doesn't tell.
    #[cfg(feature = "regen")]
    pub(crate) fn place(&self, specs: &Path, index: usize) -> String {
        let text = fs::read_to_string(specs.join(&self.file)).unwrap_or_default();
        let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("- "));
        let mut lines = lines.filter(|(_, line)| line.contains("target:")).map(|(line, _)| line + 1);
        if lines.clone().count() != self.quirks.len() {
            return String::new();
        }
        lines.nth(index).map(|line| format!(" (specs/{}:{line})", self.file)).unwrap_or_default()
    }

    /// Why it can't be applied or changes nothing; `None` if it did its work.
    fn apply_one(&self, action: &Action, document: &mut Value) -> Option<String> {
        let before = document.clone();
        let alone = v1_0::Overlay { actions: vec![action.clone()], ..self.document.clone() };
        match alone.apply(document, Default::default()) {
            Ok(_) if *document == before => Some("changes nothing".to_owned()),
            Ok(_) => None,
            Err(e) => Some(e.kind.to_string()),
        }
    }
}

fn not_an_overlay(reason: &dyn std::fmt::Display) -> String {
    format!("isn't an OpenAPI Overlay 1.0: {reason}")
}

/// An action as messages call it.
fn named(index: usize, action: &Action) -> String {
    let quirk = extension(action, "x-quirk").ok().and_then(Value::as_str);
    let quirk = quirk.map(|quirk| format!("quirk `{quirk}`, ")).unwrap_or_default();
    format!("actions[{index}] ({quirk}target {})", action.target)
}

/// Why an action doesn't find what it expects; `None` if it does.
fn unfit(action: &Action, document: &Value, upstream: &Value) -> Option<String> {
    let (path, was) = match (compile_path(&action.target), extension(action, "x-was")) {
        (Ok(path), Ok(was)) => (path, was),
        (Err(e), _) => return Some(e.to_string()),
        (_, Err(e)) => return Some(e),
    };
    let matches = locate(document, &path);
    if matches.is_empty() && !locate(upstream, &path).is_empty() {
        return Some("its target selects nothing any more, since an action before it took that away".to_owned());
    }
    if matches.is_empty() {
        return Some("its target selects nothing".to_owned());
    }
    matches.iter().find_map(|pointer| {
        let found = document.pointer(pointer).unwrap_or(&Value::Null);
        // What is removed is lost, so it must be known whole; an update leaves the rest as it is.
        let extent = if action.is_remove() { Extent::All } else { Extent::Some };
        let differences = differences(pointer, found, was, extent, action.target.ends_with(".properties"));
        if !differences.is_empty() {
            return Some(differences.join("; "));
        }
        let update = action.update.as_ref().filter(|_| !action.is_remove());
        let key = update.and_then(|update| unmentioned(found, update, was))?;
        Some(format!("x-was doesn't say what `{key}` was"))
    })
}

fn extension<'a>(action: &'a Action, key: &str) -> Result<&'a Value, String> {
    let extension = action.extensions.as_ref().and_then(|extensions| extensions.get(key));
    extension.ok_or_else(|| format!("{key} is missing"))
}
