//! What Oxide's `drift` knows about the compatibility of two documents, in our terms.

use std::{
    cell::Cell,
    panic::{catch_unwind, set_hook, take_hook},
    sync::Once,
};

use drift::{ChangeClass, ChangeComparison, compare};
use serde_json::Value;

use super::Effect;

const STACK: usize = 1 << 30;

/// Its findings; `None` if it can't compare these documents.
pub(super) struct Compatibility(Option<Vec<Finding>>);

struct Finding {
    old: String,
    new: String,
    message: String,
    effect: Effect,
}

pub(super) enum Judgement {
    Says(Effect),
    /// It compared the documents and found nothing here.
    Silent,
    /// It couldn't compare them.
    Blind,
}

impl Compatibility {
    pub(super) fn of(old: &Value, new: &Value) -> Self {
        // It would follow these until the memory or the stack is used up, which can't be caught.
        if endless(old) || endless(new) {
            return Self(None);
        }
        let (mut old, mut new) = (old.clone(), new.clone());
        leave_out_what_panics(&mut old, &mut new);
        // A long chain of references takes it as deep; of this much stack only what is used costs anything.
        let found = std::thread::scope(|scope| {
            let compare = || quietly(|| compare(&old, &new).ok());
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compare);
            thread.ok().and_then(|thread| thread.join().ok()).flatten()
        });
        Self(found.flatten().map(|changes| changes.into_iter().flat_map(findings).collect()))
    }

    /// What it says of this place in either document, in a message that ends so.
    pub(super) fn at(&self, place: &str, ending: &str) -> Judgement {
        let Some(findings) = &self.0 else { return Judgement::Blind };
        let place = normal(place);
        let said = findings.iter().filter(|f| (f.old == place || f.new == place) && f.message.ends_with(ending));
        said.map(|finding| finding.effect).min().map_or(Judgement::Silent, Judgement::Says)
    }
}

fn findings(change: drift::Change) -> Vec<Finding> {
    // All paths of a change lead to the same two places.
    let Some(path) = change.paths.first() else { return Vec::new() };
    let place = |base: &drift::JsonPathStack, below: &str| {
        let (base, _) = base.base_and_subpath();
        normal(&format!("{}/{below}", base.trim_start_matches('#')))
    };
    let each = |info: drift::ChangeInfo| {
        let breaking = match path.comparison {
            ChangeComparison::Output => Effect::BreakingForResponses,
            // An operation that is gone is one that can't be asked.
            ChangeComparison::Input | ChangeComparison::Structural => Effect::BreakingForRequests,
        };
        Finding {
            old: place(&path.old, &info.old_subpath),
            new: place(&path.new, &info.new_subpath),
            message: info.message,
            effect: match info.class {
                ChangeClass::BackwardIncompatible | ChangeClass::Incompatible => breaking,
                // New clients with old servers, which isn't what happens to us.
                ChangeClass::ForwardIncompatible => Effect::Compatible,
                ChangeClass::Trivial => Effect::Documentation,
                ChangeClass::Unhandled => Effect::Unknown,
            },
        }
    };
    change.changes.into_iter().map(each).collect()
}

/// A pointer in one spelling: it says `request_body`, and leaves out the word before the only part of a schema.
fn normal(pointer: &str) -> String {
    let pointer = pointer.trim_end_matches('/').replace("/request_body/", "/requestBody/");
    ["/oneOf/0", "/anyOf/0", "/allOf/0"].iter().fold(pointer, |pointer, part| pointer.replace(part, "/0"))
}

/// Two bodies must have the same media types, both with a schema or both without, or it panics. Other ones are judged by us.
fn leave_out_what_panics(old: &mut Value, new: &mut Value) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return };
    if old.contains_key("content") != new.contains_key("content") {
        old.remove("content");
        new.remove("content");
    }
    let keys: Vec<String> = old.keys().filter(|key| new.contains_key(*key)).cloned().collect();
    for key in keys {
        let Some((old, new)) = old.get_mut(&key).zip(new.get_mut(&key)) else { continue };
        match (key.as_str(), &mut *old, &mut *new) {
            ("schema" | "schemas", ..) => {}
            ("content", Value::Object(old), Value::Object(new)) => {
                let other = new.clone();
                let alike = |media: &Value, other: Option<&Value>| {
                    other.is_some_and(|other| other.get("schema").is_some() == media.get("schema").is_some())
                };
                old.retain(|media, value| alike(value, other.get(media)));
                new.retain(|media, _| old.contains_key(media));
            }
            _ => leave_out_what_panics(old, new),
        }
    }
}

/// Whether a schema is a part of itself with no member or item between.
fn endless(document: &Value) -> bool {
    fn below<'a>(document: &'a Value, value: &'a Value, above: &mut Vec<&'a Value>, done: &mut Vec<&'a Value>) -> bool {
        let is = |other: &&Value| std::ptr::eq(*other, value);
        if above.iter().any(is) {
            return true;
        }
        if done.iter().any(is) {
            return false;
        }
        above.push(value);
        let target = value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        let parts = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|key| value.get(key)?.as_array()).flatten();
        let mut next =
            target.and_then(|target| document.pointer(target)).into_iter().chain(parts).chain(value.get("not"));
        let found = next.any(|next| below(document, next, above, done));
        above.pop();
        done.push(value);
        found
    }
    fn any<'a>(document: &'a Value, value: &'a Value, done: &mut Vec<&'a Value>) -> bool {
        let here = value.get("$ref").is_some() && below(document, value, &mut Vec::new(), done);
        here || match value {
            Value::Array(items) => items.iter().any(|item| any(document, item, done)),
            Value::Object(map) => map.values().any(|item| any(document, item, done)),
            _ => false,
        }
    }
    any(document, document, &mut Vec::new())
}

/// Runs what may panic; what it panics with is for nobody to read.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    thread_local! { static QUIET: Cell<bool> = const { Cell::new(false) } }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                hook(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = catch_unwind(std::panic::AssertUnwindSafe(work));
    QUIET.set(false);
    done.ok()
}
