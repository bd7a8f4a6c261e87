//! Whether a document holds what somebody wrote down that it says: an action of an overlay, or a quirk of the ledger.

use serde_json::Value;

/// Whether `found` is what `was` says, but for words to people. In a map of `named` things no key means words.
pub(crate) fn equals(found: &Value, was: &Value, named: bool) -> bool {
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
pub(crate) fn unmentioned(found: &Value, update: &Value, was: &Value) -> Option<String> {
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
