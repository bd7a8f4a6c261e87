//! Words of OpenAPI 3.0 that more than one part reads a document by.

use serde_json::Value;

/// Members of OpenAPI objects that are maps, from names that somebody chose.
pub(crate) const NAMED: [&str; 15] = [
    "callbacks",
    "content",
    "encoding",
    "headers",
    "links",
    "mapping",
    "parameters",
    "paths",
    "properties",
    "requestBodies",
    "responses",
    "schemas",
    "scopes",
    "securitySchemes",
    "variables",
];

pub(crate) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Whether a member holds values rather than OpenAPI: an example, a default, an extension.
pub(crate) fn holds_values(key: &str, value: &Value) -> bool {
    match key {
        "example" | "examples" | "enum" => true,
        // Of a set of responses it is one.
        "default" => !value.is_object(),
        key => key.starts_with("x-"),
    }
}
