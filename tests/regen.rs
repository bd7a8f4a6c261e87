//! `cargo xtask regen` as a maintainer runs it: what its report says of each kind of change, what it refuses, and that
//! neither a refusal nor a kill leaves anything half done.
//!
//! Most tests start a program in place of the compiler: [`Workspace::xtask`] one that finds no errors. The compiler itself has
//! [`Workspace::compiling`].
#![cfg(test)]
#![cfg(unix)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use access_tokens_codegen::{Outcome, Xtask};
use serde_json::json;

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

/// The errors of the compiler are those of the snapshot; [`the_compiler_says_what_each_report_has_of_it`] asks the compiler.
#[test]
fn each_change_has_its_report_and_what_is_refused_changes_nothing() {
    let workspace = Workspace::new("changes");
    for case in CASES {
        let (name, module, ..) = case;
        let new = edited(case);
        let from = workspace.incoming(&new);
        let compiler = workspace.program("cargo", &as_the_compiler_said(name));
        let run = |arguments: &[&str]| workspace.run_with(workspace.xtask().cargo(&compiler), arguments);

        let tried = run(&["regen", module, "--from", &from, "--dry-run"]);
        assert_eq!(workspace.changed(), [""; 0], "{name}: --dry-run writes nothing");
        insta::assert_snapshot!(*name, report(&tried));

        let done = run(&["regen", module, "--from", &from]);
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

/// A program that repeats the compiler's errors of a case's snapshot.
fn as_the_compiler_said(name: &str) -> String {
    let snapshot = fs::read_to_string(format!("tests/snapshots/regen__{name}.snap")).unwrap_or_default();
    let places = snapshot.lines().filter_map(|line| line.trim_start().strip_suffix(": ERROR"));
    let message = |place: &str| {
        let span = json!({"is_primary": true, "file_name": place, "line_start": 1});
        let message = json!({"level": "error", "code": {"code": "E0"}, "message": "as it said", "spans": [span]});
        format!("echo '{}'\n", json!({"reason": "compiler-message", "message": message}))
    };
    places.map(message).collect()
}

/// Of a change that breaks nothing, and of one that breaks the facade.
#[test]
fn the_compiler_says_what_two_reports_have_of_it() {
    compile_each(Workspace::new("two-compiled"), &["response_member_added", "response_member_retyped"]);
}

#[test]
#[ignore = "compiles thirty times"]
fn the_compiler_says_what_each_report_has_of_it() {
    let names: Vec<_> = CASES.iter().map(|(name, ..)| *name).collect();
    compile_each(Workspace::new("compiled"), &names);
}

fn compile_each(workspace: Workspace, names: &[&str]) {
    for case in CASES.iter().filter(|(name, ..)| names.contains(name)) {
        let from = workspace.incoming(&edited(case));
        let tried = workspace.run_with(workspace.compiling(), &["regen", case.1, "--from", &from, "--dry-run"]);
        insta::assert_snapshot!(case.0, report(&tried));
    }
}

/// What `oasdiff` says of changes that it has rules for, and of some that it has none for.
#[test]
fn what_a_change_means_on_the_wire_is_said_by_oasdiff() {
    let version = Command::new("oasdiff").arg("--version").output();
    let found = version.is_ok_and(|output| output.status.success());
    if !support::is_there("oasdiff", "oasdiff 1.37.0", found, "what a change means on the wire") {
        return;
    }
    let workspace = Workspace::new("wire");
    let mut said = String::new();
    let cases = [
        "description",
        "response_member_removed",
        "required_and_not_declared",
        "enum_value_added",
        "server_changed",
        "fixed_closed_answer",
        "openapi_3_1",
    ];
    for name in cases {
        let case = CASES.iter().find(|(other, ..)| *other == name).unwrap();
        let from = workspace.incoming(&edited(case));
        let outcome = workspace.xtask().oasdiff("oasdiff").run(&["regen", case.1, "--from", &from, "--dry-run"]);
        said += &format!("{name}\n{}", wire(&outcome));
    }
    insta::assert_snapshot!("oasdiff", said);
}

/// The parts of a report that speak of the wire and of the version.
fn wire(outcome: &Outcome) -> String {
    let parts =
        outcome.said.split("\n\n").filter(|part| part.contains("on the wire") || part.contains("Suggested version"));
    parts.map(|part| part.lines().map(|line| format!("  {line}\n")).collect::<String>()).collect()
}

/// It is asked twice, with nothing that could lead it elsewhere, and no answer of it is taken for another.
#[test]
fn each_answer_of_oasdiff_is_told_for_what_it_is() {
    const BROKEN: &str = r#"[{"id": "a", "level": 2, "text": "a `x` was removed", "operation": "GET", "path": "/a"}]"#;
    const OTHER: &str = r#"[{"id": "b", "level": 1, "text": "b \u001b[31mcame"}]"#;
    let workspace = Workspace::new("asked");
    let from = workspace.incoming(&edited(&CASES[1]));
    let run = |script: &str| {
        let program = workspace.program("oasdiff", script);
        wire(&workspace.xtask().oasdiff(&program).run(&["regen", "onence", "--from", &from, "--dry-run"]))
    };
    // (merged, not merged, what the report says)
    let cases = [
        (
            BROKEN,
            BROKEN,
            "by oasdiff of unknown version: 1 warning\n    warning: a `x` was removed (GET /a)\n    for the rest of what changed it has \
             no rule that finds anything\n  Suggested version (now 0.1.0): at least 0.2.0, since oasdiff calls it breaking\n",
        ),
        (
            OTHER,
            BROKEN,
            "by oasdiff of unknown version: 1 info\n    info: b \\u{1b}[31mcame\n    for the rest of what changed it has no rule that \
             finds anything\n    if `allOf` isn't merged, also the following, which doesn't count:\n    warning: a `x` was removed \
             (GET /a)\n  Suggested version (now 0.1.0): at least 0.1.1, since the provider changed more than descriptions\n",
        ),
        (
            "exit 122",
            BROKEN,
            "finds anything\n    `allOf` isn't merged, since that failed: it says why\n  Suggested version (now 0.1.0): at least 0.2.0",
        ),
        ("[]", "[]", "has no rule that finds anything in what changed; that doesn't say that nothing breaks\n"),
        (
            "exit 101",
            "exit 101",
            "oasdiff couldn't compare the two files\n    oasdiff: it says why\n  Suggested version (now 0.1.0): none, since nobody \
             says what it means on the wire\n",
        ),
        ("no JSON", "[]", "oasdiff couldn't compare the two files\n    oasdiff: its answer can't be read"),
    ];
    for (merged, apart, said) in cases {
        let answer = |answer: &str| match answer.strip_prefix("exit ") {
            Some(code) => format!("echo it says why >&2; exit {code}"),
            None => format!("echo '{answer}'"),
        };
        let told = run(&format!("case \"$*\" in *--flatten-allof*) {};; *) {};; esac", answer(merged), answer(apart)));
        assert!(told.contains(said), "{said}\n\n{told}");
    }
    let file = workspace.root.join("target/asked");
    let script = format!("echo \"$*\" >> {0}; ls -A >> {0}; env | grep -c ^OASDIFF_ >> {0}; echo []", file.display());
    let program = workspace.program("oasdiff", &script);
    let mut child = workspace.command(&["regen", "onence", "--from", &from, "--dry-run"]);
    child.env("REGEN_OASDIFF", &program).env("OASDIFF_CONFIG", "elsewhere");
    assert!(child.status().unwrap().success());
    let asked = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    let folder = fs::canonicalize(workspace.root.join("target/regen")).unwrap();
    let files = ["committed", "workspace"].map(|tree| format!("{}/{tree}/specs/onence.openapi.yaml", folder.display()));
    let files = files.join(" ");
    let flags = "changelog --format json --allow-external-refs=false";
    assert_eq!(asked, format!("{flags} --flatten-allof {files}\n0\n{flags} {files}\n0\n"));
}

/// Needless is what makes no difference, and what together makes none either.
#[test]
fn a_quirk_is_no_longer_needed_if_without_its_actions_the_client_is_the_same() {
    let Some(workspace) = Workspace::committed("needless") else { return };
    let quirk = |id: &str| {
        format!(
            "- {{id: {id}, provider: worldline, spec: a, truth: b, handled: [overlay], tests: [\"tests/wire.rs::onence_basic\"]}}\n"
        )
    };
    let action = |id: &str, was: &str, update: &str| {
        let target = "$.components.schemas.TokenResponse.properties.token_type";
        format!("- {{target: {target}, x-quirk: {id}, x-was: {was}, update: {update}}}\n")
    };
    let words = action("made-up-words", "{type: string}", "{description: Words.}");
    let pair = [
        action("made-up-first", "{type: string, format: null}", "{format: password}"),
        action("made-up-second", "{type: string, format: password}", "{format: password, description: More words.}"),
    ];
    let cases = [
        (
            &words,
            vec!["made-up-words"],
            "Quirks: 1 to look at, 8 others whose overlay actions the client needs\n  made-up-words\n    no longer needed: without \
             actions[15] (specs/worldline.overlay.yaml:",
        ),
        (
            &pair.concat(),
            vec!["made-up-first", "made-up-second"],
            "Quirks: 2 to look at, 8 others whose overlay actions the client needs\n  made-up-first\n    needed beside others like it: ",
        ),
    ];
    let (overlay, ledger) = ("specs/worldline.overlay.yaml", "specs/quirks.yaml");
    for (actions, quirks, said) in cases {
        for (file, more) in [(overlay, actions.clone()), (ledger, quirks.iter().map(|id| quirk(id)).collect())] {
            let text = String::from_utf8(workspace.copied[file].clone()).unwrap();
            fs::write(workspace.root.join(file), format!("{}\n{more}", text.trim_end())).unwrap();
        }
        let outcome = workspace.run(&["regen", "--dry-run"]);
        assert_eq!(outcome.exit_code, 0, "{}", outcome.complained);
        assert!(outcome.said.contains(said), "{said}\n\n{}", outcome.said);
        let left = "delete actions[15] in specs/worldline.overlay.yaml, which nothing needs any more";
        assert_eq!(outcome.said.contains(left), said.contains("no longer"), "{}", outcome.said);
        assert!(!outcome.said.contains("fixed"), "{}", outcome.said);
    }
}

/// Each specification's actions are held to its own file, whatever is wrong with another.
#[test]
fn two_specifications_that_are_off_are_told_each_for_itself() {
    let workspace = Workspace::new("two");
    for (module, from, to) in
        [("onence", "          type: integer", "          type: number"), ("worldline", "TokenResponse", "TokenAnswer")]
    {
        let path = format!("specs/{module}.openapi.yaml");
        let text = String::from_utf8(workspace.copied[&path].clone()).unwrap();
        fs::write(workspace.root.join(path), text.replace(from, to)).unwrap();
    }
    let outcome = workspace.run(&["regen", "--dry-run"]);
    assert_eq!(outcome.exit_code, 1);
    for file in ["onence", "worldline"] {
        let place = format!(" (specs/{file}.overlay.yaml:");
        assert!(
            outcome.said.lines().any(|line| line.contains(&place) && line.contains("doesn't fit")),
            "{}",
            outcome.said
        );
    }
    assert!(!outcome.said.contains("no longer needed"), "{}", outcome.said);
}

/// A report is pasted into pull requests, and printed on terminals.
#[test]
fn what_a_specification_says_has_no_meaning_in_a_report() {
    let workspace = Workspace::new("hostile");
    let image = "![p](http://specs.example/p.png)";
    let text = edited(&(
        "hostile",
        "worldline",
        "version: 2.1.1",
        "version: '<img src=//specs.example> ![p](http://specs.example/p.png) @all `` ` '",
    ));
    let name = "\"a\\r\\n\\n# FAKE\\n<script>alert(1)</script>\\e[31m``![p](http://specs.example/p.png)\"";
    let text = text.replacen(
        "      properties:\n        access_token:\n",
        &format!("      properties:\n        {name}:\n          type: string\n        access_token:\n"),
        1,
    );
    let text = text.replacen("paths:\n", "paths:\n  '/![p](http://specs.example/p.png)':\n    get:\n      operationId: a\n      responses:\n        '200':\n          description: a\n", 1);
    let from = workspace.incoming(&text);
    let run = |format: &str| workspace.run(&["regen", "worldline", "--from", &from, "--dry-run", "--format", format]);
    let told = run("text");
    for text in [&told.said, &told.complained] {
        assert!(!text.contains(['\u{1b}', '\r']) && !text.lines().any(|line| line.starts_with("# FAKE")), "{text}");
    }
    let markdown = run("markdown").said;
    assert!(markdown.contains("<script>") && markdown.contains(image), "{markdown}");
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        // What stands between fences of one length is code.
        let mut rest = line;
        while let Some(at) = rest.find('`').filter(|_| !fenced) {
            let (before, code) = rest.split_at(at);
            let fence = "`".repeat(code.chars().take_while(|c| *c == '`').count());
            assert!(!before.contains(['<', '[', '@']), "{line}");
            let code = code.strip_prefix(&*fence).unwrap();
            rest = code.split_once(&fence).unwrap_or_else(|| panic!("{line}")).1;
        }
        assert!(fenced || !rest.contains(['<', '[', '@']) && !line.starts_with("# FAKE"), "{line}");
    }
}

/// A name that is gone may still be written in code, tests and docs.
#[test]
fn who_mentions_what_went_or_moved_is_in_the_report() {
    let workspace = Workspace::new("mentions");
    let case = CASES.iter().find(|(name, ..)| *name == "fixed_user_id").unwrap();
    let from = workspace.incoming(&edited(case));
    let outcome = workspace.run(&["regen", "onence", "--from", &from, "--dry-run"]);
    let heading = "\nFiles that mention a name of what went or moved, whatever they mean by it\n  userId\n";
    let (_, mentions) = outcome.said.split_once(heading).unwrap();
    let files: Vec<_> = mentions.lines().map_while(|line| line.strip_prefix("    ")).collect();
    for file in [
        "crates/access-tokens/src/onence.rs",
        "crates/access-tokens-sandbox/src/onence.rs",
        "specs/onence.overlay.yaml",
    ] {
        assert!(files.contains(&file), "{files:?}");
    }
    let generated = files.iter().find(|file| file.contains("generated") || file.contains("openapi.yaml"));
    assert_eq!(generated, None);
    let quirk = "\n    mentioned in crates/access-tokens/src/onence.rs:";
    assert!(outcome.said.contains(quirk), "{}", outcome.said);
    let other = "tests/quirks.rs::either_spelling_gives_the_user_and_the_scopes (also mentions onence-scope-spelling)";
    assert!(outcome.said.contains(other), "{}", outcome.said);
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
    let from = workspace.incoming(&edited(CASES.iter().find(|(name, ..)| *name == "operation_added").unwrap()));
    let compiler = SlowCompiler::new(&workspace);
    let child = compiler.runs(&["regen", "worldline", "--from", &from, "--allow-dirty"]);
    let mut child = Killed(child);
    wait_until(&mut child.0, || compiler.is_running());
    let readme = workspace.root.join("specs/README.md");
    let edit = fs::read_to_string(&readme).unwrap() + "\nA paragraph.\n";
    fs::write(&readme, &edit).unwrap();
    compiler.end();
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
#[test]
fn odd_things_in_the_work_tree_are_let_be() {
    let workspace = Workspace::new("odd");
    let odd = workspace.root.join("crates/access-tokens/odd");
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
    assert!(outcome.said.contains("\nWhat changed: 1 place\n"), "{}", outcome.said);
    fs::remove_dir_all(outer).unwrap();
}

#[test]
fn a_specification_that_goes_is_in_the_report() {
    let workspace = Workspace::new("gone");
    for file in ["specs/worldline.openapi.yaml", "specs/worldline.overlay.yaml"] {
        fs::remove_file(workspace.root.join(file)).unwrap();
    }
    let outcome = workspace.run_with(workspace.compiling(), &["regen"]);
    // Without git nothing says that it was there.
    if workspace.root.join(".git").exists() {
        assert!(outcome.said.starts_with("specs/worldline.openapi.yaml: removed, was 2.1.1\n"), "{}", outcome.said);
        assert!(
            outcome.said.contains("look at what the facade has of `worldline`, and at its quirks"),
            "{}",
            outcome.said
        );
        assert!(outcome.said.contains("\nThe facade no longer compiles\n"), "{}", outcome.said);
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
    let compiler = SlowCompiler::new(&workspace);
    let mut child = compiler.runs(&["regen", "worldline", "--from", &from]);
    wait_until(&mut child, || compiler.is_running());
    child.kill().unwrap();
    child.wait().unwrap();
    compiler.end();
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
    let oasdiff = std::env::var_os("REGEN_OASDIFF").unwrap_or_else(|| "none".into());
    let cargo = std::env::var_os("REGEN_CARGO").unwrap_or_else(|| FINDS_NO_ERRORS.into());
    let outcome = xtask(Path::new(&root)).cargo(cargo).oasdiff(oasdiff).run(&arguments);
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
        (&["regen", "--from", &other], 1, "which specification is it? Say so: cargo xtask regen SPEC …"),
        (&["regen", "std", "--from", &other], 1, "`std` has another meaning in the raw crate"),
        (&["regen", "../x", "--from", &other], 1, "can't be a Rust module"),
        (&["regen", "onence", "--from", &gone], 1, "refused: gone.yaml: No such file"),
        (&["regen", "onence", "--from", "/nowhere/else.yaml"], 1, "refused: /nowhere/else.yaml: No such file"),
        (&["regen", "--from", "-"], 1, "which specification is it? Say so: cargo xtask regen SPEC …"),
        (&["regen", "--origin", "the portal"], 1, "which specification is it? Say so: cargo xtask regen SPEC …"),
        (&["regen", "--check", "--origin", "the portal"], 2, "cannot be used with"),
        (&["regen", "onence", "--from", "https://specs.example/a.yaml"], 1, "No such file"),
        (&["regen", "onence", "--from", "/dev/zero"], 1, "is longer than 16 MiB"),
        (&["regen", "gen", "--from", &other], 1, "can't be a Rust module"),
        (&["regen", "onence_overlaid", "--from", &other], 1, "ends in _overlaid"),
        (&["regen", "onence", "--from", ""], 1, "No such file"),
    ];
    for (arguments, exit_code, message) in cases {
        let outcome = workspace.run(arguments);
        assert_eq!(outcome.exit_code, *exit_code, "{arguments:?}: {}", outcome.complained);
        assert!(outcome.complained.contains(message), "{arguments:?}: {}", outcome.complained);
    }
    assert!(workspace.run(&[]).complained.contains("Usage: cargo xtask"));
    let help = workspace.run(&["regen", "--help"]);
    assert_eq!(help.exit_code, 0);
    assert!(help.said.contains("cargo xtask regen onence --from"), "{}", help.said);
}

/// As curl pipes it.
#[test]
fn a_specification_comes_from_standard_input_byte_for_byte_with_its_origin() {
    let Some(workspace) = Workspace::committed("piped") else { return };
    // With the line breaks of another system, which must stay.
    let new = edited(&CASES[1]).replace('\n', "\r\n");
    let origin = "https://specs.example/onence.yaml | as of today";
    let mut child = workspace.command(&["regen", "onence", "--from", "-", "--origin", origin]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(new.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let files = workspace.files();
    assert!(files["specs/onence.openapi.yaml"] == new.as_bytes());
    let row = |files: &Files| {
        let table = String::from_utf8(files["specs/README.md"].clone()).unwrap();
        table.lines().find(|line| line.starts_with("| `onence.openapi.yaml`")).unwrap().to_owned()
    };
    assert!(row(&files).starts_with("| `onence.openapi.yaml` | Authorization | v2.1.2 | `"), "{}", row(&files));
    let ends = "` | 2026-01-02 | https://specs.example/onence.yaml / as of today |";
    assert!(row(&files).ends_with(ends), "{}", row(&files));

    // Said later, of the file that is there: it came on the day on which it came.
    let later = xtask(&workspace.root).today("2026-03-04").run(&["regen", "onence", "--origin", "the portal"]);
    assert_eq!(later.exit_code, 0, "{}", later.complained);
    assert!(row(&workspace.files()).ends_with("` | 2026-01-02 | the portal |"), "{}", row(&workspace.files()));
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

    /// A shell script as a program. Another process writes it: one that a test starts meanwhile could hold it open for writing,
    /// and what is open for writing can't be started.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let program = self.root.join("target").join(name);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        let mut writer = Command::new("sh");
        writer.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(&program).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        program
    }

    fn xtask(&self) -> Xtask {
        xtask(&self.root)
    }

    fn compiling(&self) -> Xtask {
        self.xtask().cargo(env!("CARGO")).target(target_of_copies())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(self.xtask(), arguments)
    }

    /// Without git there is nothing to go back to, and it must be asked for.
    fn run_with(&self, xtask: Xtask, arguments: &[&str]) -> Outcome {
        let allow = "--allow-dirty";
        let needed = !self.root.join(".git").exists() && !["--check", allow].iter().any(|one| arguments.contains(one));
        let allow: &[_] = if needed { &[allow] } else { &[] };
        xtask.run(&[arguments, allow].concat())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["child", "--exact", "--ignored"]).stdout(Stdio::null()).stderr(Stdio::null());
        child.env("REGEN_ROOT", &self.root).env("REGEN_ARGUMENTS", arguments.join("\n"));
        child
    }
}

/// In place of the compiler.
const FINDS_NO_ERRORS: &str = "true";

fn xtask(root: &Path) -> Xtask {
    let target = root.join("target/compiled");
    Xtask::new(root).target(target).today("2026-01-02").cargo(FINDS_NO_ERRORS).oasdiff("none")
}

/// A compiler that runs for as long as a test wants.
struct SlowCompiler<'a> {
    workspace: &'a Workspace,
    program: PathBuf,
    running: PathBuf,
}

impl<'a> SlowCompiler<'a> {
    fn new(workspace: &'a Workspace) -> Self {
        let running = workspace.root.join("target/running");
        let _ = fs::remove_file(&running);
        let script = format!("echo > '{0}'; while [ -e '{0}' ]; do sleep 0.02; done", running.display());
        Self { program: workspace.program("slow", &script), workspace, running }
    }

    fn runs(&self, arguments: &[&str]) -> Child {
        self.workspace.command(arguments).env("REGEN_CARGO", &self.program).spawn().unwrap()
    }

    fn is_running(&self) -> bool {
        self.running.exists()
    }

    fn end(&self) {
        fs::remove_file(&self.running).unwrap();
    }
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

/// What stdout and stderr said, without what moves with every edit of our own files: where they mention a name or a quirk, and the
/// compiler's words.
fn report(outcome: &Outcome) -> String {
    let mut text = outcome.said.clone();
    // Where there is no git, the report says so first.
    if let Some((_, rest)) = text.split_once("were compared\n").and_then(|(_, rest)| rest.split_once("\n\n")) {
        text = rest.to_owned();
    }
    if !outcome.complained.is_empty() {
        text = format!("{text}\n(exit code {})\n{}", outcome.exit_code, outcome.complained);
    }
    let (mut lines, mut mentions) = (Vec::new(), false);
    for line in text.lines() {
        mentions = line.contains("mention a name of what went or moved") || mentions && !line.is_empty();
        let place = line.trim_start_matches(['-', ' ']);
        if mentions && line.starts_with("    ") {
            continue;
        } else if place.starts_with("mentioned in ") {
            lines.push(line.replace(place, "mentioned in PLACES"));
        } else if let Some((place, _)) = line.split_once(": [E").filter(|_| place.starts_with("crates/")) {
            lines.push(format!("{}: ERROR", place.rsplit_once(':').unwrap().0));
        } else if let Some((before, after)) =
            line.split_once(".overlay.yaml:").filter(|_| place.starts_with("actions["))
        {
            lines.push(format!("{before}.overlay.yaml:LINE{}", after.trim_start_matches(|c: char| c.is_ascii_digit())));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}
