//! Schemas, of which `drift` leaves most open.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    NARROWER, Node, OTHER, Pair, SAME, Side, Sides, UNCLEAR, WIDER, Walk, compatibility::Judgement, flag, show,
};

const COMBINED: [(&str, &str); 3] =
    [("oneOf", "one of several"), ("anyOf", "any of several"), ("allOf", "all of several")];

impl<'a> Walk<'a> {
    pub(super) fn schema(&mut self, pair: &Pair<'a>) {
        let Some((old, new)) = pair.both() else { return };
        let (was, is) = (alone(old), alone(new));
        if !wrapped(old, new) {
            return self.follow(pair, Self::schema_itself);
        }
        let inner = |value: &'a Value, pointer: &str, part: Option<(&str, &'a Value)>| match part {
            Some((key, value)) => Node { pointer: format!("{pointer}/{key}/0"), value },
            None => Node { pointer: pointer.to_owned(), value },
        };
        let (inner_old, inner_new) = (inner(old, &pair.old_pointer, was), inner(new, &pair.new_pointer, is));
        let what = match is {
            Some((key, _)) => format!("{} is written as the only part of `{key}` now", pair.subject),
            None => format!("{} is no longer written as the only part of something", pair.subject),
        };
        self.sides(pair, SAME, |_| what.clone());
        self.schema(&Node::pair(Some(&inner_old), Some(&inner_new), &pair.subject));
    }

    fn schema_itself(&mut self, pair: &Pair<'a>) {
        let Some((old, new)) = pair.both() else { return };
        if wrapped(old, new) {
            return self.schema(pair);
        }
        let (was, is) = (shape(old), shape(new));
        if was == is {
            return self.object(pair, Self::schema_member);
        }
        let sides = match (was, is) {
            ("an integer", "a number") | (_, "anything") => WIDER,
            ("a number", "an integer") | ("anything", _) => NARROWER,
            // It can tell that two spellings of an enum are one. But whole numbers are numbers, which it can't.
            _ => match self.compatibility.at(&pair.new_pointer, "with equivalent enum values") {
                Judgement::Says(_) => SAME,
                _ => OTHER,
            },
        };
        self.sides(pair, sides, |_| format!("{} was {was} and is {is} now", pair.subject));
    }

    fn schema_member(&mut self, key: &str, member: &Pair<'a>, schema: &Pair<'a>) {
        match key {
            "properties" => self.properties(member, schema),
            "required" => self.required(member, schema),
            "enum" => self.values(member),
            "items" => match member.both() {
                Some(_) => self.schema(&member.clone().called(format!("an item of {}", member.subject))),
                None => self.appeared(key, member),
            },
            "additionalProperties" => self.others(member),
            "oneOf" | "anyOf" | "allOf" => self.branches(key, member),
            "nullable" if flag(member.old) == flag(member.new) => {}
            "nullable" => {
                let now = if flag(member.new) { "may be null now" } else { "can't be null any more" };
                let sides = if flag(member.new) { WIDER } else { NARROWER };
                self.sides(member, sides, |_| format!("{} {now}", member.subject));
            }
            "readOnly" | "writeOnly" | "uniqueItems" if flag(member.old) == flag(member.new) => {}
            // Which of the two directions it is left out of.
            "readOnly" => self.restricted(key, member, if flag(member.new) { NARROWER } else { SAME }),
            "writeOnly" => self.restricted(key, member, if flag(member.new) { WIDER } else { SAME }),
            "format" => {
                let text = |value: Option<&'a Value>| value.and_then(Value::as_str);
                let sides = match (text(member.old), text(member.new)) {
                    // A note for whoever shows it; it is sent as it was.
                    (Some("password"), None) | (None, Some("password")) => SAME,
                    (Some("int32"), Some("int64")) | (Some("float"), Some("double")) | (Some(_), None) => WIDER,
                    (Some("int64"), Some("int32")) | (Some("double"), Some("float")) | (None, Some(_)) => NARROWER,
                    _ => OTHER,
                };
                self.restricted(key, member, sides);
            }
            "default" => {
                // Who leaves it out says something else now. One that is new says nothing to old clients.
                let sides = if member.old.is_none() { SAME } else { UNCLEAR };
                self.restricted(key, member, sides);
            }
            "minimum" | "minLength" | "minItems" | "minProperties" => self.bound(key, member, Ordering::Greater),
            "maximum" | "maxLength" | "maxItems" | "maxProperties" => self.bound(key, member, Ordering::Less),
            "exclusiveMinimum" | "exclusiveMaximum" if flag(member.old) == flag(member.new) => {}
            "exclusiveMinimum" | "exclusiveMaximum" | "uniqueItems" => {
                self.restricted(key, member, if flag(member.new) { NARROWER } else { WIDER });
            }
            "pattern" | "multipleOf" | "discriminator" if member.both().is_none() && key != "discriminator" => {
                self.appeared(key, member);
            }
            "discriminator" if member.both().is_some() => self.object(member, |walk, key, member, _| match key {
                "propertyName" => walk.restricted("discriminator", member, OTHER),
                "mapping" => {
                    let Some(values) = member.members() else { return walk.unclear(key, member) };
                    for (value, target) in values {
                        let sides = match (target.old, target.new) {
                            (None, _) => WIDER,
                            (_, None) => NARROWER,
                            _ => OTHER,
                        };
                        let what = format!("discriminator value `{value}` of {} {}", target.subject, target.fate());
                        walk.sides(&target, sides, |_| what.clone());
                    }
                }
                _ => walk.unclear(key, member),
            }),
            _ => self.unclear(key, member),
        }
    }

    fn properties(&mut self, pair: &Pair<'a>, schema: &Pair<'a>) {
        let Some(members) = pair.members() else { return self.unclear("properties", pair) };
        for (name, member) in members {
            let member = member.called(format!("`{name}`"));
            match (member.old, member.new) {
                (Some(_), Some(_)) => self.schema(&member),
                (None, _) => {
                    let must = requires(schema.new, name);
                    let (response, strange) = match schema.old.and_then(|schema| schema.get("additionalProperties")) {
                        Some(Value::Bool(false)) => {
                            (Side::Breaks, ", and old clients refuse members that they don't know")
                        }
                        Some(others @ Value::Object(_)) if !anything(others) => (Side::Unclear, ""),
                        _ => (Side::Fits, ""),
                    };
                    let request = if must { Side::Breaks } else { Side::Fits };
                    self.sides(&member, (request, response), |side| {
                        let must = if must && side != "response " { " and is required" } else { "" };
                        let strange = if side == "response " { strange } else { "" };
                        format!("{side}member `{name}` was added{must}{strange}")
                    });
                }
                // Also one that was optional: it is what a client reads, or says and isn't heard any more.
                _ => self.sides(&member, OTHER, |side| format!("{side}member `{name}` was removed")),
            }
        }
    }

    /// But for members that came or went, of which it is said there.
    fn required(&mut self, pair: &Pair<'a>, schema: &Pair<'a>) {
        let Some((added, removed)) = self.sets(pair) else { return self.unclear("required", pair) };
        let declared = |schema: Option<&Value>, name: &str| {
            schema.and_then(|schema| schema.get("properties")?.get(name)).is_some()
        };
        for (names, sides, now) in [(added, NARROWER, "is now required"), (removed, WIDER, "is no longer required")] {
            for name in &names {
                let Some(name) = name.value.as_str() else { return self.unclear("required", pair) };
                if declared(schema.old, name) == declared(schema.new, name) {
                    self.sides(pair, sides, |side| format!("{side}member `{name}` {now}"));
                }
            }
        }
    }

    fn values(&mut self, pair: &Pair<'a>) {
        let Some((added, removed)) = self.sets(pair) else { return self.unclear("enum", pair) };
        let subject = &pair.subject;
        match pair.both() {
            Some(_) => {
                for (nodes, sides, fate) in [(added, WIDER, "may also be"), (removed, NARROWER, "is no longer")] {
                    for node in &nodes {
                        let value = Pair {
                            old_pointer: node.pointer.clone(),
                            new_pointer: node.pointer.clone(),
                            ..pair.clone()
                        };
                        self.sides(&value, sides, |_| format!("{subject} {fate} {}", show(node.value)));
                    }
                }
            }
            None => self.appeared("enum", pair),
        }
    }

    /// Members that aren't declared.
    fn others(&mut self, pair: &Pair<'a>) {
        let open = |value: Option<&Value>| value.is_none_or(|value| value == &Value::Bool(true) || anything(value));
        let shut = |value: Option<&Value>| value == Some(&Value::Bool(false));
        let (was, is) = (open(pair.old), open(pair.new));
        if was && is {
            // How it is written may decide whether a client keeps them; what may be sent is the same.
            return if pair.both().is_some() {
                self.restricted("additionalProperties", pair, SAME)
            };
        }
        if !was && !is && !shut(pair.old) && !shut(pair.new) {
            return self.schema(&pair.clone().called(format!("an undeclared member of {}", pair.subject)));
        }
        let sides = if is || shut(pair.old) {
            WIDER
        } else if pair.old.is_none() {
            // Clients send what is declared, unless they were told that more is welcome.
            SAME
        } else {
            NARROWER
        };
        self.restricted("additionalProperties", pair, sides);
    }

    fn branches(&mut self, key: &str, pair: &Pair<'a>) {
        let Some((added, removed)) = self.sets(pair) else { return self.unclear(key, pair) };
        let subject = &pair.subject;
        if added.is_empty() && removed.is_empty() && pair.both().is_some() {
            return self.restricted(&format!("the order of {key}"), pair, SAME);
        }
        // One more thing to be is wider, one more thing to be at once is narrower.
        let (more, fewer) = if key == "allOf" { (NARROWER, WIDER) } else { (WIDER, NARROWER) };
        let inline = |node: &Node<'a>| node.value.get("$ref").is_none();
        let mut left: Vec<_> = removed.iter().collect();
        for new in &added {
            let alike = left.iter().position(|old| inline(old) && inline(new) && shape(old.value) == shape(new.value));
            if let Some(index) = alike {
                let old = left.remove(index);
                self.schema(&Node::pair(Some(old), Some(new), format!("{} of {subject}", branch(new))));
            } else {
                let what = format!("{key} of {subject} has {} too", branch(new));
                self.sides(&Node::pair(None, Some(new), ""), more, |_| what.clone());
            }
        }
        for old in left {
            let what = format!("{key} of {subject} no longer has {}", branch(old));
            self.sides(&Node::pair(Some(old), None, ""), fewer, |_| what.clone());
        }
    }

    fn bound(&mut self, key: &str, pair: &Pair<'a>, tighter: Ordering) {
        let number = |value: &Value| value.as_f64();
        match pair.both().map(|(old, new)| number(new).zip(number(old)).and_then(|(new, old)| new.partial_cmp(&old))) {
            Some(Some(order)) => self.restricted(key, pair, if order == tighter { NARROWER } else { WIDER }),
            Some(None) => self.unclear(key, pair),
            None => self.appeared(key, pair),
        }
    }

    /// A keyword that restricts, and stands in one of the documents alone.
    fn appeared(&mut self, key: &str, pair: &Pair<'a>) {
        self.restricted(key, pair, if pair.new.is_some() { NARROWER } else { WIDER });
    }

    fn restricted(&mut self, key: &str, pair: &Pair<'a>, sides: Sides) {
        let key = if key.contains(' ') { key.to_owned() } else { format!("`{key}`") };
        self.sides(pair, sides, |_| format!("{key} of {} {}", pair.subject, pair.fate()));
    }
}

/// The only part of a schema that is nothing but that part, as is written where a reference is to have a description.
fn alone(schema: &Value) -> Option<(&'static str, &Value)> {
    let (key, _) = COMBINED.into_iter().find(|(key, _)| schema.get(key).is_some())?;
    let comments = |other: &String| other == key || matches!(other.as_str(), "description" | "title" | "example");
    let [part] = schema.get(key)?.as_array()?.as_slice() else { return None };
    schema.as_object()?.keys().all(comments).then_some((key, part))
}

/// Whether one of them is, and the other says the same without it.
fn wrapped(old: &Value, new: &Value) -> bool {
    let (was, is) = (alone(old).map(|(key, _)| key), alone(new).map(|(key, _)| key));
    let plain = |schema: &Value| COMBINED.iter().all(|(key, _)| schema.get(key).is_none());
    was != is && (was.is_some() || plain(old)) && (is.is_some() || plain(new))
}

/// What kind of thing a schema describes, as a person would say it.
fn shape(schema: &Value) -> &'static str {
    let combined = COMBINED.iter().find(|(key, _)| schema.get(key).is_some_and(|parts| parts.is_array()));
    match (combined, schema.get("type").and_then(Value::as_str)) {
        (Some((_, words)), _) => words,
        (_, Some("integer")) => "an integer",
        (_, Some("number")) => "a number",
        (_, Some("string")) => "text",
        (_, Some("boolean")) => "true or false",
        (_, Some("array")) => "a list",
        (_, Some("object")) => "an object",
        (_, None) if schema.is_object() && schema.get("type").is_none() => "anything",
        _ => "of no known type",
    }
}

fn anything(schema: &Value) -> bool {
    schema.as_object().is_some_and(serde_json::Map::is_empty)
}

fn requires(schema: Option<&Value>, name: &str) -> bool {
    let names = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array);
    names.is_some_and(|names| names.iter().any(|other| other == name))
}

fn branch(node: &Node<'_>) -> String {
    let reference = node.value.get("$ref").or_else(|| node.value.get("title")).and_then(Value::as_str);
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    name.map_or_else(|| shape(node.value).to_owned(), |name| format!("`{name}`"))
}
