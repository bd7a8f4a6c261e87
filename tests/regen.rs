//! `cargo xtask regen` as a maintainer runs it: what its report says of each kind of change, what it refuses, and that
//! neither a refusal nor a kill leaves anything half done.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use access_tokens_codegen::{Outcome, Xtask};

use support::work_tree::{commit, git, target_of_copies};

/// (name, specification, what is replaced, by what)
type Case = (&'static str, &'static str, &'static str, &'static str);

const TOKEN_PATH: &str = "  /realms/{realm}/protocol/openid-connect/token:\n";
const SECRET_AND_MORE: &str = "        - client_secret\n      properties:\n";

/// What upstream might do, one thing at a time. The report of each is a snapshot.
#[rustfmt::skip]
const CASES: &[Case] = &[
    ("description", "onence", "Obtain a token for accessing", "Get a token for accessing"),
    ("version", "onence", "version: v2.1.1", "version: v2.1.2"),
    ("invisible_words", "onence", "description: The generated Access Token for using as authentication token for other 1NCE API requests.",
        "description: \"The generated \\u202aAccess Token\\u202c.\\ufeff\""),
    ("code_in_words", "onence", "The generated Access Token", "|\n            ```\n            std::process::exit(1)\n            ```\n            The generated Access Token"),
    ("optional_request_member", "worldline", "        client_id:\n          type: string\n",
        "        tenant:\n          type: string\n        client_id:\n          type: string\n"),
    ("required_request_member", "worldline", SECRET_AND_MORE, "        - client_secret\n        - tenant\n      properties:\n        tenant:\n          type: string\n"),
    ("required_and_not_declared", "worldline", SECRET_AND_MORE, "        - client_secret\n        - tenant\n      properties:\n"),
    ("response_member_added", "worldline", "      properties:\n        access_token:\n",
        "      properties:\n        session_state:\n          type: string\n        access_token:\n"),
    ("response_member_removed", "worldline",
        "        token_type:\n          type: string\n          description: |\n            Type of the token: Bearer\n          example: \"Bearer\"\n", ""),
    ("response_member_retyped", "worldline", "        token_type:\n          type: string\n", "        token_type:\n          type: integer\n"),
    ("enum_value_added", "onence", "          - BadCredentials\n", "          - BadCredentials\n          - AccountLocked\n"),
    ("enum_value_removed", "onence", "          - BodyValidationError\n", ""),
    ("status_added", "onence", "        '404':\n          description: Not Found\n",
        "        '404':\n          description: Not Found\n        '429':\n          description: Too Many Requests\n          content:\n            application/json:\n              schema:\n                $ref: '#/components/schemas/Bearer_Token_400'\n"),
    ("operation_added", "worldline", TOKEN_PATH,
        "  /realms/{realm}:\n    get:\n      operationId: getRealm\n      parameters:\n        - in: path\n          name: realm\n          required: true\n          schema:\n            type: string\n      responses:\n        '200':\n          description: Successful\n          content:\n            application/json:\n              schema:\n                type: object\n                properties:\n                  public_key:\n                    type: string\n  /realms/{realm}/protocol/openid-connect/token:\n"),
    ("operation_renamed", "onence", "operationId: postAccessTokenPOST", "operationId: createAccessToken"),
    ("path_changed", "onence", "  /oauth/token:\n", "  /v2/oauth/token:\n"),
    ("fixed_elsewhere", "onence", "        '404':\n          description: Not Found\n", "        4XX:\n          description: Not Found\n"),
    ("server_changed", "onence", "https://api.1nce.com/management-api", "https://api.1nce.example/v2"),
    ("security_changed", "onence", "      scheme: basic\n", "      scheme: bearer\n"),
    ("one_of_branch_added", "worldline", "                - $ref: '#/components/schemas/ClientJwtRequest'\n",
        "                - $ref: '#/components/schemas/ClientJwtRequest'\n                - type: object\n                  title: TlsClientRequest\n                  required: [client_id]\n                  properties:\n                    client_id:\n                      type: string\n"),
    ("form_to_json", "worldline", "          application/x-www-form-urlencoded:\n", "          application/json:\n"),
    ("fixed_404", "onence", "        '404':\n          description: Not Found\n", ""),
    ("fixed_status_code", "onence", "          enum:\n          - 200\n          default: 200\n", "          default: 200\n"),
    ("fixed_user_id", "onence", "        userId:\n", "        user_id:\n"),
    ("fixed_closed_answer", "worldline", "      additionalProperties: false\n", ""),
    ("fixed_body_not_required", "worldline", "      requestBody:\n", "      requestBody:\n        required: true\n"),
    ("fixed_secrets", "worldline", "SECRETS", ""),
    ("openapi_3_1", "onence", "openapi: 3.0.1", "openapi: 3.1.0"),
    ("broken_yaml", "onence", "info:\n  title: Authorization\n", "info:\n  title: [Authorization\n"),
    ("empty", "onence", "EVERYTHING", ""),
    ("doubled_key", "onence", "        userId:\n          type: string\n", "        userId:\n          type: string\n          type: integer\n"),
    ("html_page", "onence", "EVERYTHING", "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"),
    ("json_error", "onence", "EVERYTHING", "{\"statusCode\": 404, \"message\": \"Resource not found\"}\n"),
];

fn edited((name, module, from, to): &Case) -> String {
    let text = fs::read_to_string(format!("specs/{module}.openapi.yaml")).unwrap();
    match *from {
        "EVERYTHING" => (*to).to_owned(),
        // Where each is of the type `string`, and nothing else is.
        "SECRETS" => ["access_token", "client_secret", "client_assertion"].iter().fold(text, |text, secret| {
            let from = format!("        {secret}:\n          type: string\n");
            assert!(text.contains(&from), "{name}: {secret}");
            text.replace(&from, &format!("{from}          format: password\n"))
        }),
        from => {
            assert!(text.contains(from), "{name}: {from}");
            text.replacen(from, to, 1)
        }
    }
}

#[test]
fn each_change_has_its_report_and_what_is_refused_changes_nothing() {
    let workspace = Workspace::new("changes");
    for case in CASES {
        let (name, module, ..) = case;
        let new = edited(case);
        let from = workspace.incoming(&new);

        let tried = workspace.run(&["regen", module, "--from", &from, "--dry-run"]);
        assert_eq!(workspace.changed(), [""; 0], "{name}: --dry-run writes nothing");
        insta::assert_snapshot!(*name, report(&tried));

        let done = workspace.run(&["regen", module, "--from", &from]);
        assert_eq!((done.exit_code, &done.complained), (tried.exit_code, &tried.complained), "{name}");
        if done.exit_code != 0 {
            assert_eq!(done.said, tried.said, "{name}");
            assert_eq!(workspace.changed(), [""; 0], "{name}: what is refused changes nothing");
            workspace.assert_clean(name);
            continue;
        }
        let file = format!("specs/{module}.openapi.yaml");
        assert!(workspace.files()[&file] == new.as_bytes(), "{name}: byte for byte");
        for path in workspace.changed() {
            assert!(done.said.contains(&format!("\n  {path}\n")), "{name}: {path} is in the report: {}", done.said);
            let generated = path.starts_with("crates/access-tokens-raw/generated/")
                || path.starts_with("tests/snapshots/surface__")
                || ["README.md", "specs/README.md", &*file].contains(&path.as_str());
            assert!(generated, "{name}: {path} isn't generated");
        }
        let check = workspace.run(&["regen", "--check"]);
        assert_eq!(check.exit_code, 0, "{name}: {}", check.complained);
        workspace.restore();
    }
}

#[test]
fn check_writes_nothing_and_its_exit_code_tells() {
    let workspace = Workspace::new("check");
    let run = |arguments: &[&str]| {
        let outcome = workspace.run(arguments);
        (outcome.exit_code, outcome.said, outcome.complained)
    };
    let up_to_date = (0, "everything generated is up to date\n".to_owned(), String::new());
    assert_eq!(run(&["regen", "--check"]), up_to_date);
    assert_eq!(run(&["regen"]), up_to_date);

    let file = "crates/access-tokens-raw/generated/worldline.rs";
    let worldline = workspace.root.join(file);
    let pinned = fs::read_to_string(&worldline).unwrap();
    let changed = pinned.replacen("pub struct TokenResponse", "pub struct Answer", 1);
    fs::write(&worldline, &changed).unwrap();
    let (exit_code, said, complained) = run(&["regen", "--check"]);
    assert_eq!(exit_code, 1);
    assert!(said.contains("-    pub struct Answer") && said.contains("+    pub struct TokenResponse"), "{said}");
    assert_eq!(complained, format!("\nout of date:\n  {file}\nrun `cargo xtask regen`\n"));
    assert_eq!(workspace.changed(), [file]);

    assert_eq!(run(&["regen", "--allow-dirty"]).0, 0);
    assert_eq!(workspace.changed(), [""; 0]);
    assert_eq!(run(&["regen", "--check"]), up_to_date);

    fs::write(workspace.root.join("specs/onence.openapi.yaml"), "{").unwrap();
    for (arguments, beginning) in [(&["regen"][..], "refused"), (&["regen", "--check"], "error")] {
        let (exit_code, said, complained) = run(arguments);
        assert_eq!((exit_code, said.as_str()), (1, ""));
        assert!(complained.starts_with(&format!("{beginning}: onence.openapi.yaml: ")), "{complained}");
    }
}

#[test]
fn a_report_for_a_pull_request_is_markdown() {
    let workspace = Workspace::new("markdown");
    let case = CASES.iter().find(|(name, ..)| *name == "operation_added").unwrap();
    let from = workspace.incoming(&edited(case));
    let outcome = workspace.run(&["regen", "worldline", "--from", &from, "--dry-run", "--format", "markdown"]);
    insta::assert_snapshot!("markdown", report(&outcome));
}

/// What is saved while the compiler runs isn't overwritten.
#[test]
fn an_edit_while_it_runs_is_not_lost() {
    let Some(workspace) = Workspace::committed("edited") else { return };
    let _ = fs::remove_dir_all(workspace.root.join("target/regen"));
    let from = workspace.incoming(&edited(CASES.iter().find(|(name, ..)| *name == "operation_added").unwrap()));
    let child = workspace.start(&["regen", "worldline", "--from", &from, "--allow-dirty"]);
    let mut child = Killed(child);
    let pinned = workspace.root.join("target/regen/workspace/crates/access-tokens-raw/generated/worldline.rs");
    wait_until(&mut child.0, || fs::read_to_string(&pinned).is_ok_and(|code| code.contains("get_realm")));
    let readme = workspace.root.join("specs/README.md");
    let edit = fs::read_to_string(&readme).unwrap() + "\nA paragraph.\n";
    fs::write(&readme, &edit).unwrap();
    assert!(!child.0.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&readme).unwrap(), edit);
    assert_eq!(workspace.changed(), ["specs/README.md"]);
}

/// If a file can't be written, those before it are put back.
#[test]
fn what_cant_be_written_leaves_nothing_behind() {
    let workspace = Workspace::new("unwritable");
    // In place of a file that comes after others, a folder with something in it, which no rename replaces.
    let snapshot = workspace.root.join("tests/snapshots/surface__onence_overlaid.snap");
    fs::remove_file(&snapshot).unwrap();
    fs::create_dir(&snapshot).unwrap();
    fs::write(snapshot.join("mine"), "mine").unwrap();
    let before = workspace.files();
    let from = workspace.incoming(&edited(&CASES[0]));
    let refused = workspace.xtask().run(&["regen", "onence", "--from", &from, "--allow-dirty"]);
    assert_eq!(refused.exit_code, 1, "{}", refused.said);
    assert!(refused.complained.contains("surface__onence_overlaid.snap"), "{}", refused.complained);
    assert!(refused.complained.ends_with("\nNothing was written.\n"), "{}", refused.complained);
    assert_eq!(differences(&workspace.files(), &before), [""; 0]);
    fs::remove_dir_all(snapshot).unwrap();
}

/// Links, pipes, things that were files and are folders now.
#[cfg(unix)]
#[test]
fn odd_things_in_the_work_tree_are_let_be() {
    let workspace = Workspace::new("odd");
    let odd = workspace.root.join("odd");
    let _ = fs::remove_dir_all(&odd);
    let from = workspace.incoming(&edited(&CASES[0]));
    for round in 0..2 {
        let _ = fs::remove_dir_all(&odd);
        fs::create_dir(&odd).unwrap();
        std::os::unix::fs::symlink("..", odd.join("up")).unwrap();
        assert!(Command::new("mkfifo").arg(odd.join("pipe")).status().unwrap().success());
        if round == 0 {
            fs::write(odd.join("thing"), "a file").unwrap();
        } else {
            fs::create_dir(odd.join("thing")).unwrap();
        }
        let outcome = workspace.run(&["regen", "onence", "--from", &from, "--dry-run"]);
        assert_eq!((outcome.exit_code, outcome.complained.as_str()), (0, ""));
    }
    fs::remove_dir_all(odd).unwrap();
}

#[test]
fn a_workspace_within_a_larger_repository_is_compared_with_its_commit() {
    let Some(workspace) = Workspace::committed("within") else { return };
    fs::remove_dir_all(workspace.root.join(".git")).unwrap();
    let outer = workspace.root.parent().unwrap().join("outer");
    let _ = fs::remove_dir_all(&outer);
    fs::create_dir(&outer).unwrap();
    for (path, text) in &workspace.copied {
        let to = outer.join("inner").join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, text).unwrap();
    }
    commit(&outer).unwrap();
    let spec = outer.join("inner/specs/onence.openapi.yaml");
    fs::write(&spec, edited(&CASES[0])).unwrap();
    let outcome = xtask(&outer.join("inner")).run(&["regen", "--dry-run"]);
    assert!(outcome.said.contains("The specification: 1 documentation only"), "{}", outcome.said);
    fs::remove_dir_all(outer).unwrap();
}

#[test]
fn a_specification_that_goes_is_in_the_report() {
    let workspace = Workspace::new("gone");
    for file in ["specs/worldline.openapi.yaml", "specs/worldline.overlay.yaml"] {
        fs::remove_file(workspace.root.join(file)).unwrap();
    }
    let outcome = workspace.run(&["regen"]);
    // Without git nothing says that it was there.
    if workspace.root.join(".git").exists() {
        assert!(outcome.said.starts_with("specs/worldline.openapi.yaml: removed, was 2.1.1\n"), "{}", outcome.said);
        assert!(outcome.said.contains("delete what the facade has of `worldline`, and its quirks"), "{}", outcome.said);
        assert!(outcome.said.contains("\nThe facade doesn't compile\n"), "{}", outcome.said);
    }
    let files = workspace.files();
    assert!(!files.contains_key("crates/access-tokens-raw/generated/worldline.rs"));
    assert!(!String::from_utf8_lossy(&files["specs/README.md"]).contains("worldline.openapi.yaml"));
}

#[test]
fn two_runs_at_once_come_one_after_the_other() {
    let Some(workspace) = Workspace::committed("twice") else { return };
    let from = workspace.incoming(&edited(&CASES[0]));
    let mut runs = [(); 3].map(|()| workspace.start(&["regen", "onence", "--from", &from]));
    for run in &mut runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(workspace.run(&["regen", "--check"]).exit_code, 0);
    assert!(workspace.changed().len() >= 4, "{:?}", workspace.changed());
}

/// What a person wrote and didn't commit isn't overwritten; what the command itself wrote is.
#[test]
fn what_no_commit_has_isnt_overwritten() {
    let Some(workspace) = Workspace::committed("unsaved") else { return };
    let run = |arguments: &[&str]| workspace.run(arguments);
    let pinned = workspace.root.join("crates/access-tokens-raw/generated/onence.rs");
    let from = workspace.incoming(&edited(&CASES[0]));

    let text = fs::read_to_string(&pinned).unwrap();
    fs::write(&pinned, format!("{text}// mine\n")).unwrap();
    for arguments in [&["regen", "onence", "--from", &from][..], &["regen"]] {
        let refused = run(arguments);
        assert_eq!(refused.exit_code, 1, "{}", refused.said);
        assert_eq!(
            refused.complained,
            "refused: crates/access-tokens-raw/generated/onence.rs: holds what no commit has; commit or stash it, or add \
             --allow-dirty\nNothing was written.\n"
        );
        assert!(fs::read_to_string(&pinned).unwrap().ends_with("// mine\n"));
    }
    assert_eq!(run(&["regen", "--allow-dirty"]).exit_code, 0);
    assert_eq!(fs::read_to_string(&pinned).unwrap(), text);
    workspace.assert_clean("regen has put it right");

    // Taken in, not committed, and another version comes.
    assert_eq!(run(&["regen", "onence", "--from", &from]).exit_code, 0);
    let second = workspace.incoming(&edited(&CASES[1]));
    let outcome = run(&["regen", "onence", "--from", &second]);
    assert_eq!((outcome.exit_code, &*outcome.complained), (0, ""));
    assert!(outcome.said.starts_with("specs/onence.openapi.yaml: v2.1.1 -> v2.1.2\n"), "{}", outcome.said);

    // An overlay is edited again and again: it is read, not written.
    let overlay = workspace.root.join("specs/onence.overlay.yaml");
    let mut old = "The type of token returned.";
    for words in ["The type.", "What type it is of."] {
        let text = fs::read_to_string(&overlay).unwrap();
        assert!(text.contains(old));
        fs::write(&overlay, text.replace(old, words)).unwrap();
        old = words;
        let outcome = run(&["regen"]);
        assert_eq!((outcome.exit_code, &*outcome.complained), (0, ""), "{words}");
        assert!(fs::read_to_string(&pinned).unwrap().contains(words));
    }
}

/// A folder that is no work tree has nothing to go back to.
#[test]
fn without_a_commit_nothing_is_overwritten_unasked() {
    let workspace = Workspace::new("uncommitted");
    let from = workspace.incoming(&edited(&CASES[0]));
    fs::remove_dir_all(workspace.root.join(".git")).unwrap_or_default();
    let refused = workspace.xtask().run(&["regen", "onence", "--from", &from]);
    assert_eq!(refused.exit_code, 1);
    assert!(refused.complained.contains("there is no commit to go back to"), "{}", refused.complained);
    assert_eq!(workspace.changed(), [""; 0]);
}

/// Killed at any moment before it writes, the command has changed nothing.
#[test]
fn a_kill_before_it_writes_leaves_everything_as_it_was() {
    let Some(workspace) = Workspace::committed("killed-before") else { return };
    // With a change of code, so that there is the compiler to wait for.
    let from = workspace.incoming(&edited(CASES.iter().find(|(name, ..)| *name == "operation_added").unwrap()));
    let stage = workspace.root.join("target/regen");
    let moments =
        ["lock", "committed/README.md", "workspace/specs/worldline.overlay.yaml", "workspace/xtask/Cargo.toml"];
    for moment in moments {
        let _ = fs::remove_dir_all(&stage);
        let mut child = workspace.start(&["regen", "worldline", "--from", &from]);
        wait_until(&mut child, || stage.join(moment).exists());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!stage.join("written.json").exists(), "{moment}: nothing was written yet");
        workspace.assert_clean(moment);
    }
    // In the compiler's time.
    let mut child = workspace.start(&["regen", "worldline", "--from", &from]);
    let pinned = stage.join("workspace/crates/access-tokens-raw/generated/worldline.rs");
    wait_until(&mut child, || fs::read_to_string(&pinned).is_ok_and(|code| code.contains("get_realm")));
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "the compiler takes longer");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!stage.join("written.json").exists(), "nothing was written yet");
    workspace.assert_clean("compiling");

    // And it can be run again.
    let mut child = workspace.start(&["regen", "worldline", "--from", &from]);
    assert!(child.wait().unwrap().success());
    assert!(workspace.files()["specs/worldline.openapi.yaml"].windows(8).any(|text| text == b"getRealm"));
}

/// Killed between two files, the command ends the same when it is run again.
#[test]
fn a_kill_while_it_writes_is_made_good_by_running_it_again() {
    let Some(workspace) = Workspace::committed("killed-within") else { return };
    let from = workspace.incoming(&edited(&CASES[0]));
    let arguments = ["regen", "onence", "--from", &from];
    assert!(workspace.start(&arguments).wait().unwrap().success());
    let (before, after) = (&workspace.copied, workspace.files());
    let changed = workspace.changed();
    assert!(changed.len() >= 4, "{changed:?}");

    let mut within = 0;
    for attempt in 0..60 {
        workspace.restore();
        let _ = fs::remove_file(workspace.root.join("target/regen/written.json"));
        let mut child = workspace.start(&arguments);
        // Each file in turn, so that the kill comes after another one.
        let path = &changed[attempt % changed.len()];
        let is_written = || fs::read(workspace.root.join(path)).is_ok_and(|text| text == after[path]);
        wait_until(&mut child, is_written);
        child.kill().unwrap();
        child.wait().unwrap();
        let now = workspace.files();
        assert!(
            now.iter().all(|(path, text)| Some(text) == before.get(path) || Some(text) == after.get(path)),
            "each file is the old one or the new one"
        );
        within += usize::from(now != *before && now != after);

        let mut again = workspace.start(&arguments);
        assert!(again.wait().unwrap().success(), "attempt {attempt}");
        assert_eq!(differences(&workspace.files(), &after), [""; 0], "attempt {attempt}");
        if within == 3 {
            return;
        }
    }
    panic!("only {within} of 60 kills came between two files");
}

/// The command as a process of its own, which the tests above kill.
#[test]
#[ignore = "is started by other tests"]
fn child() {
    let Some(root) = std::env::var_os("REGEN_ROOT") else { return };
    let arguments = std::env::var("REGEN_ARGUMENTS").unwrap();
    let arguments: Vec<_> = arguments.lines().collect();
    let outcome = xtask(Path::new(&root)).run(&arguments);
    assert_eq!(outcome.exit_code, 0, "{}", outcome.complained);
}

#[test]
fn arguments_that_make_no_sense_are_told_with_the_way_out() {
    let workspace = Workspace::new("arguments");
    let gone = workspace.root.join("gone.yaml").display().to_string();
    let other = workspace.incoming("openapi: 3.0.0\n");
    let modules: Vec<_> = access_tokens_codegen::generate("specs".as_ref()).unwrap().specs;
    let modules: Vec<_> = modules.iter().map(|spec| spec.module.as_str()).collect();
    let there = format!("specs/twonce.openapi.yaml: there are {}; give a new one with --from", modules.join(", "));
    let cases: &[(&[&str], u8, &str)] = &[
        (&["regenerate"], 2, "unrecognized subcommand 'regenerate'"),
        (&["regen", "--check", "--dry-run"], 2, "cannot be used with"),
        (&["regen", "--format", "pdf"], 2, "[possible values: text, markdown]"),
        (&["regen", "twonce"], 1, &there),
        (&["regen", "--from", &other], 1, "which specification is it? Say so: cargo xtask regen SPEC --from …"),
        (&["regen", "std", "--from", &other], 1, "`std` has another meaning in the raw crate"),
        (&["regen", "../x", "--from", &other], 1, "can't be a Rust module"),
        (&["regen", "onence", "--from", &gone], 1, "gone.yaml: No such file"),
        (&["regen", "onence", "--from", "http://specs.example/a.yaml"], 1, "only https is fetched"),
        (&["regen", "onence", "--from", "ftp://specs.example/a.yaml"], 1, "only https is fetched"),
        (&["regen", "onence", "--from", "https://"], 1, "isn't a URL"),
        (&["regen", "onence", "--from", "https://user:planted-key/x@specs.example"], 1, "the URL: isn't a URL"),
        (
            &["regen", "onence", "--from", "http:/user:planted-key@specs.example/?key=planted-key"],
            1,
            "only https is fetched",
        ),
        (&["regen", "onence", "--from", "/dev/zero"], 1, "is longer than 16 MiB"),
        (&["regen", "gen", "--from", &other], 1, "can't be a Rust module"),
        (&["regen", "onence_overlaid", "--from", &other], 1, "ends in _overlaid"),
        (&["regen", "onence", "--from", ""], 1, "No such file"),
    ];
    for (arguments, exit_code, message) in cases {
        let outcome = workspace.run(arguments);
        assert_eq!(outcome.exit_code, *exit_code, "{arguments:?}: {}", outcome.complained);
        assert!(outcome.complained.contains(message), "{arguments:?}: {}", outcome.complained);
        assert!(!outcome.complained.contains("planted-key"), "{}", outcome.complained);
    }
    assert!(workspace.run(&[]).complained.contains("Usage: cargo xtask"));
    let help = workspace.run(&["regen", "--help"]);
    assert_eq!(help.exit_code, 0);
    assert!(help.said.contains("cargo xtask regen onence --from"), "{}", help.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_specification_is_fetched_byte_for_byte_and_its_origin_noted() {
    let workspace = Workspace::new("fetched");
    // With the line breaks of another system, which must stay.
    let new = edited(&CASES[1]).replace('\n', "\r\n");
    let server = support::Server::answering(support::answer(200, &["content-type: text/yaml"], &new)).await;
    let url = format!("{}/docs/onence.openapi.yaml?key=planted-key#top", server.url);
    let done = in_thread(&workspace, vec!["regen".into(), "--from".into(), url]).await;
    assert_eq!(done.exit_code, 0, "{}", done.complained);
    let files = workspace.files();
    assert!(files["specs/onence.openapi.yaml"] == new.as_bytes());
    let table = String::from_utf8(files["specs/README.md"].clone()).unwrap();
    let row = table.lines().find(|line| line.starts_with("| `onence.openapi.yaml`")).unwrap();
    assert!(row.starts_with("| `onence.openapi.yaml` | Authorization | v2.1.2 | `"), "{row}");
    assert!(row.ends_with(&format!("` | 2026-01-02 | {}/docs/onence.openapi.yaml |", server.url)), "{row}");
    assert!(!done.said.contains("planted-key") && !table.contains("planted-key"));

    let long = "x".repeat((16 << 20) + 1);
    let answers = [
        (support::answer(404, &[], "<html>"), "404"),
        (support::answer(302, &["location: http://specs.example/"], ""), "a redirect to what isn't https"),
        (support::answer(200, &[], &long), "is longer than 16 MiB"),
        (support::answer(200, &[], "\u{1}\u{2}"), "onence.openapi.yaml"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nopenapi".to_vec(), "or fetch it yourself"),
    ];
    for (answer, message) in answers {
        let server = support::Server::answering(answer).await;
        let url = format!("{}/x?key=planted-key", server.url);
        let outcome = in_thread(&workspace, vec!["regen".into(), "onence".into(), "--from".into(), url]).await;
        assert_eq!(outcome.exit_code, 1, "{message}");
        assert!(outcome.complained.contains(message), "{message}: {}", outcome.complained);
        assert!(!outcome.complained.contains("planted-key"), "{}", outcome.complained);
    }
}

/// The command waits for the network by itself, which no task of a runtime may.
async fn in_thread(workspace: &Workspace, arguments: Vec<String>) -> Outcome {
    let xtask = workspace.xtask();
    let run = move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(["--allow-dirty"]).collect();
        xtask.run(&arguments)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A copy of this workspace, in a place that stays, so that what was compiled there serves again.
struct Workspace {
    root: PathBuf,
    /// The files as they were copied.
    copied: Files,
}

type Files = BTreeMap<String, Vec<u8>>;

impl Workspace {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("regen").join(name);
        let workspace = Self { root, copied: files(Path::new("."), Path::new(".")) };
        let _ = fs::remove_dir_all(workspace.root.join(".git"));
        let _ = fs::remove_file(workspace.root.join("target/regen/written.json"));
        workspace.restore();
        // Without git most of the tests do, too.
        let _ = commit(&workspace.root);
        workspace
    }

    /// With one commit, if git is there.
    fn committed(name: &str) -> Option<Self> {
        let workspace = Self::new(name);
        let there = workspace.root.join(".git").exists();
        support::is_there("git", "git", there, "what is committed").then_some(workspace)
    }

    fn assert_clean(&self, when: &str) {
        // Where there is no git, files are compared byte for byte all the same.
        if self.root.join(".git").exists() {
            assert_eq!(git(&self.root, &["status", "--porcelain"]).unwrap(), "", "{when}");
        }
    }

    /// As it was copied.
    fn restore(&self) {
        for path in differences(&self.files(), &self.copied) {
            let to = self.root.join(&path);
            match self.copied.get(&path) {
                None => fs::remove_file(to).unwrap(),
                Some(text) => {
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::write(to, text).unwrap();
                }
            }
        }
    }

    fn files(&self) -> Files {
        files(&self.root, &self.root)
    }

    /// The files that aren't as they were copied.
    fn changed(&self) -> Vec<String> {
        differences(&self.files(), &self.copied)
    }

    /// The path of a file with this text, outside of the workspace's files.
    fn incoming(&self, text: &str) -> String {
        let path = self.root.join("target").join(format!("{}.yaml", text.len()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn xtask(&self) -> Xtask {
        xtask(&self.root)
    }

    /// Without git there is nothing to go back to, and it must be asked for.
    fn run(&self, arguments: &[&str]) -> Outcome {
        let allow = "--allow-dirty";
        let needed = !self.root.join(".git").exists() && !["--check", allow].iter().any(|one| arguments.contains(one));
        let allow: &[_] = if needed { &[allow] } else { &[] };
        self.xtask().run(&[arguments, allow].concat())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["child", "--exact", "--ignored"]).stdout(Stdio::null()).stderr(Stdio::null());
        child.env("REGEN_ROOT", &self.root).env("REGEN_ARGUMENTS", arguments.join("\n"));
        child.spawn().unwrap()
    }
}

fn xtask(root: &Path) -> Xtask {
    Xtask::new(root).target(target_of_copies()).today("2026-01-02").semver_checks(false)
}

/// The files that make the workspace, but for what is built and git's own.
fn files(root: &Path, folder: &Path) -> Files {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["target", ".git"].contains(&name) {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(root, &path));
        } else if path.is_file() {
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(relative, fs::read(&path).unwrap());
        }
    }
    found
}

/// Ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn differences(one: &Files, other: &Files) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

fn wait_until(child: &mut Child, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(300), "it didn't come to that");
    }
}

/// What stdout and stderr said, without what moves with every edit of our own code: line numbers, the compiler's words.
fn report(outcome: &Outcome) -> String {
    let mut text = outcome.said.clone();
    // Where there is no git, the report says so first.
    if let Some((_, rest)) = text.split_once("isn't told\n").and_then(|(_, rest)| rest.split_once("\n\n")) {
        text = rest.to_owned();
    }
    if !outcome.complained.is_empty() {
        text = format!("{text}\n(exit code {})\n{}", outcome.exit_code, outcome.complained);
    }
    let line = |line: &str| {
        let mut line = line.to_owned();
        for ending in [".rs:", ".yaml:"] {
            while let Some(at) = line
                .find(&format!("{ending}1"))
                .or_else(|| ('2'..='9').find_map(|digit| line.find(&format!("{ending}{digit}"))))
            {
                let start = at + ending.len();
                let digits = line[start..].chars().take_while(char::is_ascii_digit).count();
                line.replace_range(start..start + digits, "LINE");
            }
        }
        match line.find(": [E") {
            Some(at) if line.contains("crates/") => line.truncate(at + ": [E0000]".len()),
            _ => {}
        }
        line + "\n"
    };
    text.lines().map(line).collect()
}
