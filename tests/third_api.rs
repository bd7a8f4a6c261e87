//! A third API costs no change in code: a specification, its overlay and its quirks, put into a copy of this workspace, become
//! a pinned client that compiles and works. Where one of these files is wrong, the message says where.
#![cfg(test)]

mod support;
// So that this binary can hold the copy's ledger to the copy's files.
mod ledger;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use access_tokens_codegen::{Xtask, generate};

use support::{
    Server, answer, json,
    work_tree::{cargo, commit, copy_work_tree, git, output_of, skipped, target_of_copies},
};

const FIXTURES: &str = "tests/fixtures/third";
const SPEC: &str = "sims.openapi.yaml";
const OVERLAY: &str = "sims.overlay.yaml";
const LEDGER: &str = "quirks.yaml";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "compiles in another place"]
async fn a_third_api_is_generated_pinned_and_called_without_a_line_of_rust() {
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("third");
    if let Err(why) = copy_work_tree(&workspace).and_then(|()| commit(&workspace)) {
        return skipped(&why);
    }
    put_the_third(&workspace.join("specs"));
    git(&workspace, &["add", "--all"]).unwrap();
    git(&workspace, &["commit", "--quiet", "--no-verify", "--message=third"]).unwrap();

    let xtask = Xtask::new(&workspace).target(target_of_copies()).oasdiff("none");
    let outcome = xtask.run(&["regen"]);
    assert_eq!((outcome.exit_code, outcome.complained.as_str()), (0, ""), "{}", outcome.said);
    assert!(outcome.said.starts_with("specs/sims.openapi.yaml: new, v3.4.0\n"), "{}", outcome.said);
    let changed = git(&workspace, &["status", "--porcelain", "--untracked-files=all"]).unwrap();
    assert_eq!(
        changed.lines().collect::<Vec<_>>(),
        [
            " M README.md",
            " M crates/access-tokens-raw/generated/mod.rs",
            " M specs/README.md",
            "?? crates/access-tokens-raw/generated/sims.rs",
            "?? tests/snapshots/surface__sims.snap",
            "?? tests/snapshots/surface__sims_overlaid.snap",
        ]
    );
    let guide = fs::read_to_string("CONTRIBUTING.md").unwrap();
    let guide = guide.split_once("## A further API\n").unwrap().1.split_once("\n## ").unwrap().0;
    let made = changed.lines().filter_map(|line| line.strip_prefix("?? "));
    let put = [SPEC, OVERLAY, LEDGER, "README.md"].map(|name| format!("specs/{name}"));
    let commands = ["cargo xtask regen`", "cargo xtask regen --check`"];
    for named in made.chain(put.iter().map(String::as_str)).chain(commands) {
        assert!(guide.contains(named), "CONTRIBUTING.md doesn't show {named}");
    }
    let readme = fs::read_to_string(workspace.join("README.md")).unwrap();
    assert!(readme.contains("| `sims-202-beside-201` | sims | A message is either sent"), "its rows are in the table");
    let check = xtask.run(&["regen", "--check"]);
    assert_eq!((check.exit_code, check.complained.as_str()), (0, ""), "{}", check.said);

    // The ledger's own tests, in the copy.
    output_of(Command::new(env::current_exe().unwrap()).arg("ledger::").current_dir(&workspace));

    // From the pinned copy; and by the build script, with a specification beside it that has what preflight lets pass.
    let harmless = workspace.join("crates/access-tokens-codegen/tests/harmless.yaml");
    for features in [&["--no-default-features"][..], &[]] {
        if features.is_empty() {
            fs::copy(&harmless, workspace.join("specs/harmless.openapi.yaml")).unwrap();
        }
        let check = ["check", "--package", "access-tokens-raw", "--color", "never"];
        let output = cargo_in_copy(&workspace).args(check).args(features).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("warning"), "{said}");
    }
    calls(&workspace).await;
    make_public(&workspace, guide);
}

/// The code that CONTRIBUTING.md gives compiles, where it says that it goes.
fn make_public(workspace: &Path, guide: &str) {
    let mut made = Vec::new();
    for block in guide.split("\n```rust\n").skip(1) {
        let code = block.split_once("\n```").unwrap().0;
        let before = guide.split_once(code).unwrap().0;
        let file = before.rsplit('`').find(|text| text.ends_with(".rs")).unwrap();
        let path = workspace.join(file);
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, format!("{text}{code}\n")).unwrap();
        made.push(file);
    }
    assert_eq!(made, ["crates/access-tokens/src/lib.rs", "crates/access-tokens/src/sims.rs"]);
    output_of(cargo_in_copy(workspace).args(["check", "--package", "access-tokens", "--all-features"]));
}

fn cargo_in_copy(workspace: &Path) -> Command {
    let mut cargo = cargo(workspace);
    cargo.env("CARGO_TARGET_DIR", target_of_copies());
    cargo
}

/// What `caller.rs` gets and sends, over sockets.
async fn calls(workspace: &Path) {
    let program = workspace.with_file_name("third-caller");
    fs::create_dir_all(program.join("src")).unwrap();
    fs::copy(Path::new(FIXTURES).join("caller.rs"), program.join("src/main.rs")).unwrap();
    let manifest = "\
[package]
name = \"caller\"
edition = \"2024\"

[workspace]

[dependencies]
access-tokens-raw = { path = \"../third\", default-features = false }
futures-util = { version = \"0.3\", default-features = false }
reqwest = { version = \"0.13\", default-features = false }
tokio = { version = \"1\", features = [\"macros\", \"rt\"] }

# As this workspace has it, so that what is compiled already serves again.
[profile.dev]
debug = \"line-tables-only\"
";
    fs::write(program.join("Cargo.toml"), manifest).unwrap();
    // The versions that this workspace has, which are on this machine, so that no network is needed.
    fs::copy("Cargo.lock", program.join("Cargo.lock")).unwrap();

    let page =
        r#"{"items": [{"iccid": "891", "status": "enabled", "puk": "12345678", "position": {"lat": 50.9, "lon": 7}}]}"#;
    let cases = [
        // (the answer, the beginning of the request, its end, what the program makes of the answer)
        (
            json(200, page),
            "GET /sims?columns=iccid%2Cstatus&label=a+b&label=c%26d&sort=-activated HTTP/1.1\r\n\
             accept: application/json\r\nx-request-id: r1\r\naccept-encoding: identity\r\nauthorization: Bearer planted\r\n",
            "\r\n\r\n",
            "891 Enabled Some([redacted]) Some(50.9)",
        ),
        (
            json(201, r#"{"order-number": 7, "status": "open", "ref": "R"}"#),
            "POST /orders HTTP/1.1\r\n",
            r#"{"lines":[{"product":"p1","quantity":3}],"payment":{"purchase-order":"PO-1"}}"#,
            "201 Created 7 Some(\"R\")",
        ),
        (
            answer(200, &["content-type: application/pdf"], "%PDF"),
            "GET /orders/7/invoice HTTP/1.1\r\n",
            "\r\n\r\n",
            "[37, 80, 68, 70]",
        ),
        (
            json(201, r#"{"token": "planted"}"#),
            "POST /sessions HTTP/1.1\r\n",
            "password=p+w&remember-me=true&user=a%40b.example",
            "[redacted]",
        ),
        (json(200, r#"{"state": "online", "rat": 6}"#), "GET /sims/89%2F1/status HTTP/1.1\r\n", "\r\n\r\n", "online 6"),
        (
            json(404, r#"{"title": "None", "more": [1]}"#),
            "GET /sims/891/quotas/2g-fallback HTTP/1.1\r\n",
            "\r\n\r\n",
            "404 Not Found about:blank",
        ),
    ];
    let mut servers = Vec::new();
    for (answer, ..) in &cases {
        servers.push(Server::answering(answer.clone()).await);
    }
    let urls = servers.iter().map(|server| &server.url);
    let said = output_of(cargo(&program).args(["run", "--quiet", "--"]).args(urls));
    let expected: Vec<_> = cases.iter().map(|(.., printed)| *printed).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    for ((_, begins, ends, _), server) in cases.iter().zip(&servers) {
        let requests = server.requests();
        let [request] = &requests[..] else { panic!("one request: {requests:?}") };
        assert!(request.starts_with(begins) && request.ends_with(ends), "{request}");
        assert!(!request.contains("api-version"), "{request}");
    }
}

#[test]
fn preflight_names_each_blemish() {
    let folder = third();
    fs::remove_file(folder.path().join(OVERLAY)).unwrap();
    insta::assert_snapshot!("blemishes", generate(folder.path()).unwrap_err());
}

/// File, index, quirk, target and reason.
#[test]
fn each_mistake_in_its_overlay_names_the_action() {
    let cases = [
        ("target_that_matches_nothing", OVERLAY, "patch.responses.default", "put.responses.default"),
        ("fixed_upstream", SPEC, "        '404': {description: No such SIM card}\n", ""),
        ("changed_upstream", SPEC, "default: '20'", "default: '30'"),
        ("another_x_was", OVERLAY, "{title: Availability}", "{title: Status}"),
        ("unknown_quirk", OVERLAY, "x-quirk: sims-health-without-schema", "x-quirk: sims-health"),
        ("quirk_that_left_the_ledger", LEDGER, "- id: sims-webhook-as-form", "- id: sims-webhook"),
        ("no_json_path", OVERLAY, "$.paths['/webhooks'].post", "$.paths['/webhooks.post"),
        (
            "neither_update_nor_remove",
            OVERLAY,
            "  x-was: {in: path, required: null}\n  update: {required: true}\n",
            "  x-was: {in: path, required: null}\n",
        ),
        (
            "a_member_that_no_overlay_has",
            OVERLAY,
            "  x-was: {in: path, required: null}\n  update:",
            "  x-was: {in: path, required: null}\n  upsert:",
        ),
        (
            "what_a_later_action_needs_is_gone",
            OVERLAY,
            "actions:\n",
            "actions:\n- target: $.components.schemas.SimState\n  x-quirk: sims-state-in-two-spellings\n  \
             x-was: {type: string, enum: [enabled, disabled, Disabled, terminated]}\n  remove: true\n",
        ),
        ("no_target", OVERLAY, "- target: $.paths['/webhooks']", "- aim: $.paths['/webhooks']"),
        ("no_actions", OVERLAY, "actions:\n", "acts:\n"),
    ];
    let mut messages = String::new();
    for (name, file, from, to) in cases {
        let folder = third();
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
        messages += &format!("{name}\n  {}\n", generate(folder.path()).expect_err(name));
    }
    let folder = third();
    fs::rename(folder.path().join(OVERLAY), folder.path().join("sim.overlay.yaml")).unwrap();
    messages += &format!("overlay_of_no_specification\n  {}\n", generate(folder.path()).unwrap_err());
    insta::assert_snapshot!("overlay_errors", messages);
}

/// The third API's files alone, and the ledger.
fn third() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(Path::new("specs").join(LEDGER), folder.path().join(LEDGER)).unwrap();
    put_the_third(folder.path());
    folder
}

/// What a person does: puts two files there, and writes down why.
fn put_the_third(specs: &Path) {
    let fixture = |name: &str| PathBuf::from(FIXTURES).join(name);
    for file in [SPEC, OVERLAY] {
        fs::copy(fixture(file), specs.join(file)).unwrap();
    }
    let quirks = fs::read_to_string(fixture("sims.quirks.yaml")).unwrap();
    let ledger = specs.join(LEDGER);
    fs::write(&ledger, fs::read_to_string(&ledger).unwrap() + &quirks).unwrap();
}
