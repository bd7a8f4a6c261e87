//! What `cargo xtask regen` does: works out every generated file, and compares or writes.

#[cfg(feature = "regen")]
pub(crate) mod changes;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use similar::TextDiff;

use crate::{Error, generate, ledger, outline};

const PINNED: &str = "crates/access-tokens-raw/generated";
const SNAPSHOTS: &str = "tests/snapshots";
/// The snapshots that are generated are those of this test, and no others.
const SNAPSHOT_TEST: &str = "surface";
const README: &str = "README.md";
const TABLE_BEGIN: &str = "<!-- quirks: made by `cargo xtask regen` from specs/quirks.yaml -->\n";
const TABLE_END: &str = "<!-- /quirks -->";

/// Every generated file of a workspace, as it should be and as it is.
#[derive(Debug)]
pub struct Regen {
    root: PathBuf,
    changes: Vec<Change>,
}

/// What a run of the command says, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// For stdout.
    pub said: String,
    /// For stderr.
    pub complained: String,
    /// 0 done or up to date, 1 out of date or refused, 2 wrong usage.
    pub exit_code: u8,
}

const USAGE: &str = "\
Usage: cargo xtask regen [--check]

Puts in place what is generated from specs/: the pinned raw clients, the surface snapshots and the README's quirk table.

  --check   write nothing; print a diff and exit 1 if anything is out of date
";

/// `cargo xtask`, in the workspace `root`, with these arguments.
pub fn xtask(root: &Path, arguments: &[&str]) -> Outcome {
    let outcome = |said: String, complained: String, exit_code| Outcome { said, complained, exit_code };
    let check = match arguments {
        ["regen"] => false,
        ["regen", "--check"] => true,
        ["--help" | "-h"] | ["regen", "--help" | "-h"] => return outcome(USAGE.to_owned(), String::new(), 0),
        _ => return outcome(String::new(), USAGE.to_owned(), 2),
    };
    let done = Regen::new(root).and_then(|regen| {
        if !check {
            regen.write()?;
        }
        Ok(regen)
    });
    let changes = match &done {
        Ok(regen) => regen.changes(),
        Err(error) => return outcome(String::new(), format!("error: {error}\n"), 1),
    };
    let each = |line: &dyn Fn(&Change) -> String| changes.iter().map(line).collect::<String>();
    if changes.is_empty() {
        outcome("everything generated is up to date\n".to_owned(), String::new(), 0)
    } else if check {
        let list = each(&|change| format!("  {}\n", change.path));
        outcome(each(&Change::diff), format!("\nout of date:\n{list}run `cargo xtask regen`\n"), 1)
    } else {
        outcome(each(&|change| format!("wrote {}\n", change.path)), String::new(), 0)
    }
}

/// One generated file that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// What is there now; `None` if nothing is.
    pub old: Option<String>,
    /// What should be there; `None` if nothing should.
    pub new: Option<String>,
}

impl Change {
    /// The change as a unified diff.
    pub fn diff(&self) -> String {
        let name = |side: &str, text: &Option<String>| {
            text.as_ref().map_or_else(|| "/dev/null".to_owned(), |_| format!("{side}/{}", self.path))
        };
        TextDiff::from_lines(self.old.as_deref().unwrap_or_default(), self.new.as_deref().unwrap_or_default())
            .unified_diff()
            .header(&name("a", &self.old), &name("b", &self.new))
            .to_string()
    }
}

impl Regen {
    /// Generates from `root/specs` and compares with what is in the workspace `root`. Writes nothing.
    ///
    /// # Errors
    /// A spec, an overlay or the ledger can't be used, or a file can't be read.
    pub fn new(root: &Path) -> Result<Self, Error> {
        let specs = root.join("specs");
        let generated = generate(&specs)?;
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        for spec in &generated.specs {
            let code = generated.files.get(&format!("{}.rs", spec.module)).map_or("", String::as_str);
            let outline = outline(code).map_err(|e| Error::document(spec.file(), e))?;
            wanted.insert(snapshot_path(&spec.module), snapshot(&outline));
            wanted.insert(snapshot_path(&format!("{}_overlaid", spec.module)), snapshot(&spec.overlaid_yaml()?));
        }
        for (name, code) in generated.files {
            wanted.insert(format!("{PINNED}/{name}"), code);
        }
        let readme = read(&root.join(README))?.map(lossy).unwrap_or_default();
        wanted.insert(README.to_owned(), with_table(&readme, &ledger::table(&ledger::read(&specs)?))?);

        let mut changes = stale(root, &wanted)?;
        for (path, new) in wanted {
            let old = read(&root.join(&path))?;
            if old.as_deref() != Some(new.as_bytes()) {
                changes.push(Change { path, old: old.map(lossy), new: Some(new) });
            }
        }
        Ok(Self { root: root.to_owned(), changes })
    }

    /// The files that are out of date. Empty: there is nothing to do.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Puts every file in place.
    ///
    /// # Errors
    /// A file can't be written; running it again completes the work.
    pub fn write(&self) -> Result<(), Error> {
        for change in &self.changes {
            let path = self.root.join(&change.path);
            let done = match &change.new {
                None if path.is_dir() => fs::remove_dir_all(&path),
                None => fs::remove_file(&path),
                Some(text) => path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text)),
            };
            done.map_err(|e| Error::io(&path, e))?;
        }
        Ok(())
    }
}

fn snapshot_path(name: &str) -> String {
    format!("{SNAPSHOTS}/{SNAPSHOT_TEST}__{name}.snap")
}

/// The file that insta compares with: its header, then the text without line breaks at either end.
fn snapshot(text: &str) -> String {
    format!("---\nsource: tests/{SNAPSHOT_TEST}.rs\nexpression: text\n---\n{}\n", text.trim_end())
}

/// What stands where only generated files may, such as those of specs that are gone.
fn stale(root: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<Change>, Error> {
    let mut stale = Vec::new();
    for (folder, prefix) in [(PINNED, String::new()), (SNAPSHOTS, format!("{SNAPSHOT_TEST}__"))] {
        let path = root.join(folder);
        let entries = match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(|e| Error::io(&path, e))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(&path, e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            if name.starts_with(&prefix) && !wanted.contains_key(&path) {
                let old = if entry.path().is_dir() { None } else { read(&entry.path())? };
                stale.push(Change { path, old: Some(old.map_or_else(|| "a folder\n".to_owned(), lossy)), new: None });
            }
        }
    }
    stale.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(stale)
}

fn with_table(readme: &str, table: &str) -> Result<String, Error> {
    let outside = || {
        let (before, rest) = readme.split_once(TABLE_BEGIN)?;
        let (_, after) = rest.split_once(TABLE_END)?;
        Some((before, after))
    };
    let (before, after) = outside().ok_or_else(|| {
        Error::document(
            README,
            format!("the quirk table's marks are gone; put `{}` and `{TABLE_END}` back", TABLE_BEGIN.trim()),
        )
    })?;
    Ok(format!("{before}{TABLE_BEGIN}\n{table}\n{TABLE_END}{after}"))
}

/// As bytes: one that was changed may no longer be text.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
