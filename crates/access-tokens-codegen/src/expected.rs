//! Whether a document holds what somebody wrote down that it says: an action of an overlay, or a quirk of the ledger.

use serde_json::Value;

use crate::pointer::escape;

/// How much of an object must be written down.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    /// The members that matter; `null` says that there is no such member.
    Some,
    /// All of it but for words to people.
    All,
}

/// Each place at which `found`, which is at `pointer`, isn't what `was` expects. Lists of plain values have no order, as `required`
/// and `enum` have none. In a map of `named` things no key means words.
pub(crate) fn differences(pointer: &str, found: &Value, was: &Value, extent: Extent, named: bool) -> Vec<String> {
    let (Value::Object(found), Value::Object(was)) = (found, was) else {
        let same = sorted(found).zip(sorted(was)).map_or(found == was, |(found, was)| found == was);
        return if same { Vec::new() } else { vec![format!("at {pointer}: expected {was}, found {found}")] };
    };
    let matters = |key: &str| named || extent == Extent::Some || !is_words(key);
    let mut differences = Vec::new();
    for (key, was) in was.iter().filter(|(key, _)| matters(key)) {
        let pointer = format!("{pointer}/{}", escape(key));
        match found.get(key) {
            None if was.is_null() => {}
            None => differences.push(format!("at {pointer}: expected {was}, found nothing")),
            Some(found) if was.is_null() && !found.is_null() => {
                differences.push(format!("at {pointer}: expected nothing, found {found}"));
            }
            Some(found) => {
                differences.extend(self::differences(&pointer, found, was, extent, key == "properties" && !named));
            }
        }
    }
    if extent == Extent::All {
        let others = found.iter().filter(|(key, _)| !was.contains_key(*key) && matters(key));
        let other =
            |(key, found): (&String, &Value)| format!("at {pointer}/{}: expected nothing, found {found}", escape(key));
        differences.extend(others.map(other));
    }
    differences
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

/// A list of plain values in an order of ours.
fn sorted(value: &Value) -> Option<Vec<String>> {
    let values = value.as_array().filter(|values| !values.iter().any(|value| value.is_object() || value.is_array()))?;
    let mut values: Vec<_> = values.iter().map(Value::to_string).collect();
    values.sort();
    Some(values)
}
