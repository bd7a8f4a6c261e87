//! What is generated depends on the files in `specs/` alone: not on the folder, the locale, the time zone, the user, the number
//! of jobs, nor on chance.
#![cfg(test)]

mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use access_tokens_codegen::{generate, outline};
use serde_json::Value;

use support::work_tree::{cargo, copy_work_tree, output_of, skipped, target_of_copies};

/// Says to [`generates`] where the specifications are, as seen from its folder; it writes to `../out`.
const SPECS: &str = "REPRODUCIBLE_SPECS";

#[test]
fn two_processes_that_have_nothing_in_common_generate_the_same() {
    let surroundings = [
        // (folder, umask, how the folder is named, environment)
        ("a", "022", "specs", &[("LC_ALL", "C"), ("TZ", "UTC"), ("NUM_JOBS", "1")][..]),
        (
            "ä b/deep/down",
            "077",
            "",
            &[
                ("LANG", "tr_TR.UTF-8"),
                ("LC_ALL", "tr_TR.UTF-8"),
                ("TZ", "Pacific/Kiritimati"),
                ("HOME", "/nonexistent"),
                ("USER", "somebody"),
                ("LOGNAME", "somebody"),
                ("NUM_JOBS", "64"),
                ("CARGO_BUILD_JOBS", "64"),
                ("RAYON_NUM_THREADS", "64"),
                ("SOURCE_DATE_EPOCH", "1"),
                ("CARGO_TERM_COLOR", "always"),
                ("RUST_BACKTRACE", "full"),
            ],
        ),
        ("b", "000", "./other/../specs", &[("LANG", "de_DE"), ("TZ", "America/St_Johns"), ("COLUMNS", "20")]),
        // Chance alone, such as a map's order.
        ("a2", "022", "specs", &[("LC_ALL", "C"), ("TZ", "UTC"), ("NUM_JOBS", "1")]),
    ];
    let root = tempfile::tempdir().unwrap();
    let mut made = BTreeMap::new();
    for (index, (folder, umask, named, environment)) in surroundings.into_iter().enumerate() {
        let folder = root.path().join(folder);
        for name in ["specs", "other", "out"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let mut inputs = inputs();
        // A folder lists its entries in the order in which they came, on some file systems.
        if index % 2 == 1 {
            inputs.reverse();
        }
        for (name, contents) in inputs {
            fs::write(folder.join("specs").join(name), contents).unwrap();
        }
        let named = if named.is_empty() { folder.join("specs") } else { PathBuf::from(named) };
        let umask = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh");
        child.args(["-c", &umask]).arg(env::current_exe().unwrap()).args(["--exact", "generates"]);
        if index % 2 == 1 {
            child.args(["--test-threads=1", "--nocapture"]);
        }
        output_of(child.envs(environment.iter().copied()).env(SPECS, named).current_dir(&folder));
        made.insert(folder.clone(), files(&folder.join("out")));
    }
    let mut made = made.into_iter();
    let (first, expected) = made.next().unwrap();
    assert!(expected.len() >= 10 && expected.contains_key("sims.rs"), "{:?}", expected.keys());
    for (folder, files) in made {
        assert!(files.keys().eq(expected.keys()), "{:?}", files.keys());
        for (name, contents) in files {
            assert!(contents == expected[&name], "{name} differs between {} and {}", first.display(), folder.display());
        }
    }
    for (name, contents) in expected {
        let text = String::from_utf8(contents).unwrap();
        assert!(!text.contains(root.path().to_str().unwrap()), "{name} names a folder of this machine");
    }
}

/// What the test above starts in another process; by itself it has nothing to do.
#[test]
fn generates() {
    let Some(specs) = env::var_os(SPECS) else { return };
    let generated = generate(Path::new(&specs)).unwrap();
    for spec in &generated.specs {
        let module = &spec.module;
        fs::write(format!("out/{module}.yaml"), spec.overlaid_yaml().unwrap()).unwrap();
        fs::write(format!("out/{module}.txt"), outline(&generated.files[&format!("{module}.rs")]).unwrap()).unwrap();
    }
    for (name, code) in generated.files {
        fs::write(Path::new("out").join(name), code).unwrap();
    }
}

/// The real build script, in another folder and with other surroundings than the one that this test is built with.
#[test]
#[ignore = "compiles in another place"]
fn the_build_script_generates_the_same_in_another_folder() {
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproducible").join("ä b");
    if let Err(why) = copy_work_tree(&workspace) {
        return skipped(&why);
    }
    let check = ["check", "--package", "access-tokens-raw", "--jobs", "1", "--message-format", "json"];
    let environment = [("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Pacific/Kiritimati"), ("USER", "somebody")];
    // Else what was built in another copy could pass for this one's.
    let script = workspace.join("build.rs");
    fs::write(&script, fs::read(&script).unwrap()).unwrap();
    let mut cargo = cargo(&workspace);
    cargo.env("CARGO_TARGET_DIR", target_of_copies());
    let messages = output_of(cargo.args(check).envs(environment));
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut outs = messages.filter(|message| {
        message["reason"] == "build-script-executed"
            && message["env"].as_array().unwrap().iter().any(|variable| variable[0] == "ACCESS_TOKENS_RAW_FROM")
    });
    let there = PathBuf::from(outs.next().unwrap()["out_dir"].as_str().unwrap());
    let here = Path::new(env!("OUT_DIR"));
    assert_ne!(there, here);
    assert!(files(&there) == files(here), "what {} and {} hold differs", there.display(), here.display());
}

/// All specifications, those of the third API among them, and files that are none.
fn inputs() -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<_> = files(Path::new("specs")).into_iter().collect();
    let third = files(Path::new("tests/fixtures/third"));
    inputs
        .extend(third.iter().filter(|(name, _)| name.contains(".o")).map(|(name, text)| (name.clone(), text.clone())));
    for (name, contents) in &mut inputs {
        if name == "quirks.yaml" {
            contents.extend(&third["sims.quirks.yaml"]);
        }
    }
    inputs.push((".swap".to_owned(), vec![0xff]));
    inputs
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
}
