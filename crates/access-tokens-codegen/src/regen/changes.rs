//! What a change of a specification means. The client was generated from the old document and speaks to a server that keeps
//! to the new one: a request that the server may refuse breaks requests, an answer that the client may fail to read, or that
//! lacks what it relies on, breaks responses.
//!
//! Both documents are walked together, each object member by member, so that every difference ends in one of these rules or
//! in [`Effect::Unknown`]. `drift` judges operations, parameters, bodies and statuses; what it leaves open is judged here.

mod compatibility;
mod operation;
mod schema;
mod usage;

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use self::{
    compatibility::{Compatibility, Judgement},
    usage::{Usage, Uses},
};
use crate::source::escape;

/// What a change of a specification means for who speaks it. What matters most comes first, in the order of `Ord` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Effect {
    /// The server may refuse a request of an old client, or no longer hears what it says.
    BreakingForRequests,
    /// An old client may fail to read an answer, or miss in it what it relies on.
    BreakingForResponses,
    /// Nobody but a person can tell.
    Unknown,
    /// Old clients go on working.
    Compatible,
    /// Nothing that is sent or generated changes, but for comments and names.
    Documentation,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BreakingForRequests => "breaking for requests",
            Self::BreakingForResponses => "breaking for responses",
            Self::Unknown => "unknown",
            Self::Compatible => "compatible",
            Self::Documentation => "documentation only",
        })
    }
}

/// One difference between two versions of a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecChange {
    /// What it means.
    pub effect: Effect,
    /// Where it is, as a JSON pointer (RFC 6901) into the new document; into the old one if the thing was removed.
    pub pointer: String,
    /// One line for a person.
    pub what: String,
}

/// Every difference between two versions of an OpenAPI 3.0 document: most serious first, then as they stand in the new
/// document. It takes any two documents; what can't be judged is [`Effect::Unknown`].
///
/// ```
/// use access_tokens_codegen::{Effect, spec_changes};
/// use serde_json::json;
///
/// let old = json!({ "openapi": "3.0.1", "servers": [{ "url": "https://a" }], "paths": {} });
/// let mut new = old.clone();
/// new["servers"][0]["url"] = "https://b".into();
/// let changes = spec_changes(&old, &new);
/// assert_eq!(changes[0].effect, Effect::BreakingForRequests);
/// assert_eq!(changes[0].pointer, "/servers/0");
/// assert_eq!(changes[0].what, "server `https://a` became `https://b`");
/// ```
pub fn spec_changes(old: &Value, new: &Value) -> Vec<SpecChange> {
    if old == new {
        return Vec::new();
    }
    let mut walk = Walk {
        old,
        new,
        compatibility: Compatibility::of(old, new),
        uses: (Uses::of(old), Uses::of(new)),
        followed: BTreeSet::new(),
        usage: None,
        apart: false,
        changes: Vec::new(),
    };
    walk.document();
    let mut changes: Vec<SpecChange> = Vec::new();
    for change in walk.changes {
        // A reference that was changed in several places leads to the same changes each time.
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes.sort_by_key(|change| change.effect);
    changes
}

struct Walk<'a> {
    old: &'a Value,
    new: &'a Value,
    compatibility: Compatibility,
    uses: (Uses, Uses),
    /// The places that changed references led to, so that circles end.
    followed: BTreeSet<(String, String, Usage)>,
    /// Behind a changed reference: how the place is used where that reference stands.
    usage: Option<Usage>,
    /// In an operation that moved, whose inside `drift` doesn't compare.
    apart: bool,
    changes: Vec<SpecChange>,
}

/// A thing in both documents, or in one of them.
#[derive(Clone)]
struct Pair<'a> {
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    old_pointer: String,
    new_pointer: String,
    /// What a person would call it.
    subject: String,
}

type Members<'a> = Vec<(&'a str, Pair<'a>)>;

impl<'a> Pair<'a> {
    fn pointer(&self) -> &str {
        if self.new.is_some() { &self.new_pointer } else { &self.old_pointer }
    }

    fn both(&self) -> Option<(&'a Value, &'a Value)> {
        self.old.zip(self.new)
    }

    fn called(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    fn member(&self, key: &str) -> Self {
        Self {
            old: self.old.and_then(|value| value.get(key)),
            new: self.new.and_then(|value| value.get(key)),
            old_pointer: format!("{}/{}", self.old_pointer, escape(key)),
            new_pointer: format!("{}/{}", self.new_pointer, escape(key)),
            subject: self.subject.clone(),
        }
    }

    /// The members that differ, as in the new document, then those that are gone. `None` if a side isn't an object.
    fn members(&self) -> Option<Members<'a>> {
        let side = |value: Option<&'a Value>| match value {
            None => Some(None),
            Some(value) => value.as_object().map(Some),
        };
        let (old, new) = (side(self.old)?, side(self.new)?);
        let gone = old.into_iter().flatten().filter(|(key, _)| new.is_none_or(|new| !new.contains_key(*key)));
        let keys = new.into_iter().flatten().chain(gone).map(|(key, _)| key.as_str());
        Some(keys.map(|key| (key, self.member(key))).filter(|(_, member)| member.old != member.new).collect())
    }

    /// The items of both sides with their pointers; nothing where a side is missing. `None` if one isn't a list.
    fn items(&self) -> Option<(Vec<Node<'a>>, Vec<Node<'a>>)> {
        let side = |value: Option<&'a Value>, pointer: &str| match value {
            None => Some(Vec::new()),
            Some(value) => {
                let node = |(index, value)| Node { pointer: format!("{pointer}/{index}"), value };
                Some(value.as_array()?.iter().enumerate().map(node).collect())
            }
        };
        Some((side(self.old, &self.old_pointer)?, side(self.new, &self.new_pointer)?))
    }

    /// What became of it: "was `a` and is `b` now".
    fn fate(&self) -> String {
        match (self.old, self.new) {
            (Some(old), Some(new)) if short(old) && short(new) => format!("was {} and is {} now", show(old), show(new)),
            (Some(_), Some(_)) => "changed".to_owned(),
            (None, Some(new)) => format!("was added: {}", show(new)),
            (Some(old), None) => format!("was removed: {}", show(old)),
            (None, None) => "is nowhere".to_owned(),
        }
    }
}

#[derive(Clone)]
struct Node<'a> {
    pointer: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    fn text(&self, key: &str) -> &'a str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn pair(old: Option<&Self>, new: Option<&Self>, subject: impl Into<String>) -> Pair<'a> {
        Pair {
            old: old.map(|node| node.value),
            new: new.map(|node| node.value),
            old_pointer: old.map(|node| node.pointer.clone()).unwrap_or_default(),
            new_pointer: new.map(|node| node.pointer.clone()).unwrap_or_default(),
            subject: subject.into(),
        }
    }
}

/// What a change means for one direction.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Breaks,
    Fits,
    Unclear,
}

/// For requests and for responses. A server that takes less refuses requests; one that says more isn't understood.
type Sides = (Side, Side);
const NARROWER: Sides = (Side::Breaks, Side::Fits);
const WIDER: Sides = (Side::Fits, Side::Breaks);
const OTHER: Sides = (Side::Breaks, Side::Breaks);
const SAME: Sides = (Side::Fits, Side::Fits);
const UNCLEAR: Sides = (Side::Unclear, Side::Unclear);

/// How one member of an object is judged: its key, the member, the object.
type Rule<'a> = fn(&mut Walk<'a>, &str, &Pair<'a>, &Pair<'a>);

impl<'a> Walk<'a> {
    fn document(&mut self) {
        let all = Pair {
            old: Some(self.old),
            new: Some(self.new),
            old_pointer: String::new(),
            new_pointer: String::new(),
            subject: "the document".to_owned(),
        };
        self.object(&all, |walk, key, member, _| match key {
            "openapi" => {
                let minor =
                    |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|v| v.starts_with("3.0."));
                let known = minor(member.old) && minor(member.new);
                let effect = if known { Effect::Compatible } else { Effect::Unknown };
                walk.say(effect, member.pointer(), format!("the version of OpenAPI {}", member.fate()));
            }
            "info" => walk.documentation(key, member),
            "tags" => walk.tags(member),
            "servers" => walk.servers(member, true),
            "security" => walk.security(member, None),
            "paths" => walk.paths(member),
            "components" => walk.components(member),
            _ => walk.unclear(key, member),
        });
    }

    /// All members of an object by `rule`, but for those that mean the same everywhere.
    fn object(&mut self, pair: &Pair<'a>, rule: Rule<'a>) {
        match pair.members() {
            Some(members) => self.judge(members, pair, rule),
            None => self.unclear("", pair),
        }
    }

    fn judge(&mut self, members: Members<'a>, pair: &Pair<'a>, rule: Rule<'a>) {
        for (key, member) in members {
            let before = self.changes.len();
            match key {
                "description" | "summary" | "title" | "externalDocs" | "example" | "examples" => {
                    self.documentation(key, &member);
                }
                "deprecated" => {
                    if flag(member.old) != flag(member.new) {
                        let now = if flag(member.new) { "is deprecated now" } else { "is no longer deprecated" };
                        self.say(Effect::Compatible, member.pointer(), format!("{} {now}", member.subject));
                    }
                }
                _ if key.starts_with("x-") => self.documentation(key, &member),
                _ => rule(self, key, &member, pair),
            }
            if self.changes.len() > before {
                continue;
            }
            match member.both() {
                None if says_nothing(key, member.new.or(member.old)) => {
                    let what = format!("`{key}` {}, which says what held anyway", member.fate());
                    self.say(Effect::Documentation, member.pointer(), what);
                }
                // Lists that hold the same, or objects with such a list. But a flag that isn't one is another thing.
                Some((old, new)) if [old, new].iter().all(|value| value.is_array() || value.is_object()) => {}
                _ => self.unclear(key, &member),
            }
        }
    }

    /// What only people read: it may hold anything, and none of its keys has a meaning.
    fn documentation(&mut self, key: &str, pair: &Pair<'a>) {
        if matches!(key, "info" | "contact" | "license" | "externalDocs" | "examples")
            && pair.both().is_some()
            && let Some(members) = pair.members()
        {
            for (inner, member) in members {
                // What an example is called isn't `contact`.
                self.documentation(if key == "examples" { "example" } else { inner }, &member);
            }
            return;
        }
        let key = if key.starts_with("x-") { format!("extension `{key}`") } else { key.to_owned() };
        // A title or a version says it all; half of two long texts doesn't.
        let what = match (pair.old, pair.new) {
            (None, _) => format!("documentation: {key} added"),
            (_, None) => format!("documentation: {key} removed"),
            _ => format!("documentation: {key} {}", pair.fate()),
        };
        self.say(Effect::Documentation, pair.pointer(), what);
    }

    fn tags(&mut self, pair: &Pair<'a>) {
        let Some((old, new)) = pair.items() else { return self.documentation("tags", pair) };
        let name = |node: &Node<'a>| node.value.get("name").unwrap_or(node.value);
        let mut said = |old: Option<&Node<'a>>, new: Option<&Node<'a>>| {
            let Some(node) = new.or(old) else { return };
            let tag = Node::pair(old, new, show(name(node)));
            match tag.both() {
                Some((old, new)) if old == new => {}
                Some((old, new)) if old.is_object() && new.is_object() => {
                    self.object(&tag, |walk, key, member, _| walk.documentation(key, member));
                }
                _ => {
                    let fate = if new.is_some() { "added" } else { "removed" };
                    let what = format!("documentation: tag {} was {fate}", tag.subject);
                    self.say(Effect::Documentation, tag.pointer(), what);
                }
            }
        };
        for tag in &new {
            said(old.iter().find(|other| name(other) == name(tag)), Some(tag));
        }
        for tag in old.iter().filter(|tag| !new.iter().any(|other| name(other) == name(tag))) {
            said(Some(tag), None);
        }
    }

    fn components(&mut self, pair: &Pair<'a>) {
        self.object(pair, |walk, kind, members, _| match kind {
            // Each is read by people, or by nothing that is generated here.
            "links" => walk.documentation("links", members),
            "schemas" | "responses" | "parameters" | "requestBodies" | "headers" | "securitySchemes" => {
                let Some(named) = members.members() else { return walk.unclear(kind, members) };
                walk.named_components(kind, named);
            }
            _ => walk.unclear(kind, members),
        });
    }

    fn named_components(&mut self, kind: &str, named: Members<'a>) {
        let noun = match kind {
            "schemas" => "schema",
            "responses" => "response",
            "parameters" => "parameter",
            "requestBodies" => "request body",
            "headers" => "header",
            _ => "security scheme",
        };
        let mut renamed = BTreeSet::new();
        for (name, pair) in &named {
            let pair = pair.clone().called(format!("{noun} `{name}`"));
            match (pair.old, pair.new) {
                (Some(_), Some(_)) => match kind {
                    "schemas" => self.schema(&pair),
                    "responses" => self.follow(&pair, Self::response),
                    "parameters" | "headers" => self.follow(&pair, Self::parameter),
                    "requestBodies" => self.follow(&pair, Self::body),
                    _ => self.scheme(name, &pair),
                },
                (None, Some(new)) => {
                    let same = |(other, gone): &&(&str, Pair<'a>)| {
                        gone.new.is_none() && gone.old == Some(new) && !renamed.contains(*other)
                    };
                    let what = match named.iter().find(same) {
                        Some((other, _)) => {
                            renamed.insert(*other);
                            format!("{noun} `{other}` is called `{name}` now: renames what is generated from it")
                        }
                        None => format!("{} was added", pair.subject),
                    };
                    if kind == "securitySchemes" && usage::security_names(self.new).contains(*name) {
                        self.say(Effect::Compatible, pair.pointer(), what);
                    } else {
                        self.sides(&pair, SAME, |_| what.clone());
                    }
                }
                _ => {}
            }
        }
        for (name, pair) in named.iter().filter(|(name, pair)| pair.new.is_none() && !renamed.contains(name)) {
            let still_used = match kind {
                "securitySchemes" => usage::security_names(self.new).contains(*name),
                _ => self.uses.1.at(&pair.old_pointer) != Usage::default(),
            };
            if still_used {
                let what = format!("{noun} `{name}` was removed, and is still referred to");
                self.say(Effect::Unknown, pair.pointer(), what);
            } else {
                // Whatever used it changed too, and is reported there.
                self.sides(pair, SAME, |_| format!("{noun} `{name}` was removed"));
            }
        }
    }

    /// A thing that may be a reference: one that leads elsewhere now is followed in both documents, and what is there
    /// compared. One that leads to the same place changes nothing here.
    fn follow(&mut self, pair: &Pair<'a>, compare: fn(&mut Self, &Pair<'a>)) {
        let Some((old, new)) = pair.both() else { return };
        let reference = |value: &'a Value| value.get("$ref").and_then(Value::as_str);
        let last = |reference: &str| reference.rsplit('/').next().unwrap_or_default().to_owned();
        let what = match (reference(old), reference(new)) {
            (None, None) => return compare(self, pair),
            (Some(old), Some(new)) if old == new => {
                return self.object(pair, |walk, key, member, _| {
                    let what =
                        format!("documentation: `{key}` beside a reference, where nothing counts, {}", member.fate());
                    walk.say(Effect::Documentation, member.pointer(), what);
                });
            }
            (Some(old), Some(new)) => format!("{} refers to `{}` now, was `{}`", pair.subject, last(new), last(old)),
            (Some(old), None) => format!("{} is written in place now, was `{}`", pair.subject, last(old)),
            (None, Some(new)) => format!("{} refers to `{}` now, was written in place", pair.subject, last(new)),
        };
        let ends = resolve(self.old, &pair.old_pointer, old).zip(resolve(self.new, &pair.new_pointer, new));
        let Some((old, new)) = ends else {
            return self.say(Effect::Unknown, pair.pointer(), format!("{what}, which ends nowhere"));
        };
        // What differs behind it is said there; if nothing does, both say the same.
        self.sides(pair, SAME, |_| what.clone());
        let usage = self.usage(pair);
        if self.followed.insert((old.pointer.clone(), new.pointer.clone(), usage)) {
            let before = self.usage.replace(usage);
            compare(self, &Node::pair(Some(&old), Some(&new), &pair.subject));
            self.usage = before;
        }
    }

    fn usage(&self, pair: &Pair<'a>) -> Usage {
        self.usage.unwrap_or_else(|| self.uses.0.at(&pair.old_pointer).or(self.uses.1.at(&pair.new_pointer)))
    }

    /// Says what a change means where the thing is used. `what` is told "request " or "response ", or neither if it is both.
    fn sides(&mut self, pair: &Pair<'a>, (request, response): Sides, what: impl Fn(&str) -> String) {
        let usage = self.usage(pair);
        if usage == Usage::default() {
            return if pair.pointer().starts_with("/components/") {
                let what = format!("{} (not used by any operation)", what(""));
                self.say(Effect::Compatible, pair.pointer(), what);
            } else {
                // Such as a callback, where the server asks.
                self.say(Effect::Unknown, pair.pointer(), what(""));
            };
        }
        let used = [
            (usage.request, request, Effect::BreakingForRequests, "request "),
            (usage.response, response, Effect::BreakingForResponses, "response "),
        ];
        let used: Vec<_> = used.into_iter().filter(|(used, ..)| *used).collect();
        let breaking: Vec<_> = used.iter().filter(|(_, side, ..)| *side == Side::Breaks).collect();
        if !breaking.is_empty() {
            for (_, _, effect, noun) in breaking {
                self.say(*effect, pair.pointer(), what(noun));
            }
            return;
        }
        let noun = if let [(.., noun)] = used.as_slice() { noun } else { "" };
        let unclear = used.iter().any(|(_, side, ..)| *side == Side::Unclear);
        self.say(if unclear { Effect::Unknown } else { Effect::Compatible }, pair.pointer(), what(noun));
    }

    /// As `drift` judges it: at this place of a document, in the finding whose message ends so. It matches operations and
    /// parameters by meaning; where it sees no difference, it is `silent`.
    fn ask(&mut self, pair: &Pair<'a>, place: &str, ending: &str, silent: Effect, what: String) {
        let unused = self.usage(pair) == Usage::default() && pair.pointer().starts_with("/components/");
        let effect = match self.compatibility.at(place, ending) {
            _ if unused => return self.sides(pair, SAME, |_| what.clone()),
            Judgement::Says(effect) => effect,
            Judgement::Silent => silent,
            Judgement::Blind => Effect::Unknown,
        };
        self.say(effect, pair.pointer(), what);
    }

    /// No rule knows it.
    fn unclear(&mut self, key: &str, pair: &Pair<'a>) {
        let name = if key.is_empty() { pair.subject.clone() } else { format!("`{key}` of {}", pair.subject) };
        self.sides(pair, UNCLEAR, |_| format!("{name} {}", pair.fate()));
    }

    fn say(&mut self, effect: Effect, pointer: &str, what: impl Into<String>) {
        self.changes.push(SpecChange { effect, pointer: pointer.to_owned(), what: what.into() });
    }
}

/// Whether a member that no rule minds may say what holds without it.
fn says_nothing(key: &str, value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(false)) => true,
        Some(Value::Array(items)) if items.is_empty() => true,
        Some(Value::Object(map)) if map.is_empty() => true,
        _ => matches!(key, "additionalProperties" | "style" | "explode" | "security"),
    }
}

/// Follows references to where a thing really stands. `None` where one leads nowhere or in a circle.
fn resolve<'a>(document: &'a Value, pointer: &str, mut value: &'a Value) -> Option<Node<'a>> {
    let mut place = pointer.to_owned();
    for _ in 0..32 {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return Some(Node { pointer: place, value });
        };
        place = reference.strip_prefix('#')?.to_owned();
        value = document.pointer(&place)?;
    }
    None
}

fn flag(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or_default()
}

const SHOWN: usize = 60;

fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    // Without what could steer a terminal.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether all of it can be shown, so that two such are told apart.
fn short(value: &Value) -> bool {
    value.as_str().is_none_or(|text| text == plain(value)) && plain(value).chars().count() <= SHOWN
}

/// A value for a line of text.
pub(super) fn show(value: &Value) -> String {
    let text = plain(value);
    let cut: String = text.chars().take(SHOWN).collect();
    if cut == text { format!("`{text}`") } else { format!("`{cut}…`") }
}
