//! What becomes of the texts in a specification that are for people.
#![cfg(test)]

use std::fs;

use access_tokens_codegen::generate;

#[test]
fn what_nobody_sees_is_stripped_from_texts_and_told_by_pointer() {
    const INVISIBLE: [char; 22] = [
        '\u{0}', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}', '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{202a}',
        '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2064}', '\u{2066}', '\u{2067}', '\u{2068}',
        '\u{2069}', '\u{feff}', '\u{2062}',
    ];
    let hidden: String = INVISIBLE.iter().map(|c| format!("\\u{:04x}", u32::from(*c))).collect();
    let text = r##"{
        "openapi": "3.0.3",
        "info": {"title": "Ti~tle", "version": "1", "description": "Tab\tand\nbreak é ‑ 😀~", "contact": {"name": "~"}},
        "tags": [{"name": "t", "description": "~"}],
        "paths": {"/a": {"get": {
            "operationId": "getA", "summary": "~S", "description": "~D",
            "parameters": [{"in": "query", "name": "title", "description": "~P", "schema": {"type": "string", "example": "~"}}],
            "responses": {"200": {"description": "~R", "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/A"}, "examples": {"e": {"summary": "~", "value": {"a": "~"}}}
            }}}}
        }}},
        "components": {"schemas": {"A": {"type": "object", "title": "A~", "properties": {
            "description": {"type": "string", "description": "M~", "x-note": {"deep": ["~"]}}
        }}}}
    }"##;
    let folder = tempfile::tempdir().unwrap();
    // As JSON has it, since YAML takes none of the controls.
    fs::write(folder.path().join("api.openapi.yaml"), text.replace('~', &hidden)).unwrap();
    let generated = generate(folder.path()).unwrap();
    let spec = &generated.specs[0];
    let pointers: Vec<_> = spec.stripped.iter().map(|stripped| stripped.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/info/title",
            "/info/description",
            "/info/contact/name",
            "/tags/0/description",
            "/paths/~1a/get/summary",
            "/paths/~1a/get/description",
            "/paths/~1a/get/parameters/0/description",
            "/paths/~1a/get/parameters/0/schema/example",
            "/paths/~1a/get/responses/200/description",
            "/paths/~1a/get/responses/200/content/application~1json/examples/e/summary",
            "/paths/~1a/get/responses/200/content/application~1json/examples/e/value/a",
            "/components/schemas/A/title",
            "/components/schemas/A/properties/description/description",
            "/components/schemas/A/properties/description/x-note/deep/0",
        ]
    );
    let mut all = INVISIBLE;
    all.sort_unstable();
    assert!(spec.stripped.iter().all(|stripped| stripped.characters == all), "{:?}", spec.stripped);
    let named = spec.stripped[0].to_string();
    assert!(named.starts_with("U+0000, U+001B, ") && named.ends_with(", U+FEFF at /info/title"), "{named}");
    let overlaid = spec.overlaid_yaml().unwrap();
    for text in generated.files.values().chain([&overlaid]) {
        assert_eq!(text.chars().find(|c| INVISIBLE.contains(c)), None);
    }
    assert!(generated.files["api.rs"].contains("/// Tab\tand\n/// break é ‑ 😀\n"), "{}", generated.files["api.rs"]);
}
