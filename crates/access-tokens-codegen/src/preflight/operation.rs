//! Operations: methods, parameters, request bodies and responses that the generator can't use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Node, Preflight, called, schema::rust_name};
use crate::{openapi::METHODS, pointer::escape};

/// Request media types that the generator can send; `text/x-markdown` beside them is its author's own.
const MEDIA_TYPES: &str = "application/json, application/x-www-form-urlencoded, application/octet-stream, text/plain";
/// Methods that every generated client has, or that generated code calls on it.
const CLIENT_METHODS: [&str; 9] =
    ["api_version", "baseurl", "client", "exec", "inner", "new", "new_with_client", "post", "pre"];

impl<'a> Preflight<'a> {
    pub(super) fn operations(&mut self) {
        let Some(paths) = self.document.get("paths").and_then(Value::as_object) else {
            self.find("", "there are no `paths`");
            return;
        };
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            let item_pointer = format!("/paths/{}", escape(path));
            if item.get("$ref").is_some() {
                self.find(&item_pointer, "a path that is a reference isn't supported; write it out here");
                continue;
            }
            self.servers(&item_pointer, item);
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let pointer = format!("{item_pointer}/{method}");
                if ["options", "trace"].contains(&method) {
                    self.find(&pointer, "the HTTP client has no call for this method; take the operation out");
                    continue;
                }
                let id = operation.get("operationId").and_then(Value::as_str);
                self.operation = Some(called(operation, method, path));
                if operation.get("x-dropshot-pagination").is_some() {
                    self.find(
                        format!("{pointer}/x-dropshot-pagination"),
                        "the generator would write a stream that needs a crate which isn't here; remove it",
                    );
                }
                match id {
                    None => self.find(&pointer, "`operationId` is missing; the method would have no name"),
                    Some(id) => {
                        let name = rust_name(id);
                        let place = format!("{pointer}/operationId");
                        if CLIENT_METHODS.contains(&name.as_str()) {
                            self.find(&place, format!("becomes the method `{name}`, which every client has already"));
                        }
                        if let Some(other) = ids.insert(name.clone(), place.clone()) {
                            self.find(place, format!("becomes the method `{name}`, like the one at {other}"));
                        }
                    }
                }
                self.servers(&pointer, operation);
                self.parameters(path, &item_pointer, item, &pointer, operation);
                self.request_body(&pointer, operation);
                self.responses(&pointer, operation);
                self.operation = None;
            }
        }
    }

    /// A generated client has one base URL, and would send a secret there that is meant for another host.
    fn servers(&mut self, pointer: &str, owner: &Value) {
        if owner.get("servers").is_some() {
            let reason = "goes to other servers than the rest, and the client has one base URL; remove the member, and keep here \
                          only what one server has";
            self.find(format!("{pointer}/servers"), reason);
        }
    }

    fn parameters(&mut self, path: &str, item_pointer: &str, item: &'a Value, pointer: &str, operation: &'a Value) {
        let template = match template(path) {
            Ok(names) => names,
            Err(reason) => {
                self.find(item_pointer, reason);
                return;
            }
        };

        // As the generator does it, an operation's parameter replaces the path's of the same name, wherever each goes.
        let mut parameters: BTreeMap<&str, Node<'a>> = BTreeMap::new();
        for (owner_pointer, owner) in [(item_pointer, item), (pointer, operation)] {
            let mut own = BTreeSet::new();
            let list = owner.get("parameters").and_then(Value::as_array);
            for (index, parameter) in list.into_iter().flatten().enumerate() {
                let place = format!("{owner_pointer}/parameters/{index}");
                let Some(node) = self.resolve(&place, parameter) else { continue };
                let Some(name) = node.value.get("name").and_then(Value::as_str) else {
                    self.find(place, "the parameter has no `name`");
                    continue;
                };
                if !own.insert(name) {
                    self.find(
                        &place,
                        format!("a second parameter is called `{name}`; the generator would drop the first"),
                    );
                } else if let Some(other) = parameters.get(name)
                    && other.value.get("in") != node.value.get("in")
                {
                    let other = &other.pointer;
                    self.find(
                        &place,
                        format!("takes the place of the parameter `{name}` at {other}, which goes elsewhere"),
                    );
                }
                parameters.insert(name, node);
            }
        }

        let has_body = operation.get("requestBody").is_some();
        let names: Vec<_> =
            parameters.keys().map(ToString::to_string).chain(has_body.then(|| "body".to_owned())).collect();
        if let Some(name) = parameters.keys().find(|name| rust_name(name) == "header_map") {
            self.find(
                format!("{pointer}/parameters"),
                format!("the parameter `{name}` is hidden by a variable of the generator"),
            );
        }
        self.one_rust_name(&format!("{pointer}/parameters"), names.iter(), "parameters", rust_name);

        let id = self.operation_id();
        for (name, Node { pointer: place, value }) in &parameters {
            let style = |default| value.get("style").and_then(Value::as_str).is_none_or(|style| style == default);
            let supported = match value.get("in").and_then(Value::as_str) {
                Some("path") => {
                    if value.get("required") != Some(&Value::Bool(true)) {
                        self.find(place, "a path parameter must have `required: true`");
                    }
                    if !template.iter().any(|in_path| in_path == name) {
                        self.find(place, format!("the path {path} has no `{{{name}}}`"));
                    }
                    style("simple")
                }
                Some("query") => style("form"),
                Some("header") => style("simple"),
                Some("cookie") => {
                    self.find(place, "cookie parameters aren't supported");
                    continue;
                }
                _ => {
                    self.find(place, "`in` must be path, query or header");
                    continue;
                }
            };
            if !supported {
                self.find(format!("{place}/style"), "this style of parameter isn't supported");
            }
            let Some(schema) = value.get("schema") else {
                self.find(place, "a parameter needs a `schema`; `content` isn't supported");
                continue;
            };
            let schema_place = format!("{place}/schema");
            self.schema(&schema_place, schema, &format!("{id}-{name}"));
            let Some(node) = self.resolve(&schema_place, schema) else { continue };
            let array = node.value.get("type").is_some_and(|kind| kind == "array");
            if value["in"] == "query" {
                let items = node.value.get("items").filter(|_| array);
                if let Some(what) = items.and_then(|items| self.unprintable(&schema_place, items, 0)).filter(nests) {
                    self.find(&schema_place, format!("{what} in an array compiles and then fails at each call"));
                }
                if array && value.get("explode") == Some(&Value::Bool(false)) {
                    self.find(format!("{place}/explode"), "the generator sends each item by itself (`explode: true`)");
                }
            } else if let Some(what) = self.unprintable(&schema_place, schema, 0) {
                self.find(schema_place, format!("{what} can't be put into a path or header"));
            }
            if value["in"] == "header"
                && !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
            {
                self.find(place, format!("`{name}` can't be the name of a header (RFC 9110 section 5.1)"));
            }
        }
        for name in &template {
            if parameters.get(name.as_str()).is_none_or(|node| node.value["in"] != "path") {
                self.find(item_pointer, format!("no path parameter `{name}` is declared"));
            }
        }
    }

    /// What a schema is that has no text to be put into a path or header.
    fn unprintable(&mut self, pointer: &str, schema: &'a Value, depth: usize) -> Option<&'static str> {
        let schema = self.resolve(pointer, schema)?.value;
        let branches = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
        let branches: Vec<_> = branches.flatten().collect();
        match schema.get("type").and_then(Value::as_str) {
            Some("array") => Some("an array"),
            Some("object") => Some("an object"),
            _ if schema.get("properties").is_some() => Some("an object"),
            _ if schema.get("nullable") == Some(&Value::Bool(true)) => Some("a value that may be null"),
            _ if schema.get("format").is_some_and(|format| format == "password") => Some("a value that is redacted"),
            // Its text would be JSON, with quotes around it.
            None if branches.is_empty() && schema.get("enum").is_none() => Some("a value of any type"),
            // One that nests deeper isn't told apart by anybody.
            _ if depth < 16 => branches.into_iter().find_map(|branch| self.unprintable(pointer, branch, depth + 1)),
            _ => None,
        }
    }

    fn operation_id(&self) -> String {
        self.operation.clone().unwrap_or_default()
    }

    fn request_body(&mut self, pointer: &str, operation: &'a Value) {
        let Some(body) = operation.get("requestBody") else { return };
        let Some(Node { pointer, value: body }) = self.resolve(&format!("{pointer}/requestBody"), body) else { return };
        let pointer = format!("{pointer}/content");
        let Some(content) = body.get("content").and_then(Value::as_object).filter(|content| !content.is_empty()) else {
            self.find(pointer, "a request body without a media type would be sent empty");
            return;
        };
        if content.len() > 1 {
            let types: Vec<_> = content.keys().map(String::as_str).collect();
            self.find(pointer, format!("more than one request media type ({}); keep one", types.join(", ")));
            return;
        }
        for (media_type, content) in content {
            let pointer = format!("{pointer}/{}", escape(media_type));
            self.encoding(&pointer, content);
            let Some(schema) = content.get("schema") else {
                self.find(pointer, "a request body needs a `schema`");
                continue;
            };
            let place = format!("{pointer}/schema");
            let name = format!("{}-body", self.operation_id());
            self.one_way(&place, schema, "readOnly");
            match essence(media_type) {
                "application/json" => self.schema(&place, schema, &name),
                "application/x-www-form-urlencoded" => {
                    self.schema(&place, schema, &name);
                    self.form(&place, schema, 0);
                }
                "application/octet-stream" => self.plain_text(&place, schema, Some("binary")),
                "text/plain" | "text/x-markdown" => self.plain_text(&place, schema, None),
                _ => self.find(pointer, format!("the media type {media_type} isn't supported, only {MEDIA_TYPES}")),
            }
        }
    }

    fn encoding(&mut self, pointer: &str, content: &Value) {
        if content.get("encoding").is_some_and(|encoding| encoding.as_object().is_none_or(|map| !map.is_empty())) {
            self.find(format!("{pointer}/encoding"), "`encoding` isn't supported");
        }
    }

    /// A body that goes out as it is: `type: string`, and nothing that would restrict it.
    fn plain_text(&mut self, pointer: &str, schema: &'a Value, format: Option<&str>) {
        let Some(node) = self.resolve(pointer, schema) else { return };
        let restricted = ["enum", "minLength", "maxLength", "default", "discriminator"]
            .iter()
            .any(|key| node.value.get(key).is_some())
            || node.value.get("nullable") == Some(&Value::Bool(true));
        let is = |key| node.value.get(key).and_then(Value::as_str);
        if is("type") != Some("string") || is("format") != format || restricted {
            let wanted = format.map_or_else(String::new, |format| format!(" with `format: {format}`"));
            self.find(pointer, format!("the schema of this body must be a plain `type: string`{wanted}"));
        }
    }

    /// A form has a name and a text for each member (URL standard, application/x-www-form-urlencoded); nothing nests.
    fn form(&mut self, pointer: &str, schema: &'a Value, depth: usize) {
        let Some(Node { pointer, value }) = self.resolve(pointer, schema) else { return };
        let branches =
            ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|key| Some((key, value.get(key)?.as_array()?)));
        let mut branched = false;
        for (key, branches) in branches {
            branched = true;
            for (index, branch) in branches.iter().enumerate() {
                // A form whose branches nest deeper than this is no form anybody sends.
                if depth < 16 {
                    self.form(&format!("{pointer}/{key}/{index}"), branch, depth + 1);
                }
            }
        }
        let properties = value.get("properties").and_then(Value::as_object);
        // A branch may say no more than which members are required.
        let says_more = ["required", "additionalProperties"].iter().any(|key| value.get(key).is_some());
        if properties.is_none() && !branched && !says_more {
            self.find(&pointer, "a form must be an object with properties");
        }
        for (name, property) in properties.into_iter().flatten() {
            let place = format!("{pointer}/properties/{}", escape(name));
            let Some(node) = self.resolve(&place, property) else { continue };
            let nested = match node.value.get("type").and_then(Value::as_str) {
                Some("array") => Some("an array"),
                Some("object") => Some("an object"),
                None if node.value.get("properties").is_some() => Some("an object"),
                None if node.value.get("items").is_some() => Some("an array"),
                _ => None,
            };
            if let Some(nested) = nested {
                self.find(place, format!("{nested} in a form compiles and then fails at each call"));
            }
        }
    }

    fn responses(&mut self, pointer: &str, operation: &'a Value) {
        let pointer = format!("{pointer}/responses");
        let Some(responses) = operation.get("responses").and_then(Value::as_object) else {
            self.find(pointer, "the operation has no responses");
            return;
        };
        let mut successes = Vec::new();
        let mut errors = Vec::new();
        for (status, response) in responses.iter().filter(|(status, _)| !status.starts_with("x-")) {
            let place = format!("{pointer}/{status}");
            let Some(node) = self.resolve(&place, response) else { continue };
            if !node.value.get("description").is_some_and(Value::is_string) {
                self.find(&node.pointer, "a response needs a `description`");
            }
            if status == "101" {
                self.find(place, "a change of protocol isn't supported");
                continue;
            }
            let kind = self.response_kind(&node);
            let (success, error) = match status.as_bytes().first() {
                Some(b'2') => (true, false),
                Some(b'4' | b'5') => (false, true),
                _ if status == "default" => (true, true),
                _ => (false, false),
            };
            if success {
                successes.push((status.as_str(), kind.clone()));
            }
            if error {
                errors.push((status.as_str(), kind));
            }
        }
        // With 2XX there, the generator drops the default from the successes.
        if successes.iter().any(|(status, _)| status.eq_ignore_ascii_case("2XX")) {
            successes.retain(|(status, _)| *status != "default");
        }
        for (what, responses) in [("success", successes), ("error", errors)] {
            let kinds: BTreeSet<_> = responses.iter().map(|(_, kind)| kind).collect();
            if kinds.len() > 1 {
                let list: Vec<_> = responses.iter().map(|(status, kind)| format!("{status}: {kind}")).collect();
                let reason = format!("more than one kind of {what} response ({}); keep one kind", list.join("; "));
                self.find(&pointer, reason);
            }
        }
    }

    /// An answer that isn't JSON comes as a stream of bytes, which must be what the specification says that it is.
    fn bytes(&mut self, pointer: &str, content: &'a Map<String, Value>) {
        for (media_type, content) in content {
            let pointer = format!("{pointer}/{}", escape(media_type));
            let schema = content.get("schema").and_then(|schema| self.resolve(&format!("{pointer}/schema"), schema));
            let is = |key, value| schema.as_ref().is_some_and(|node| node.value.get(key).is_some_and(|is| is == value));
            if media_type.contains('*') {
                self.find(&pointer, "would come as a stream of bytes; name the media type that the server sends");
            } else if !is("type", "string") || !is("format", "binary") {
                let reason = "would come as a stream of bytes; declare it as application/json if it is JSON, or as `type: string`, \
                              `format: binary`";
                self.find(&pointer, reason);
            }
        }
    }

    /// What the generator makes of a response; two of different kinds can't stand in one operation.
    fn response_kind(&mut self, node: &Node<'a>) -> String {
        let content = node.value.get("content").and_then(Value::as_object).filter(|content| !content.is_empty());
        let Some(content) = content else { return "no body".to_owned() };
        let Some((media_type, json)) = content.iter().find(|(media_type, _)| essence(media_type) == "application/json")
        else {
            self.bytes(&format!("{}/content", node.pointer), content);
            return "untyped body".to_owned();
        };
        let pointer = format!("{}/content/{}", node.pointer, escape(media_type));
        self.encoding(&pointer, json);
        match json.get("schema") {
            None => {
                self.find(&pointer, "a JSON response needs a `schema`");
                "JSON without a schema".to_owned()
            }
            Some(schema) => {
                let place = format!("{pointer}/schema");
                let name = format!("{}-response", self.operation_id());
                self.schema(&place, schema, &name);
                self.one_way(&place, schema, "writeOnly");
                match schema.get("$ref").and_then(Value::as_str) {
                    Some(reference) => format!("JSON {reference}"),
                    None => format!("JSON {schema}"),
                }
            }
        }
    }
}

/// A media type without its parameters, as the generator sees it.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default()
}

/// The names in a path's braces, in order.
fn template(path: &str) -> Result<Vec<String>, String> {
    if !path.starts_with('/') {
        return Err("a path must start with a slash".to_owned());
    }
    if path.contains("//") {
        return Err("the generator would make one slash of two".to_owned());
    }
    let unmatched = || "its braces don't match".to_owned();
    let mut names = Vec::new();
    let mut parts = path.split('{');
    if parts.next().is_some_and(|start| start.contains('}')) {
        return Err(unmatched());
    }
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) if !name.is_empty() && !name.contains('/') && !rest.contains('}') => {
                names.push(name.to_owned())
            }
            _ => return Err(unmatched()),
        }
    }
    Ok(names)
}

/// Whether it is more than one text.
fn nests(what: &&str) -> bool {
    matches!(*what, "an array" | "an object")
}
