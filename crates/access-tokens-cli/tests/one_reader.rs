//! Settings are read in one place: nothing else in the facade, the configuration and the command line reads a file or a variable.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

const READS: [&str; 8] =
    ["fs::read(", "fs::read;", "read_to_string", "File::open", "OpenOptions", "env::var", "env::vars", "var_os("];

/// Each crate with the files in which it may, and why.
const CRATES: [(&str, &[&str]); 3] = [
    (
        "access-tokens",
        &[
            "secret_file.rs",     // all files
            "transport/proxy.rs", // HTTPS_PROXY and the like
        ],
    ),
    (
        "access-tokens-cli",
        &[
            "main.rs",    // RUST_LOG
            "sandbox.rs", // whether the process was started to ignore a hangup
        ],
    ),
    (
        "access-tokens-config",
        &[
            "environment.rs", // all variables
        ],
    ),
];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src")
}

/// The Rust files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file, without comments and without its tests, which come last.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().take_while(|line| !(line.starts_with("#[cfg(") && line.contains("test")));
    lines.filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn files_and_variables_are_read_in_one_place() {
    for (name, allowed) in CRATES {
        let folder = source(name);
        let mut reading = Vec::new();
        for path in files(&folder) {
            let code = code(&path);
            let is_reading = READS.iter().any(|read| code.contains(read));
            let path = path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
            if is_reading {
                reading.push(path);
            }
        }
        reading.sort_unstable();
        assert_eq!(reading, allowed, "{name}: read it through SecretFile, or through the configuration");
    }
}

/// `get`, `doctor` and `config` take a source by its name. `demo` and `sandbox` have no settings to read.
#[test]
fn no_command_builds_a_client_of_a_source() {
    for file in ["get.rs", "doctor.rs", "config.rs", "arguments.rs", "output.rs"] {
        let code = code(&source("access-tokens-cli").join(file));
        for builder in
            ["ClientBuilder", "Client::builder", "Client::new", "Credentials", "ClientSecret", "ClientAssertion"]
        {
            assert!(!code.contains(builder), "{file} names {builder}");
        }
    }
}
