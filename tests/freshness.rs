//! What is pinned is what the build script generates, and `regen` notices and repairs whatever differs.
#![cfg(test)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use access_tokens_codegen::{Regen, generate};
use serde_json::Value;
use sha2::{Digest, Sha256};

use support::work_tree::{cargo, output_of};

const PINNED: &str = "crates/access-tokens-raw/generated";

#[test]
fn this_build_uses_what_the_build_script_generated() {
    assert_eq!(access_tokens_raw::FROM, "specs");
}

#[test]
#[ignore = "compiles what cargo run needs"]
fn cargo_run_uses_what_the_build_script_generated() {
    let run = ["run", "--quiet", "--message-format", "json", "--", "--version"];
    let messages = output_of(cargo(Path::new(".")).args(run));
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

#[test]
fn pinned_files_equal_the_build_scripts_output_byte_for_byte() {
    let out = Path::new(env!("OUT_DIR"));
    let pinned = names(Path::new(PINNED));
    assert_eq!(names(out), pinned);
    for name in pinned {
        let (built, pinned) = (fs::read(out.join(&name)).unwrap(), fs::read(Path::new(PINNED).join(&name)).unwrap());
        assert!(built == pinned, "{PINNED}/{name} is out of date: run `cargo xtask regen`");
    }
}

#[test]
fn generating_twice_gives_the_same() {
    let generate = || generate("specs".as_ref()).unwrap().files;
    assert_eq!(generate(), generate());
}

/// With one there, cargo leaves the library out of the package with a mere warning.
#[test]
fn the_raw_crates_folder_has_no_manifest() {
    assert!(!Path::new("crates/access-tokens-raw/Cargo.toml").exists(), "delete crates/access-tokens-raw/Cargo.toml");
}

#[test]
fn specs_are_the_files_that_their_provenance_describes() {
    let table = fs::read_to_string("specs/README.md").unwrap();
    for spec in generate("specs".as_ref()).unwrap().specs {
        let file = spec.file();
        let row = table.lines().find(|line| line.contains(&format!("`{file}`"))).expect("a row in specs/README.md");
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let bytes = fs::read(Path::new("specs").join(&file)).unwrap();
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let info = &spec.upstream["info"];
        let [_, _, title, version, hash, received, ..] = cells[..] else { panic!("a row of six cells: {row}") };
        assert_eq!((title, version), (info["title"].as_str().unwrap(), info["version"].as_str().unwrap()), "{file}");
        assert_eq!(hash, sha256, "{file} isn't the file that was received");
        assert_eq!(received.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{file}: a date");
    }
}

#[test]
fn regen_finds_nothing_to_do_in_this_workspace() {
    let regen = Regen::new(Path::new(".")).unwrap();
    assert_eq!(regen.changes().iter().map(|change| &change.path).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn regen_names_what_is_out_of_date_shows_the_difference_and_repairs_it() {
    const ONENCE: &str = "specs/onence.openapi.yaml";
    const OVERLAY: &str = "specs/worldline.overlay.yaml";
    let pinned = |name| format!("{PINNED}/{name}");
    let provenance = || "specs/README.md".to_owned();
    let snapshot = |name| format!("tests/snapshots/surface__{name}.snap");
    let cases = [
        // (file, from, to, what is out of date)
        (
            ONENCE.to_owned(),
            "The generated Access Token",
            "A fine Access Token",
            vec![pinned("onence.rs"), provenance(), snapshot("onence_overlaid")],
        ),
        // A description that the overlay replaces is in no generated line; the pinned copy still names the spec's hash.
        (ONENCE.to_owned(), "Scope access level", "Scope", vec![pinned("onence.rs"), provenance()]),
        (
            OVERLAY.to_owned(),
            "Description of the error, as text.",
            "What went wrong.",
            vec![pinned("worldline.rs"), snapshot("worldline_overlaid")],
        ),
        (pinned("onence.rs"), "Authorization", "authorization", vec![pinned("onence.rs")]),
        (pinned("mod.rs"), "pub mod", "pub  mod", vec![pinned("mod.rs")]),
        (snapshot("worldline"), "pub struct Client", "struct Client", vec![snapshot("worldline")]),
        ("README.md".to_owned(), "`api-version-header`", "`api-version`", vec!["README.md".to_owned()]),
        ("specs/quirks.yaml".to_owned(), "spec: No redirects.", "spec: None.", vec!["README.md".to_owned()]),
    ];
    for (file, from, to, out_of_date) in cases {
        let workspace = copy();
        let root = workspace.path();
        let text = fs::read_to_string(root.join(&file)).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(root.join(&file), text.replacen(from, to, 1)).unwrap();

        let regen = Regen::new(root).unwrap();
        let paths: Vec<_> = regen.changes().iter().map(|change| change.path.clone()).collect();
        assert_eq!(
            paths,
            {
                let mut sorted = out_of_date;
                sorted.sort();
                sorted
            },
            "after a change of {file}"
        );
        for change in regen.changes() {
            assert!(change.diff().contains(&format!("--- a/{}\n+++ b/{}\n", change.path, change.path)));
        }
        regen.write().unwrap();
        assert_eq!(Regen::new(root).unwrap().changes(), [], "after a change of {file}");
    }
}

#[test]
fn regen_repairs_what_isnt_text_and_what_doesnt_belong() {
    let workspace = copy();
    let root = workspace.path();
    let onence = root.join(PINNED).join("onence.rs");
    let mut bytes = fs::read(&onence).unwrap();
    bytes[100] |= 0x80;
    fs::write(&onence, bytes).unwrap();
    fs::create_dir(root.join(PINNED).join("folder")).unwrap();
    fs::write(root.join(PINNED).join(".onence.rs.swp"), [0xff, 0]).unwrap();

    let regen = Regen::new(root).unwrap();
    let paths: Vec<_> = regen.changes().iter().map(|change| change.path.trim_start_matches(PINNED)).collect();
    assert_eq!(paths, ["/.onence.rs.swp", "/onence.rs", "/folder"]);
    regen.write().unwrap();
    assert_eq!(Regen::new(root).unwrap().changes(), []);
}

#[test]
fn regen_adds_a_new_spec_and_takes_away_an_old_one() {
    let workspace = copy();
    let root = workspace.path();
    for ending in ["openapi", "overlay"] {
        let from = root.join(format!("specs/onence.{ending}.yaml"));
        let text = fs::read_to_string(&from).unwrap().replace("onence.openapi", "other.openapi");
        fs::write(root.join(format!("specs/other.{ending}.yaml")), text).unwrap();
        fs::remove_file(from).unwrap();
    }
    let regen = Regen::new(root).unwrap();
    regen.write().unwrap();
    let mut pinned = names(Path::new(PINNED));
    pinned.iter_mut().filter(|name| *name == "onence.rs").for_each(|name| *name = "other.rs".to_owned());
    pinned.sort();
    assert_eq!(names(&root.join(PINNED)), pinned);
    let snapshots = names(&root.join("tests/snapshots"));
    assert!(snapshots.contains(&"surface__other_overlaid.snap".to_owned()));
    assert!(!snapshots.iter().any(|name| name.starts_with("surface__onence")), "{snapshots:?}");
}

/// The overlay says what it expects; where upstream changed, the build must stop and say which workaround is to go.
#[test]
fn an_overlay_action_that_no_longer_applies_names_its_quirk() {
    let spec = "onence.openapi.yaml";
    let cases = [
        ("matches_nothing", spec, "        '404':\n          description: Not Found\n", ""),
        ("old_value_gone", spec, "          default: 3600\n", ""),
        (
            "more_there_than_is_known",
            spec,
            "          default: 3600\n",
            "          default: 3600\n          minimum: 1\n",
        ),
        (
            "a_member_called_like_words",
            "worldline.openapi.yaml",
            "                  error_description:\n",
            "                  description:\n                    type: integer\n                  error_description:\n",
        ),
        (
            "replaced_unmentioned",
            "worldline.overlay.yaml",
            "  update:\n    additionalProperties:\n",
            "  update:\n    type: array\n    additionalProperties:\n",
        ),
        ("nothing_expected", "worldline.overlay.yaml", "  x-was: {additionalProperties: false}\n", "  x-was: {}\n"),
        ("wished_value_there", "worldline.openapi.yaml", "example: password123", "format: password"),
        (
            "changes_nothing",
            "worldline.overlay.yaml",
            "  x-was: {type: string, format: null}\n  update: {format: password}",
            "  x-was: {type: string}\n  update: {type: string}",
        ),
        ("no_quirk", "worldline.overlay.yaml", "  x-quirk: worldline-closed-200\n", ""),
        ("no_old_value", "worldline.overlay.yaml", "  x-was: {additionalProperties: false}\n", ""),
        ("wrong_path", "worldline.overlay.yaml", "$.components.schemas.TokenResponse.required", "$.components["),
        ("wrong_spec", "worldline.overlay.yaml", "extends: worldline", "extends: worldlime"),
    ];
    let messages: String = cases
        .map(|(name, file, from, to)| {
            let workspace = copy();
            let specs = workspace.path().join("specs");
            let text = fs::read_to_string(specs.join(file)).unwrap();
            assert!(text.contains(from), "{name}");
            fs::write(specs.join(file), text.replacen(from, to, 1)).unwrap();
            format!("{name}\n  {}\n", generate(&specs).unwrap_err())
        })
        .concat();
    insta::assert_snapshot!("overlay_errors", messages);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// The workspace's specs and all that is generated from them.
fn copy() -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for folder in ["specs", PINNED, "tests/snapshots"] {
        fs::create_dir_all(to.path().join(folder)).unwrap();
        for name in names(Path::new(folder)) {
            let file = PathBuf::from(folder).join(name);
            fs::copy(&file, to.path().join(&file)).unwrap();
        }
    }
    fs::copy("README.md", to.path().join("README.md")).unwrap();
    to
}
