//! What compiles elsewhere: a service that takes the facade from a git repository, without the generator in its dependency
//! tree or lock file, and a workspace with a third specification.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use access_tokens_codegen::Regen;
use access_tokens_sandbox::Sandbox;
use serde_json::Value;

const GENERATOR: [&str; 7] =
    ["access-tokens-codegen", "progenitor-impl", "progenitor", "typify", "openapiv3", "serde_yaml", "prettyplease"];

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_the_facade_by_git_has_no_generator() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumer");
    let repository = folder.join("repository");
    if let Err(why) = copy_work_tree(&repository).and_then(|()| commit(&repository)) {
        return skipped(&why);
    }
    let service = folder.join("service");
    fs::create_dir_all(service.join("src")).unwrap();
    fs::write(service.join("src/main.rs"), readmes_service()).unwrap();
    let manifest = format!(
        "[package]\nname = \"service\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         access-tokens = {{ git = \"file://{}\" }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n\
         # As this workspace has it, so that what is compiled already serves again.\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n",
        repository.display()
    );
    fs::write(service.join("Cargo.toml"), manifest).unwrap();
    // The versions that this workspace has, which are on this machine, so that no network is needed.
    fs::copy("Cargo.lock", service.join("Cargo.lock")).unwrap();

    let sandbox = Sandbox::start().await.unwrap();
    let environment = [
        ("ONENCE_BASE_URL", sandbox.onence_base_url()),
        ("ONENCE_USERNAME", sandbox.onence().username.clone()),
        ("ONENCE_PASSWORD", sandbox.onence().password.clone()),
    ];
    let said = cargo(&service, &["run", "--quiet"], environment);
    assert!(said.starts_with("all until Some("), "{said}");

    let lock = fs::read_to_string(service.join("Cargo.lock")).unwrap();
    let tree = cargo(&service, &["tree", "--prefix", "none", "--edges", "all"], []);
    for name in GENERATOR {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} is in the service's lock file");
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is in the service's tree");
    }
    let ours: Vec<_> = lock.lines().filter(|line| line.starts_with("name = \"access-tokens")).collect();
    assert_eq!(ours, ["name = \"access-tokens\"", "name = \"access-tokens-raw\""]);
}

/// A specification put into `specs/` becomes a module that compiles, without a warning and without a line of Rust.
#[test]
fn a_third_specification_compiles() {
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("third");
    if let Err(why) = copy_work_tree(&workspace) {
        return skipped(&why);
    }
    let third = workspace.join("specs/harmless.openapi.yaml");
    fs::copy(workspace.join("crates/access-tokens-codegen/tests/harmless.yaml"), third).unwrap();
    Regen::new(&workspace).unwrap().write().unwrap();
    assert!(workspace.join("crates/access-tokens-raw/generated/harmless.rs").exists());

    let check = ["check", "--package", "access-tokens-raw", "--no-default-features", "--color", "never"];
    let output = cargo_output(&workspace, &check, []);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
}

/// And so does `cargo test`, as `freshness.rs` sees from within.
#[test]
fn cargo_run_uses_what_the_build_script_generated() {
    let messages = cargo(Path::new("."), &["run", "--quiet", "--message-format", "json", "--", "--version"], []);
    let from: Vec<_> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "build-script-executed")
        .filter_map(|message| {
            let variables = message["env"].as_array()?.clone();
            variables.into_iter().find(|variable| variable[0] == "ACCESS_TOKENS_RAW_FROM")
        })
        .map(|variable| variable[1].clone())
        .collect();
    assert_eq!(from, ["specs"]);
}

/// The files as they are now; what is there already and the same keeps its time, so that cargo finds it built.
fn copy_work_tree(to: &Path) -> Result<(), String> {
    let listed = git(Path::new("."), &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    // A file that was deleted and not yet committed is still listed.
    let files: BTreeSet<_> = listed.split_terminator('\0').filter(|file| Path::new(file).is_file()).collect();
    for old in files_in(to, to) {
        if !files.contains(old.as_str()) && !old.starts_with("target/") {
            fs::remove_file(to.join(old)).unwrap();
        }
    }
    for file in files {
        let (from, to) = (fs::read(file).unwrap(), to.join(file));
        if fs::read(&to).ok().as_ref() != Some(&from) {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, from).unwrap();
        }
    }
    Ok(())
}

fn files_in(root: &Path, folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() { files_in(root, &path) } else { vec![name] }
        })
        .collect()
}

/// One commit with all that is there. The same files give the same commit.
fn commit(repository: &Path) -> Result<(), String> {
    // There is none the first time.
    let _ = fs::remove_dir_all(repository.join(".git"));
    git(repository, &["init", "--quiet"])?;
    git(repository, &["add", "--all"])?;
    git(repository, &["commit", "--quiet", "--no-verify", "--message=work tree"])?;
    Ok(())
}

/// Without what a hook or a person's settings would have it do elsewhere.
fn git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        git.env_remove(name);
    }
    // Who owns this checkout is settled there, so the tree itself is listed with a person's settings.
    if folder != Path::new(".") {
        git.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
    }
    git.envs([("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"), ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")]);
    git.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(arguments).current_dir(folder);
    let output = git.output().map_err(|e| format!("git: {e}"))?;
    let [said, complained] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok(said) } else { Err(format!("git {}: {complained}", arguments[0])) }
}

/// Without git there is nothing to build from; where it counts it must be there.
fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("skipped: nothing was built elsewhere, since {why}");
}

/// The ten lines that the README shows.
fn readmes_service() -> String {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, block) = readme.split_once("```rust,no_run\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn cargo<const N: usize>(folder: &Path, arguments: &[&str], environment: [(&str, String); N]) -> String {
    let output = cargo_output(folder, arguments, environment);
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn cargo_output<const N: usize>(folder: &Path, arguments: &[&str], environment: [(&str, String); N]) -> Output {
    Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(folder)
        .envs(environment)
        // What this workspace compiled already serves again.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
        .output()
        .unwrap()
}
