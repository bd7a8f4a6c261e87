//! What preflight says to specs that the generator can't use: each is in `tests/hostile/`, with what the generator makes
//! of it without preflight in its first line, and has its message in a snapshot.
#![cfg(test)]

use std::{fs, panic::catch_unwind, path::PathBuf};

use access_tokens_codegen::generate;
use openapiv3::OpenAPI;
use progenitor::Generator;

#[test]
fn each_hostile_spec_is_refused_with_file_operation_pointer_and_reason() {
    let mut passed = Vec::new();
    for (name, text) in hostile() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hostile.openapi.yaml"), text).unwrap();
        let Err(error) = generate(folder.path()) else {
            passed.push(name);
            continue;
        };
        let message = error.to_string();
        assert!(message.starts_with("hostile.openapi.yaml: "), "{name}: {message}");
        insta::assert_snapshot!(name, message);
    }
    assert!(passed.is_empty(), "{passed:?} aren't refused");
}

/// Where this fails after an update of the generator, it learnt to use the spec: take the check out of preflight.
#[test]
fn without_preflight_the_generator_does_what_the_first_line_says() {
    for (name, text) in hostile() {
        let expected = text.lines().next().unwrap().trim_start_matches("# ").split(' ').next().unwrap().to_owned();
        let outcome = catch_unwind(|| {
            let document: OpenAPI = serde_yaml::from_str(&text).map_err(|e| e.to_string())?;
            Generator::default().generate_tokens(&document).map_err(|e| e.to_string())
        });
        let found = match outcome {
            Err(_) => "panics",
            Ok(Err(_)) => "fails",
            Ok(Ok(_)) => "writes",
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn files_that_arent_specs_are_refused_with_the_place() {
    let cases = [
        ("broken_yaml", "openapi: [3.0.1\ninfo: {}\n"),
        ("doubled_key", "openapi: 3.0.1\ninfo: {title: a, version: '1'}\npaths: {}\ninfo: {title: b, version: '1'}\n"),
        (
            "doubled_key_in_two_spellings",
            "openapi: 3.0.1\npaths:\n  /a:\n    get:\n      responses: {200: {}, '200': {}}\n",
        ),
        ("empty", ""),
        ("html_error_page", "<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"),
        ("list", "- openapi: 3.0.1\n"),
        ("not_openapi", "info: {title: a, version: '1'}\n"),
        ("tag", "openapi: !version 3.0.1\n"),
        ("doubled_key_in_json", "{\"openapi\": \"3.0.1\", \"paths\": {\"/a\": {}, \"/a\": {}}}"),
        ("json_that_is_cut_off", "{\"openapi\": \"3.0.1\", \"paths\": {"),
        ("not_a_number", "openapi: 3.0.1\ninfo: {title: a, version: .nan}\n"),
        ("merge_of_text", "openapi: 3.0.1\ninfo: {<<: text}\n"),
        ("a_list_as_key", "openapi: 3.0.1\ninfo: {[a]: b}\n"),
        ("swagger_2", "swagger: '2.0'\ninfo: {title: a, version: '1'}\n"),
        ("version_that_is_a_number", "openapi: 3.0\ninfo: {title: a, version: '1'}\n"),
        ("version_of_two_numbers", "openapi: '3.0'\ninfo: {title: a, version: '1'}\n"),
        ("version_to_come", "openapi: 3.1\ninfo: {title: a, version: '1'}\n"),
    ];
    let mut messages = String::new();
    for (name, text) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file.openapi.yaml"), text).unwrap();
        messages += &format!("{name}\n  {}\n", generate(folder.path()).expect_err(name));
    }
    for (name, file) in [
        ("overlay_without_spec", "file.overlay.yaml"),
        ("no_spec", "other.yaml"),
        ("name_that_isnt_a_module", "9lives.openapi.yaml"),
        ("keyword", "type.openapi.yaml"),
        ("name_that_means_something_else", "hooks.openapi.yaml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), "openapi: 3.0.1\n").unwrap();
        let message = generate(folder.path()).expect_err(name).to_string();
        messages += &format!("{name}\n  {}\n", message.replace(folder.path().to_str().unwrap(), "specs"));
    }
    insta::assert_snapshot!("files_that_arent_specs", messages);
}

/// In a process of its own, whose stderr is all that is printed.
#[test]
fn a_panic_of_the_generator_is_told_and_not_printed() {
    const CHILD: &str = "PREFLIGHT_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let folder = tempfile::tempdir().unwrap();
        let text = "openapi: 3.0.1\ninfo: {title: a, version: '1'}\npaths: {}\n\
                    components: {schemas: {A: {type: object, not: {type: string}}}}\n";
        fs::write(folder.path().join("api.openapi.yaml"), text).unwrap();
        let message = generate(folder.path()).unwrap_err().to_string();
        assert!(message.ends_with("; preflight doesn't know this case yet"), "{message}");
        // Other panics are printed as before.
        let _ = catch_unwind(|| panic!("of another kind"));
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_panic_of_the_generator_is_told_and_not_printed", "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("of another kind") && !said.contains("typify"), "{said}");
}

#[test]
fn json_is_read_as_json_and_numbers_beyond_64_bits_are_numbers() {
    let api = |info: &str, schema: &str| {
        format!(
            "{{\"openapi\": \"3.0.1\", \"info\": {info}, \"paths\": {{}}, \"components\": {{\"schemas\": {{\"A\": {schema}}}}}}}"
        )
    };
    let info = r#"{"title": "A\ud83d\ude00\/", "version": "1"}"#;
    let json = api(
        info,
        r#"{"type": "object", "properties": {"<<": {"type": "integer", "minimum": -9223372036854776000, "maximum": 18446744073709551615, "example": 89882280666127978791}}}"#,
    );
    let yaml = "openapi: 3.0.1\ninfo: {title: 'A😀/', version: '1'}\npaths: {}\ncomponents:\n  schemas:\n    A: {type: object, properties: {\"b\": {type: integer, minimum: -9223372036854776000, maximum: 18446744073709551615, exclusiveMaximum: true, example: 89882280666127978791}}}\n";
    let flow = "{openapi: 3.0.1, info: {title: 'A😀/', version: '1'}, paths: {}, components: {schemas: {A: {type: object, example: 899999999999999999999999999999999999999999}}}}";
    for text in [&format!("\u{feff}\n {json}\n"), yaml, flow] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("api.openapi.yaml"), text).unwrap();
        let generated = generate(folder.path()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(generated.specs[0].upstream["info"]["title"], "A😀/");
        let schema = &generated.specs[0].upstream["components"]["schemas"]["A"];
        for example in [schema.pointer("/example"), schema.pointer("/properties/b/example")].into_iter().flatten() {
            assert!(example.as_f64().unwrap() > 8e19, "{example}");
        }
    }
}

#[test]
fn an_overlay_puts_a_version_of_two_numbers_right() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("api.openapi.yaml", "openapi: 3.0\ninfo: {title: a, version: '1'}\npaths: {}\n"),
        (
            "api.overlay.yaml",
            "overlay: 1.0.0\ninfo: {title: a, version: '1'}\nactions:\n- {target: $, x-quirk: version, x-was: {openapi: 3.0}, \
             update: {openapi: 3.0.3}}\n",
        ),
        (
            "quirks.yaml",
            "quirks:\n- {id: version, provider: api, spec: It is a number., truth: It is text., handled: [overlay], tests: []}\n",
        ),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    assert_eq!(generate(folder.path()).unwrap().specs[0].document["openapi"], "3.0.3");
}

/// What it makes is compiled by `tests/third_api.rs`.
#[test]
fn what_the_generator_can_use_passes() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy("tests/harmless.yaml", folder.path().join("harmless.openapi.yaml")).unwrap();
    let generated = generate(folder.path()).unwrap();
    let code = &generated.files["harmless.rs"];
    for foreign in ["::regress", "::uuid", "::chrono"] {
        assert!(!code.contains(foreign), "the raw crate has no {foreign}");
    }
    let outline = access_tokens_codegen::outline(code).unwrap();
    assert!(outline.lines().filter(|line| line.contains("async fn")).count() >= 30, "{outline}");
    for line in ["types::Reference.href: Option<String>", "types::Login.password: Option<crate::Secret>"] {
        assert!(outline.contains(line), "{line}: {outline}");
    }
}

fn hostile() -> Vec<(String, String)> {
    let mut specs: Vec<_> = fs::read_dir("tests/hostile")
        .unwrap()
        .map(|entry| -> (String, String) {
            let path: PathBuf = entry.unwrap().path();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    specs.sort();
    assert!(specs.len() >= 12);
    specs
}
