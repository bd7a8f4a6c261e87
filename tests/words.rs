//! What a specification says to people is data: whatever stands in its titles, summaries and descriptions, what is generated
//! compiles, none of it runs, and rustdoc has nothing to say about it.
#![cfg(test)]

mod support;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use access_tokens_codegen::generate;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use support::work_tree::{cargo, copy_work_tree, skipped, target_of_copies};

/// What a description may hold. `RAN` is the path of a file that the code would write.
const HOSTILE: &[(&str, &str)] = &[
    (
        "brackets",
        "See [Nothing], [nothing](nowhere::at_all), [a][b], [c][], `[d]` and \\[e] and \\\\[f]. ] [^1]\n\n[^1]: A note.",
    ),
    ("backticks", "`unclosed, ``and [more] `of` it, and a ` at the end`` `"),
    (
        "html",
        "<b>bold <script>alert(1)</script> <img src=x onerror=alert(1)> Vec<String> <!-- <br> </p>\n\n<div>\n\n*x*",
    ),
    (
        "comments",
        "*/ ends /* begins /** and */ */ #![deny(warnings)] {{x}} {0} \\\n* a list\n* that [looks]\n* like a comment",
    ),
    ("attribute", "#![no_std]\n\n# #[doc = \"x\"] // \" r#\"x\"# \\u{41} \\"),
    (
        "links",
        "https://a.example/b_c_d, (http://b.example/?x=[1]) ![i](http://c.example/d.png) [j](javascript:alert(1)) <javascript:alert(1)> <k@d.example> [l](https://d.example)\n\n[unused]: nowhere\n[used]: nowhere::else \"title\"\n\n[used] [page]\n\n[page]: https://e.example",
    ),
    (
        "fence",
        "Code:\n\n```\nstd::fs::write(\"RAN\", \"\").unwrap();\n```\n\n```rust,should_panic\nlet [x] = 1;\n```\n\n```{.class}\nx\n```",
    ),
    ("tildes", "~~~rust\nstd::fs::write(\"RAN\", \"\").unwrap();\n~~~\n\n~~~~compile_fail\n```\nlet\n~~~~"),
    ("fence_first", "```\nstd::fs::write(\"RAN\", \"\").unwrap();\n```\nand then\n```\nlet x\n```"),
    ("unclosed", "Code:\n```\nstd::fs::write(\"RAN\", \"\").unwrap();"),
    ("indented", "Code:\n\n    std::fs::write(\"RAN\", \"\").unwrap();\n\n    let ``` = 1;\n\nMore.\n\n\tlet tab"),
    ("indented_by_a_tab", "  [word]\n\t```"),
    ("all_indented", "    std::fs::write(\"RAN\", \"\").unwrap();\n    [x]"),
    (
        "list",
        "- One\n\n      std::fs::write(\"RAN\", \"\").unwrap();\n\n- ```\n  let x\n  ```\n-     let indented = 1\n10. a\n\n    ~~~\n    let y",
    ),
    ("quote", "> ```\n> std::fs::write(\"RAN\", \"\").unwrap();\n\n>     let indented\n\n> - a\n>\n>       let nested"),
    ("stars", "* ```\n* std::fs::write(\"RAN\", \"\").unwrap();\n* ```"),
];

/// An API that says `text` wherever it can say something.
fn says(text: &str) -> Value {
    let title = |name: &str| format!("{name} {text}");
    json!({
        "openapi": "3.0.3",
        "info": {"title": text, "version": "1", "description": text, "contact": {"name": text}},
        "externalDocs": {"description": text, "url": "https://docs.example"},
        "tags": [{"name": "t", "description": text}],
        "servers": [{"url": "/", "description": text}],
        "paths": {"/things/{id}": {
            "summary": text,
            "description": text,
            "parameters": [{"in": "path", "name": "id", "required": true, "description": text, "schema": {"type": "string", "description": text}}],
            "post": {
                "operationId": "postThing",
                "summary": text,
                "description": text,
                "externalDocs": {"description": text, "url": "https://docs.example"},
                "parameters": [
                    {"$ref": "#/components/parameters/q"},
                    {"in": "header", "name": "h", "description": text, "schema": {"type": "string", "enum": ["a"], "title": title("H"), "description": text}},
                ],
                "requestBody": {"description": text, "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Thing"}, "examples": {"e": {"summary": text, "description": text, "value": text}},
                }}},
                "responses": {
                    "200": {"description": text, "headers": {"X-A": {"description": text, "schema": {"type": "string"}}}, "content": {"application/json": {
                        "schema": {"type": "object", "title": title("Answer"), "description": text, "properties": {"a": {"type": "string", "description": text}}},
                    }}},
                },
            },
        }},
        "components": {
            "parameters": {"q": {"in": "query", "name": "q", "description": text, "schema": {"type": "integer"}}},
            "schemas": {
                "Thing": {
                    "type": "object", "title": title("T"), "description": text, "example": {"a": text},
                    "properties": {
                        "plain": {"type": "string", "title": text, "description": text, "example": text},
                        "short": {"type": "string", "maxLength": 3, "title": title("Short"), "description": text},
                        "kind": {"type": "string", "enum": ["x", "y"], "title": title("Kind"), "description": text},
                        "said": {"type": "string", "default": text, "description": text},
                        "choice": {"oneOf": [
                            {"type": "string", "title": title("One"), "description": text},
                            {"type": "object", "title": title("Two"), "description": text, "properties": {"x": {"type": "string", "description": text}}},
                        ], "title": title("Choice"), "description": text},
                    },
                    "additionalProperties": {"type": "string", "description": text},
                },
                "List": {"type": "array", "title": title("L"), "description": text, "items": {"type": "string", "description": text}},
                "Merged": {"description": text, "allOf": [{"$ref": "#/components/schemas/Part"}, {"type": "object", "description": text, "properties": {"b": {"type": "string"}}}]},
                "Part": {"type": "object", "description": text, "properties": {"a": {"type": "string"}}},
            },
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic", "description": text}},
        },
    })
}

/// Texts put together by chance from what Markdown has a meaning for, as descriptions of types and of what belongs to a call.
fn says_by_chance() -> Value {
    const TOKENS: &[&str] = &[
        "```",
        "````",
        "~~~",
        "`",
        "``",
        "\n",
        "\n",
        "\n\n",
        "    ",
        "  ",
        "\t",
        "> ",
        "- ",
        "* ",
        "1. ",
        "[",
        "]",
        "](",
        ")",
        "[^1]",
        "]: ",
        "!",
        "<",
        ">",
        "<b>",
        "</b>",
        "<!--",
        "-->",
        "<script>",
        "&lt;",
        "https://a.example/x_y",
        "http://",
        "<https://b.example>",
        "\\",
        "*",
        "_",
        "**",
        "~~",
        "|",
        "|-|",
        "#",
        "---",
        "===",
        "é",
        "😀",
        " ",
        "\"",
        "'",
        "*/",
        "/*",
        "{",
        "let x = 1;",
        "word",
        "rust",
        "x::y",
    ];
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]));
    let texts = proptest::collection::vec(proptest::sample::select(TOKENS), 1..24);
    let mut text = || texts.new_tree(&mut runner).unwrap().current().concat();
    let mut schemas = Map::new();
    for index in 0..300 {
        let member = json!({"type": "string", "description": text()});
        let schema = json!({"type": "object", "description": text(), "properties": {"a": member}});
        schemas.insert(format!("T{index}"), schema);
    }
    let operations = (0..60).map(|index| {
        let parameter = json!({"in": "query", "name": "q", "description": text(), "schema": {"type": "string"}});
        let operation = json!({
            "operationId": format!("call{index}"), "summary": text(), "description": text(), "parameters": [parameter],
            "responses": {"204": {"description": "OK"}},
        });
        (format!("/t{index}"), json!({"get": operation}))
    });
    let paths: Map<_, _> = operations.collect();
    json!({"openapi": "3.0.3", "info": {"title": "Chance", "version": "1"}, "paths": paths, "components": {"schemas": schemas}})
}

#[test]
fn no_text_of_a_specification_becomes_markup() {
    generated(Path::new("ran"));
}

/// The files of an API that says each text, and of one that says texts made by chance; `ran` is what their code would write.
fn generated(ran: &Path) -> BTreeMap<String, String> {
    let specs = tempfile::tempdir().unwrap();
    for (name, text) in HOSTILE {
        let api = says(&text.replace("RAN", ran.to_str().unwrap()));
        fs::write(specs.path().join(format!("{name}.openapi.yaml")), api.to_string()).unwrap();
    }
    fs::write(specs.path().join("chance.openapi.yaml"), says_by_chance().to_string()).unwrap();
    let files = generate(specs.path()).unwrap().files;
    let docs = |(name, text): &(&str, &str)| {
        let (before, _) = files[&format!("{name}.rs")].split_once("    pub struct Part {").unwrap();
        let lines = before.rsplit_once("}\n").unwrap().1.lines().filter_map(|line| line.trim().strip_prefix("///"));
        let docs: Vec<_> = lines.map(|line| format!("  |{line}")).collect();
        let text: Vec<_> = text.lines().map(|line| format!("  | {line}")).collect();
        format!("{name}\n{}\nbecomes\n{}\n\n", text.join("\n"), docs.join("\n"))
    };
    let docs: String = HOSTILE.iter().map(docs).collect();
    insta::assert_snapshot!("docs", docs.replace(ran.to_str().unwrap(), "RAN"));
    files
}

#[test]
#[ignore = "documents a crate three times"]
fn no_text_of_a_specification_runs_breaks_the_build_or_disturbs_rustdoc() {
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("words");
    if let Err(why) = copy_work_tree(&workspace) {
        return skipped(&why);
    }
    let ran = workspace.with_file_name("words-ran");
    let _ = fs::remove_file(&ran);
    let files = generated(&ran);
    for (name, code) in files {
        fs::write(workspace.join("crates/access-tokens-raw/generated").join(name), code).unwrap();
    }

    let rustdoc = |arguments: &[&str]| -> String {
        let mut cargo: Command = cargo(&workspace);
        cargo.env("CARGO_TARGET_DIR", target_of_copies());
        cargo.args(["rustdoc", "--package", "access-tokens-raw", "--no-default-features", "--lib", "--color", "never"]);
        let output = cargo.args(arguments).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    };
    let said = rustdoc(&[]);
    assert!(said.contains("Finished") && !said.contains("warning") && !said.contains("error"), "{said}");
    let page = fs::read_to_string(target_of_copies().join("doc/access_tokens_raw/html/struct.Client.html")).unwrap();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script>alert"),
        "HTML in the page"
    );

    // Cargo gives rustdoc no library to link with here, so that our own examples fail; but they are the only ones there are.
    let assert_only_ours = |why: &str| {
        let said = rustdoc(&["--", "--test"]);
        let tests: Vec<_> = said.lines().filter(|line| line.starts_with("test ") && line.contains(" - ")).collect();
        let ours = |line: &&str| line.contains("/hooks.rs - ") || line.contains("/secret.rs - ");
        assert!(tests.len() == 3 && tests.iter().all(ours), "{why}: {said}");
    };
    let lib = workspace.join("crates/access-tokens-raw/lib.rs");
    let text = fs::read_to_string(&lib).unwrap();
    fs::write(&lib, text.replace("#[cfg(not(doctest))]\n", "")).unwrap();
    assert_only_ours("no code in a description is Rust");
    fs::write(&lib, text).unwrap();
    let list = workspace.join("crates/access-tokens-raw/generated/mod.rs");
    let code = format!("/// ```\n/// std::fs::write({ran:?}, \"\").unwrap();\n/// ```\npub mod planted {{}}\n");
    fs::write(&list, fs::read_to_string(&list).unwrap() + &code).unwrap();
    assert_only_ours("nothing generated is tested");
    assert!(!ran.exists(), "what a description says ran");
}
