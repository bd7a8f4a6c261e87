//! Paths, operations and what is sent with them; servers and security.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Effect, Members, NARROWER, Node, OTHER, Pair, SAME, WIDER, Walk,
    compatibility::Judgement,
    flag, resolve, show,
    usage::{operations, security_names},
};
use crate::preflight::METHODS;

/// An operation that stands in one of the documents alone: how a request to it begins, itself, and the path around it.
struct Lone<'a> {
    route: String,
    operation: Pair<'a>,
    item: Pair<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn paths(&mut self, pair: &Pair<'a>) {
        let Some(members) = pair.members() else { return self.unclear("paths", pair) };
        let (extensions, paths): (Members<'a>, Members<'a>) =
            members.into_iter().partition(|(key, _)| key.starts_with("x-"));
        self.judge(extensions, pair, |_, _, _, _| {});

        let mut lone = Vec::new();
        let mut matched = BTreeSet::new();
        for (path, item) in &paths {
            let other_name = |(other, old): &&(&str, Pair<'a>)| old.new.is_none() && unnamed(other) == unnamed(path);
            if item.old.is_some() && item.new.is_some() {
                self.path(item, &mut lone);
            } else if let Some((other, old)) = paths.iter().find(other_name).filter(|_| item.new.is_some()) {
                matched.insert(*other);
                let both = Pair { old: old.old, old_pointer: old.old_pointer.clone(), ..item.clone() };
                let what = format!("path `{other}` is written `{path}` now, which is the same path");
                self.say(Effect::Compatible, both.pointer(), what);
                self.path(&both, &mut lone);
            } else if item.new.is_some() {
                self.path(item, &mut lone);
            }
        }
        for (_, item) in paths.iter().filter(|(path, item)| item.new.is_none() && !matched.contains(path)) {
            self.path(item, &mut lone);
        }
        self.lone(lone);
    }

    fn path(&mut self, pair: &Pair<'a>, lone: &mut Vec<Lone<'a>>) {
        let Some(members) = pair.members() else { return self.unclear("the path", pair) };
        let (methods, others): (Members<'a>, Members<'a>) =
            members.into_iter().partition(|(key, _)| METHODS.contains(key));
        let path =
            |pointer: &str| pointer.strip_prefix("/paths/").unwrap_or(pointer).replace("~1", "/").replace("~0", "~");
        let place = path(pair.pointer());
        let pair = pair.clone().called(format!("path `{place}`"));
        if methods.is_empty() && pair.both().is_none() {
            self.say(
                Effect::Compatible,
                pair.pointer(),
                format!("{} has no operations, and {}", pair.subject, pair.fate()),
            );
        } else if pair.both().is_some() {
            self.path_members(others, &pair);
        }
        for (method, operation) in methods {
            let route = format!("{} {place}", method.to_uppercase());
            let subject = called(operation.new.or(operation.old), &route);
            let operation = operation.called(subject);
            if operation.both().is_some() {
                self.operation(&operation);
            } else {
                lone.push(Lone { route, operation, item: pair.clone() });
            }
        }
    }

    fn path_members(&mut self, members: Members<'a>, pair: &Pair<'a>) {
        let subject = &pair.subject;
        let members = members.into_iter().map(|(key, member)| (key, member.called(subject))).collect();
        self.judge(members, pair, |walk, key, member, _| match key {
            "parameters" => walk.parameters(member),
            "servers" => walk.servers(member, false),
            _ => walk.unclear(key, member),
        });
    }

    /// Operations that are gone and operations that came, of which some are the same in another place.
    fn lone(&mut self, lone: Vec<Lone<'a>>) {
        let (came, mut gone): (Vec<_>, Vec<_>) = lone.into_iter().partition(|lone| lone.operation.new.is_some());
        let id = |operation: Option<&'a Value>| operation.and_then(|value| value.get("operationId"));
        for new in came {
            let same = |old: &Lone<'a>| old.operation.old == new.operation.new;
            let alike =
                |old: &Lone<'a>| id(old.operation.old).is_some() && id(old.operation.old) == id(new.operation.new);
            match gone.iter().position(same).or_else(|| gone.iter().position(alike)) {
                Some(index) => {
                    let old = gone.remove(index);
                    self.moved(&old, &new);
                }
                None => {
                    let what = format!("{} was added", new.operation.subject);
                    self.ask(&new.operation, &new.operation.new_pointer, " was added", Effect::Compatible, what);
                }
            }
        }
        for old in gone {
            let what = format!("{} was removed", old.operation.subject);
            self.ask(&old.operation, &old.operation.old_pointer, " was removed", Effect::Compatible, what);
        }
    }

    fn moved(&mut self, old: &Lone<'a>, new: &Lone<'a>) {
        let what = format!("{} moved from `{}` to `{}`", old.operation.subject, old.route, new.route);
        self.say(Effect::BreakingForRequests, new.operation.pointer(), what);
        let over =
            |old: &Pair<'a>, new: &Pair<'a>| Pair { old: old.old, old_pointer: old.old_pointer.clone(), ..new.clone() };
        // Once for each pair of paths, whatever moved between them.
        let items = over(&old.item, &new.item);
        if self.followed.insert((items.old_pointer.clone(), items.new_pointer.clone(), self.usage(&items)))
            && items.old_pointer != items.new_pointer
            && let Some(members) = items.members()
        {
            let others = members.into_iter().filter(|(key, _)| !METHODS.contains(key)).collect();
            self.path_members(others, &items);
        }
        self.apart = true;
        self.operation(&over(&old.operation, &new.operation));
        self.apart = false;
    }

    fn operation(&mut self, pair: &Pair<'a>) {
        self.object(pair, |walk, key, member, operation| match key {
            "operationId" => {
                let what = format!("`operationId` {}: renames the generated method", member.fate());
                walk.say(Effect::Compatible, member.pointer(), what);
            }
            "tags" => match walk.sets(member) {
                Some((added, removed)) => {
                    for (node, fate) in added.iter().map(|n| (n, "added")).chain(removed.iter().map(|n| (n, "removed")))
                    {
                        let what = format!("documentation: tag {} was {fate}", show(node.value));
                        walk.say(Effect::Documentation, &node.pointer, what);
                    }
                }
                None => walk.documentation(key, member),
            },
            "parameters" => walk.parameters(member),
            "requestBody" => walk.request_body(member, operation),
            "responses" => walk.responses(member, operation),
            "security" => walk.security(member, Some(operation)),
            "servers" => walk.servers(member, false),
            _ => walk.unclear(key, member),
        });
    }

    fn parameters(&mut self, pair: &Pair<'a>) {
        let Some((old, new)) = pair.items() else { return self.unclear("parameters", pair) };
        let (old, new) = (self.keyed(false, &old), self.keyed(true, &new));
        for (key, item, end) in &new {
            let Some((_, other, _)) = old.iter().find(|(other, ..)| other == key) else {
                let must = if flag(end.value.get("required")) { " and is required" } else { "" };
                let what = format!("{} was added{must}", noun(end));
                let breaks = self.apart && !must.is_empty();
                let silent = if breaks { Effect::BreakingForRequests } else { Effect::Compatible };
                self.ask(&Node::pair(None, Some(item), ""), &end.pointer, " was added", silent, what);
                continue;
            };
            let both = Node::pair(Some(other), Some(item), noun(end));
            if both.old != both.new {
                self.follow(&both, Self::parameter);
            }
        }
        for (_, item, end) in old.iter().filter(|(key, ..)| !new.iter().any(|(other, ..)| other == key)) {
            let what = format!("{} was removed", noun(end));
            let silent = if self.apart { Effect::BreakingForRequests } else { Effect::Compatible };
            self.ask(&Node::pair(Some(item), None, ""), &end.pointer, " was removed", silent, what);
        }
        let common = |these: &[Keyed<'a>], those: &[Keyed<'a>]| -> Vec<_> {
            let keys = these.iter().map(|(key, ..)| key.clone());
            keys.filter(|key| those.iter().any(|(other, ..)| other == key)).collect()
        };
        if common(&old, &new) != common(&new, &old) {
            let what = "the parameters stand in another order: so may the generated method's arguments";
            self.say(Effect::Compatible, pair.pointer(), what);
        }
    }

    /// Parameters by what tells them apart. In a path it is their place there: a server never hears their names.
    fn keyed(&self, new: bool, items: &[Node<'a>]) -> Vec<Keyed<'a>> {
        let document = if new { self.new } else { self.old };
        let each = |item: &Node<'a>| {
            let end = resolve(document, &item.pointer, item.value).unwrap_or_else(|| item.clone());
            let (place, name) = (end.text("in"), end.text("name"));
            let path = item.pointer.split('/').nth(2).unwrap_or_default();
            let position = path.find(&format!("{{{name}}}")).filter(|_| place == "path").and_then(|at| path.get(..at));
            let key = match position {
                Some(before) => format!("path {}", before.matches('{').count()),
                // Something that isn't a parameter is itself.
                None if name.is_empty() => end.value.to_string(),
                None => format!("{place} {name}"),
            };
            (key, item.clone(), end)
        };
        items.iter().map(each).collect()
    }

    /// A parameter or a header.
    pub(super) fn parameter(&mut self, pair: &Pair<'a>) {
        self.object(pair, |walk, key, member, parameter| {
            let text =
                |value: Option<&'a Value>, key: &str| value.and_then(|value| value.get(key)).and_then(Value::as_str);
            let place = text(parameter.new, "in");
            match key {
                "name" if place == Some("path") && text(parameter.old, "in") == place => {
                    let what = format!("a path's parameter {}: renames the generated argument", member.fate());
                    walk.sides(member, SAME, |_| what.clone());
                }
                "required" if flag(member.old) == flag(member.new) => {}
                "required" => {
                    let now = if flag(member.new) { "is now required" } else { "is now optional" };
                    let what = format!("{} {now}", member.subject);
                    if place.is_some() {
                        let silent = if flag(member.new) { Effect::BreakingForRequests } else { Effect::Compatible };
                        walk.ask(member, &parameter.new_pointer, now, silent, what);
                    } else {
                        // It looks at no headers of answers.
                        walk.sides(member, if flag(member.new) { NARROWER } else { WIDER }, |_| what.clone());
                    }
                }
                "schema" if member.both().is_some() => walk.schema(member),
                "content" => walk.content(member),
                "style" | "explode" | "allowReserved" => {
                    let style = |value| {
                        let usual = if matches!(place, Some("query" | "cookie")) { "form" } else { "simple" };
                        text(value, "style").unwrap_or(usual)
                    };
                    let effective = |value: Option<&'a Value>| match key {
                        "style" => style(value).to_owned(),
                        "explode" => {
                            let said = value.and_then(|value| value.get("explode"));
                            said.map_or_else(|| (style(value) == "form").to_string(), Value::to_string)
                        }
                        _ => flag(value.and_then(|value| value.get(key))).to_string(),
                    };
                    let (old, new) = (effective(parameter.old), effective(parameter.new));
                    if old != new || member.both().is_some() {
                        let what = format!(
                            "`{key}` of {} was `{old}` and is `{new}` now: it is written otherwise",
                            member.subject
                        );
                        walk.sides(member, OTHER, |_| what.clone());
                    }
                }
                "allowEmptyValue" if flag(member.old) == flag(member.new) => {}
                "allowEmptyValue" => {
                    let what = format!("`{key}` of {} {}", member.subject, member.fate());
                    walk.sides(member, if flag(member.new) { WIDER } else { NARROWER }, |_| what.clone());
                }
                "in" | "name" => {
                    let what = format!("`{key}` of {} {}", member.subject, member.fate());
                    walk.sides(member, OTHER, |_| what.clone());
                }
                _ => walk.unclear(key, member),
            }
        });
    }

    fn request_body(&mut self, pair: &Pair<'a>, operation: &Pair<'a>) {
        let pair = pair.clone().called("the request body");
        match (pair.old, pair.new) {
            (None, Some(new)) => {
                let must = resolve(self.new, "", new).is_some_and(|body| flag(body.value.get("required")));
                let (ending, must) =
                    if must { ("one is required", " and is required") } else { ("one is accepted", "") };
                let silent = if must.is_empty() { Effect::Compatible } else { Effect::BreakingForRequests };
                self.ask(&pair, &operation.new_pointer, ending, silent, format!("the request body was added{must}"));
            }
            // `drift` minds new clients alone here. But what an old client says in its body is no longer heard.
            (Some(_), None) => self.say(Effect::BreakingForRequests, pair.pointer(), "the request body was removed"),
            _ => self.follow(&pair, Self::body),
        }
    }

    pub(super) fn body(&mut self, pair: &Pair<'a>) {
        self.object(pair, |walk, key, member, body| match key {
            "required" if flag(member.old) == flag(member.new) => {}
            "required" => {
                let now = if flag(member.new) { "is now required" } else { "is now optional" };
                let what = format!("{} {now}", member.subject);
                // It speaks of the operation, and so of none where the body is a component.
                let operation = body.new_pointer.strip_suffix("/requestBody").unwrap_or_default();
                match walk.compatibility.at(operation, now) {
                    Judgement::Says(effect) if walk.usage.is_none() => walk.say(effect, member.pointer(), what),
                    _ => walk.sides(member, if flag(member.new) { NARROWER } else { WIDER }, |_| what.clone()),
                }
            }
            "content" => walk.content(member),
            _ => walk.unclear(key, member),
        });
    }

    fn responses(&mut self, pair: &Pair<'a>, operation: &Pair<'a>) {
        let members = pair.members().map(|members| {
            let label =
                |key: &str| if key == "default" { "the default response".into() } else { format!("response {key}") };
            members.into_iter().map(|(key, member)| (key, member.called(label(key)))).collect()
        });
        let Some(members): Option<Members<'a>> = members else { return self.unclear("responses", pair) };
        let otherwise = operation.old.and_then(|operation| operation.pointer("/responses/default")).is_some();
        for (status, response) in members {
            if status.starts_with("x-") {
                self.documentation(status, &response);
                continue;
            }
            let (place, fate) = match (response.old, response.new) {
                (Some(_), Some(_)) => {
                    self.follow(&response, Self::response);
                    continue;
                }
                (None, _) => (&operation.new_pointer, "added"),
                _ => (&operation.old_pointer, "removed"),
            };
            let what = format!("{} was {fate}", response.subject);
            if fate == "added" && otherwise {
                // `drift` doesn't see that old clients have a reading for it.
                let what = format!("{what}; old clients read it as the default response");
                self.say(Effect::Unknown, response.pointer(), what);
            } else if status == "default" {
                self.ask(&response, place, "a default response", Effect::Unknown, what);
            } else {
                let silent = if fate == "added" { Effect::BreakingForResponses } else { Effect::Compatible };
                self.ask(&response, place, &format!(" {status}"), silent, what);
            }
        }
    }

    pub(super) fn response(&mut self, pair: &Pair<'a>) {
        self.object(pair, |walk, key, member, _| match key {
            "headers" => {
                let Some(headers) = member.members() else { return walk.unclear(key, member) };
                for (name, header) in headers {
                    let header = header.called(format!("header `{name}`"));
                    match (header.old, header.new) {
                        (Some(_), Some(_)) => walk.follow(&header, Self::parameter),
                        (None, _) => walk.sides(&header, SAME, |side| format!("{side}header `{name}` was added")),
                        _ => walk.sides(&header, WIDER, |side| format!("{side}header `{name}` was removed")),
                    }
                }
            }
            "content" => walk.content(member),
            // They say where to go next, which nothing generated reads.
            "links" => walk.documentation(key, member),
            _ => walk.unclear(key, member),
        });
    }

    /// Media types, which `drift` can't compare unless they are the same.
    fn content(&mut self, pair: &Pair<'a>) {
        let Some(members) = pair.members() else { return self.unclear("content", pair) };
        let (added, others): (Members<'a>, Members<'a>) =
            members.into_iter().partition(|(_, media)| media.old.is_none());
        let (removed, changed): (Members<'a>, Members<'a>) =
            others.into_iter().partition(|(_, media)| media.new.is_none());
        for (_, media) in &changed {
            self.media(media);
        }
        if let ([(before, old)], [(now, new)]) = (removed.as_slice(), added.as_slice()) {
            let both = Pair { old: old.old, old_pointer: old.old_pointer.clone(), ..new.clone() };
            let what = format!("{} was `{before}` and is `{now}` now", pair.subject);
            self.sides(&both, OTHER, |_| what.clone());
            return self.media(&both);
        }
        for (name, media) in &added {
            // A client names what it reads in `Accept`.
            let what = match pair.old {
                Some(_) => format!("{} may be `{name}` too", pair.subject),
                None => format!("{} has a body now, `{name}`", pair.subject),
            };
            self.sides(media, SAME, |_| what.clone());
        }
        for (name, media) in &removed {
            self.sides(media, OTHER, |_| format!("{} is no longer `{name}`", pair.subject));
        }
    }

    fn media(&mut self, pair: &Pair<'a>) {
        self.object(pair, |walk, key, member, _| match (key, member.both()) {
            ("schema", Some(_)) => walk.schema(member),
            _ => walk.unclear(key, member),
        });
    }

    /// Where requests go; `top`: of the whole document.
    pub(super) fn servers(&mut self, pair: &Pair<'a>, top: bool) {
        let Some((old, new)) = pair.items().filter(|_| top || pair.both().is_some()) else {
            let what = format!("the list of servers of {} {}", pair.subject, pair.fate());
            return self.say(Effect::Unknown, pair.pointer(), what);
        };
        let has = |servers: &[Node<'a>], server: &Node<'a>| {
            servers.iter().any(|other| other.text("url") == server.text("url"))
        };
        let gone: Vec<_> = old.iter().filter(|server| !has(&new, server)).collect();
        let came: Vec<_> = new.iter().filter(|server| !has(&old, server)).collect();
        for server in &new {
            if let Some(other) = old.iter().find(|other| other.text("url") == server.text("url")) {
                let both = Node::pair(Some(other), Some(server), format!("server `{}`", server.text("url")));
                if both.old != both.new {
                    self.object(&both, Self::server_member);
                }
            }
        }
        if let ([old], [new]) = (gone.as_slice(), came.as_slice()) {
            let what = format!("server `{}` became `{}`", old.text("url"), new.text("url"));
            self.say(Effect::BreakingForRequests, &new.pointer, what);
            let both = Node::pair(Some(old), Some(new), format!("server `{}`", new.text("url")));
            let mut members = both.members().unwrap_or_default();
            members.retain(|(key, _)| *key != "url");
            return self.judge(members, &both, Self::server_member);
        }
        for server in &came {
            self.say(Effect::Compatible, &server.pointer, format!("server `{}` was added", server.text("url")));
        }
        for server in &gone {
            let what = format!("server `{}` was removed", server.text("url"));
            self.say(Effect::BreakingForRequests, &server.pointer, what);
        }
        let order = |these: &[Node<'a>], those: &[Node<'a>]| -> Vec<_> {
            these.iter().filter(|server| has(those, server)).map(|server| server.text("url").to_owned()).collect()
        };
        let first = |servers: &[Node<'a>]| servers.first().map(|server| server.text("url").to_owned());
        if order(&old, &new) != order(&new, &old) || first(&old) != first(&new) {
            self.say(
                Effect::Unknown,
                pair.pointer(),
                "another server stands first now, or they stand in another order; the first is the usual one",
            );
        }
    }

    fn server_member(&mut self, key: &str, member: &Pair<'a>, _: &Pair<'a>) {
        if key != "variables" {
            return self.unclear(key, member);
        }
        let Some(variables) = member.members() else { return self.unclear(key, member) };
        for (name, variable) in variables {
            if variable.both().is_none() {
                let what = format!("variable `{name}` of {} {}", variable.subject, variable.fate());
                self.say(Effect::BreakingForRequests, variable.pointer(), what);
                continue;
            }
            self.object(&variable.called(format!("variable `{name}`")), |walk, key, member, _| {
                let wider = walk
                    .sets(member)
                    .filter(|_| key == "enum")
                    .map(|(_, removed)| member.new.is_none() || (removed.is_empty() && member.old.is_some()));
                let effect = if wider == Some(true) { Effect::Compatible } else { Effect::BreakingForRequests };
                walk.say(effect, member.pointer(), format!("`{key}` of {} {}", member.subject, member.fate()));
            });
        }
    }

    /// What proves who asks, where each alternative is enough: of the document, or of an operation that says so itself.
    pub(super) fn security(&mut self, pair: &Pair<'a>, operation: Option<&Pair<'a>>) {
        let whole = |document: &'a Value| operation.and_then(|_| document.get("security"));
        let sides = (pair.old.or_else(|| whole(self.old)), pair.new.or_else(|| whole(self.new)));
        let alternatives = |value: Option<&Value>| -> Option<Vec<Value>> {
            let list = value.map_or(Some([].as_slice()), |value| value.as_array().map(Vec::as_slice))?;
            // None at all: nothing is needed.
            Some(if list.is_empty() {
                vec![Value::Object(serde_json::Map::new())]
            } else {
                list.iter().map(sorted).collect()
            })
        };
        let Some((old, new)) = alternatives(sides.0).zip(alternatives(sides.1)) else {
            return self.unclear("security", pair);
        };
        let within = |these: &[Value], those: &[Value]| these.iter().all(|one| those.contains(one));
        if within(&old, &new) && within(&new, &old) {
            return;
        }
        let what = format!("security was {} and is {} now", either(&old), either(&new));
        let inherited =
            operation.is_some() || operations(self.old).any(|operation| operation.get("security").is_none());
        if !inherited {
            return self.say(Effect::Compatible, pair.pointer(), format!("{what} (not used by any operation)"));
        }
        // Where nothing is needed, whatever is sent is enough.
        let open = new.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty));
        let effect = if open || within(&old, &new) { Effect::Compatible } else { Effect::BreakingForRequests };
        self.say(effect, pair.pointer(), what);
    }

    /// A security scheme.
    pub(super) fn scheme(&mut self, name: &str, pair: &Pair<'a>) {
        let used = security_names(self.old).contains(name);
        let mut leaves = Vec::new();
        leaves_of(pair, &mut leaves);
        if leaves.is_empty() {
            self.say(Effect::Unknown, pair.pointer(), format!("{} {}", pair.subject, pair.fate()));
        }
        for (key, leaf) in leaves {
            let fate = leaf.fate();
            let documentation = matches!(key, "description" | "bearerFormat") || key.starts_with("x-");
            if documentation {
                self.documentation(key, &leaf);
            } else if leaf.pointer().contains("/scopes/") {
                let added = leaf.old.is_none() || leaf.both().is_some();
                let effect = if leaf.both().is_some() {
                    Effect::Documentation
                } else if added || !used {
                    Effect::Compatible
                } else {
                    Effect::BreakingForRequests
                };
                self.say(effect, leaf.pointer(), format!("scope `{key}` of {} {fate}", pair.subject));
            } else if used {
                self.say(Effect::BreakingForRequests, leaf.pointer(), format!("`{key}` of {} {fate}", pair.subject));
            } else {
                let what = format!("`{key}` of {} {fate} (not used by any operation)", pair.subject);
                self.say(Effect::Compatible, leaf.pointer(), what);
            }
        }
    }

    /// Lists as sets: what was added, and what is gone. `None` if one isn't a list.
    pub(super) fn sets(&self, pair: &Pair<'a>) -> Option<(Vec<Node<'a>>, Vec<Node<'a>>)> {
        let (old, new) = pair.items()?;
        let lacking = |these: &[Node<'a>], those: &[Node<'a>]| {
            these.iter().filter(|one| !those.iter().any(|other| other.value == one.value)).cloned().collect()
        };
        Some((lacking(&new, &old), lacking(&old, &new)))
    }
}

/// A parameter's key, where it is listed, and where it stands.
type Keyed<'a> = (String, Node<'a>, Node<'a>);

fn noun(parameter: &Node<'_>) -> String {
    format!("{} parameter `{}`", parameter.text("in"), parameter.text("name"))
}

/// A path without the names of its parameters.
fn unnamed(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| format!("{all}{{{}", part.split_once('}').map_or(part, |(_, rest)| rest)))
}

fn called(operation: Option<&Value>, route: &str) -> String {
    let id = operation.and_then(|operation| operation.get("operationId")).and_then(Value::as_str);
    format!("operation `{}`", id.unwrap_or(route))
}

/// One way to prove it, with the scopes in order.
fn sorted(alternative: &Value) -> Value {
    let Some(schemes) = alternative.as_object() else { return alternative.clone() };
    let sorted = schemes.iter().map(|(name, scopes)| {
        let mut scopes = scopes.clone();
        if let Some(scopes) = scopes.as_array_mut() {
            scopes.sort_by_key(Value::to_string);
        }
        (name.clone(), scopes)
    });
    sorted.collect()
}

fn either(alternatives: &[Value]) -> String {
    let one = |alternative: &Value| match alternative.as_object() {
        Some(schemes) if schemes.is_empty() => "nothing".to_owned(),
        Some(schemes) => {
            let scheme = |(name, scopes): (&String, &Value)| match scopes.as_array() {
                Some(scopes) if scopes.is_empty() => format!("`{name}`"),
                _ => format!("`{name}` with {}", show(scopes)),
            };
            schemes.iter().map(scheme).collect::<Vec<_>>().join(" and ")
        }
        None => show(alternative),
    };
    alternatives.iter().map(one).collect::<Vec<_>>().join(" or ")
}

/// What differs, as deep as both sides are objects.
fn leaves_of<'a>(pair: &Pair<'a>, found: &mut Vec<(&'a str, Pair<'a>)>) {
    for (key, member) in pair.members().into_iter().flatten() {
        match member.both() {
            Some((old, new)) if old.is_object() && new.is_object() => leaves_of(&member, found),
            _ => found.push((key, member)),
        }
    }
}
