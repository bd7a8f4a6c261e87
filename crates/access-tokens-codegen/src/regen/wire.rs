//! What a change means for those who speak the API, as `oasdiff` judges it: a program with a rule for each kind of change.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde::Deserialize;

use crate::Error;

/// How to get the version whose verdicts the tests pin.
pub(super) const INSTALL: &str = "go install github.com/oasdiff/oasdiff@v1.37.0";
/// Its exit code where `allOf` can't be merged.
const CANT_FLATTEN: i32 = 122;

/// What `oasdiff` says of two versions of a specification.
#[derive(Debug)]
pub(super) struct Verdict {
    /// `None` where Go isn't there to tell.
    pub(super) version: Option<String>,
    pub(super) findings: Vec<Finding>,
    /// What it finds only if `allOf` isn't merged, which may be described by another branch; or why it can't be merged.
    pub(super) apart: Result<Vec<Finding>, String>,
}

/// One of its findings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Finding {
    level: u8,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    path: String,
    text: String,
    id: String,
}

impl Finding {
    pub(super) fn breaks(&self) -> bool {
        self.level > 1
    }

    /// Its level, as the program calls it.
    pub(super) fn level(&self) -> &'static str {
        match self.level {
            3.. => "error",
            2 => "warning",
            _ => "info",
        }
    }

    /// What it says, and of which operation.
    pub(super) fn text(&self) -> String {
        let operation = [self.operation.as_str(), self.path.as_str()].join(" ");
        match operation.trim() {
            "" => self.text.clone(),
            operation => format!("{} ({operation})", self.text),
        }
    }
}

/// Asks `program` about the files `before` and `now`, in the folder `empty`, which has no settings for it. `None`: there is no such
/// program.
pub(super) fn verdict(program: &Path, before: &Path, now: &Path, empty: &Path) -> Result<Option<Verdict>, Error> {
    let failed = |reason: String| Error::document("oasdiff", reason);
    let ask = |flatten: &[&str]| -> Result<Option<Output>, Error> {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OASDIFF_")) {
            command.env_remove(name);
        }
        command
            .args(["changelog", "--format", "json", "--allow-external-refs=false"])
            .args(flatten)
            .args([before, now]);
        match command.current_dir(empty).stdin(Stdio::null()).output() {
            Ok(output) => Ok(Some(output)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed(e.to_string())),
        }
    };
    let said = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stderr).trim().replace(&format!("{}/", empty.display()), "");
        [before, now].iter().fold(text, |text, file| {
            text.replace(&file.display().to_string(), &file.file_name().unwrap_or_default().to_string_lossy())
        })
    };
    let findings = |output: &Output| -> Result<BTreeSet<Finding>, Error> {
        if !output.status.success() {
            let said = said(output);
            return Err(failed(if said.is_empty() { output.status.to_string() } else { said }));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| failed(format!("its answer can't be read: {e}")))
    };
    let (Some(merged), Some(unmerged)) = (ask(&["--flatten-allof"])?, ask(&[])?) else { return Ok(None) };
    let unmerged = findings(&unmerged)?;
    let (mut found, apart) = if merged.status.code() == Some(CANT_FLATTEN) {
        (unmerged.into_iter().collect::<Vec<_>>(), Err(said(&merged)))
    } else {
        let merged = findings(&merged)?;
        let apart = unmerged.difference(&merged).cloned().collect();
        (merged.into_iter().collect(), Ok(apart))
    };
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    Ok(Some(Verdict { version: version(program), findings: found, apart }))
}

/// As it was installed: built by `go install`, the program doesn't know it.
fn version(program: &Path) -> Option<String> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&folders).map(|folder| folder.join(program));
    let program: PathBuf = places.into_iter().find(|place| fs::metadata(place).is_ok_and(|file| file.is_file()))?;
    let output = Command::new("go").args(["version", "-m"]).arg(program).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("mod\t"))?;
    line.split('\t').nth(1).map(ToOwned::to_owned)
}
