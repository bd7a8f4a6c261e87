//! What preflight says to specs that the generator can't use: each is in `tests/hostile/`, with what the generator makes
//! of it without preflight in its first line, and has its message in a snapshot.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

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
        ("not_openapi", "swagger: '2.0'\ninfo: {title: a, version: '1'}\n"),
        ("tag", "openapi: !version 3.0.1\n"),
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
