//! OpenAPI Overlay 1.0, stricter than the standard: an action must name its quirk and what it expects to find, and it
//! must find it. An action that no longer applies means that upstream changed, and a workaround nobody needs is deleted.

use std::collections::BTreeSet;

use roas_overlay::{
    apply::Apply,
    common::apply::{compile_path, locate},
    v1_0::{Action, Overlay},
    validation::Validate,
};
use serde_json::Value;

use crate::{Error, Misfit, ledger};

/// Applies the overlay in `overlay` to `document`; gives the quirk of each action, in order. `ledger` has the ids there are. Of
/// each quirk the first action that doesn't fit is told, since the next ones build on it.
pub(crate) fn apply(
    file: &str,
    overlay: Value,
    ledger: &BTreeSet<String>,
    document: &mut Value,
) -> Result<Vec<String>, Error> {
    let no_overlay = |e: &dyn std::fmt::Display| Error::document(file, format!("isn't an OpenAPI Overlay 1.0: {e}"));
    let overlay: Overlay = serde_path_to_error::deserialize(overlay).map_err(|e| no_overlay(&e))?;

    let spec = file.replace(".overlay.", ".openapi.");
    if overlay.extends.as_ref().is_some_and(|extends| *extends != spec) {
        return Err(Error::document(file, format!("`extends` must name {spec}, the specification beside it")));
    }

    let upstream = document.clone();
    let mut quirks = Vec::new();
    let mut misfits: Vec<Misfit> = Vec::new();
    for (index, action) in overlay.actions.iter().enumerate() {
        let named = extension(action, "x-quirk").ok().and_then(Value::as_str).map(|quirk| format!("quirk `{quirk}`, "));
        let named = format!("actions[{index}] ({}target {})", named.unwrap_or_default(), action.target);
        let wrong = |what: String| Error::document(file, format!("{named}: {what}"));
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
        let reason = match fit(action, was, document, &upstream) {
            Fit::Yes => None,
            Fit::No(reason) => Some(reason),
            Fit::Wrong(what) => return Err(wrong(what)),
        };
        // What doesn't fit is applied all the same, so that the next actions find what they expect.
        let before = document.clone();
        let alone = Overlay { actions: vec![action.clone()], ..overlay.clone() };
        let applied = match alone.apply(document, Default::default()) {
            Ok(_) if *document == before => Some("changes nothing".to_owned()),
            Ok(_) => None,
            Err(e) => Some(e.kind.to_string()),
        };
        misfits.extend(reason.or(applied).map(|reason| Misfit::new(index, &quirk, &action.target, reason)));
        quirks.push(quirk);
    }
    // After the actions, whose own messages say more.
    overlay.validate(Default::default()).map_err(|e| no_overlay(&e))?;
    let mut told = BTreeSet::new();
    misfits.retain(|misfit| told.insert(misfit.quirk.clone()));
    if misfits.is_empty() { Ok(quirks) } else { Err(Error::Overlay { file: file.to_owned(), misfits }) }
}

/// Whether an action finds what it expects.
enum Fit {
    Yes,
    /// The specification is another.
    No(String),
    /// The action is wrong whatever the specification says.
    Wrong(String),
}

fn fit(action: &Action, was: &Value, document: &Value, upstream: &Value) -> Fit {
    let path = match compile_path(&action.target) {
        Ok(path) => path,
        Err(e) => return Fit::Wrong(format!("the target isn't a JSONPath: {e}")),
    };
    let matches = locate(document, &path);
    if matches.is_empty() && !locate(upstream, &path).is_empty() {
        return Fit::Wrong("matches nothing any more, since an action before it took that away".to_owned());
    }
    if matches.is_empty() {
        return Fit::No("matches nothing".to_owned());
    }
    for pointer in &matches {
        let found = document.pointer(pointer).unwrap_or(&Value::Null);
        // What is removed is lost, so it must be known whole; an update leaves the rest as it is.
        let as_expected = if action.is_remove() {
            equals(found, was, action.target.ends_with(".properties"))
        } else {
            holds(found, was)
        };
        if !as_expected {
            return Fit::No(format!("the expected value (x-was: {was}) isn't at {pointer}"));
        }
        let update = action.update.as_ref().filter(|_| !action.is_remove());
        if let Some(key) = update.and_then(|update| unmentioned(found, update, was)) {
            return Fit::Wrong(format!("x-was doesn't say what `{key}` was"));
        }
    }
    Fit::Yes
}

fn extension<'a>(action: &'a Action, key: &str) -> Result<&'a Value, String> {
    let extension = action.extensions.as_ref().and_then(|extensions| extensions.get(key));
    extension.ok_or_else(|| format!("{key} is missing"))
}

/// Whether `found` is what `was` says, but for words to people. In a map of `named` things no key means words.
fn equals(found: &Value, was: &Value, named: bool) -> bool {
    match (found, was) {
        (Value::Object(found), Value::Object(was)) => {
            let known = |(key, found): (&String, &Value)| {
                !named && is_words(key)
                    || was.get(key).is_some_and(|was| equals(found, was, key == "properties" && !named))
            };
            found.iter().all(known) && was.iter().all(|(key, was)| was.is_null() || found.contains_key(key))
        }
        (found, was) => found == was,
    }
}

/// The first member that `update` would replace without `was` having said what it was.
fn unmentioned(found: &Value, update: &Value, was: &Value) -> Option<String> {
    let (found, update) = (found.as_object()?, update.as_object()?);
    update.iter().find_map(|(key, update)| {
        let found = found.get(key).filter(|_| !is_words(key))?;
        match was.get(key) {
            None => Some(key.clone()),
            Some(was) => unmentioned(found, update, was),
        }
    })
}

fn is_words(key: &str) -> bool {
    matches!(key, "title" | "summary" | "description" | "example" | "examples")
}

/// Whether `found` holds what `was` expects: an object its members (`null`: no such member), anything else the same value.
pub(crate) fn holds(found: &Value, was: &Value) -> bool {
    match (found, was) {
        (Value::Object(found), Value::Object(was)) => was.iter().all(|(key, was)| match (found.get(key), was) {
            (None, was) => was.is_null(),
            (Some(found), was) => holds(found, was),
        }),
        (found, was) => found == was,
    }
}
