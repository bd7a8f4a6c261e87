//! Every generated file of a workspace: as it should be, and as it is.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use similar::TextDiff;

use super::provenance;
use crate::{Error, Spec, generate, ledger, outline, source};

pub(super) const PINNED: &str = "crates/access-tokens-raw/generated";
pub(super) const SNAPSHOTS: &str = "tests/snapshots";
/// The snapshots that are generated are those of this test, and no others.
const SNAPSHOT_TEST: &str = "surface";
const README: &str = "README.md";
const TABLE_BEGIN: &str = "<!-- quirks: made by `cargo xtask regen` from specs/quirks.yaml -->";
const TABLE_END: &str = "<!-- /quirks -->";

/// Every generated file of a workspace, as it should be and as it is.
#[derive(Debug)]
pub struct Regen {
    root: PathBuf,
    changes: Vec<Change>,
    specs: BTreeMap<String, Spec>,
    /// The generated code, by file name.
    code: BTreeMap<String, String>,
}

/// One generated file that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// What is there now, which may be no text; `None` if nothing is.
    pub old: Option<Vec<u8>>,
    /// What should be there; `None` if nothing should.
    pub new: Option<String>,
}

impl Change {
    /// The change as a unified diff.
    pub fn diff(&self) -> String {
        let name =
            |side: &str, is_there| if is_there { format!("{side}/{}", self.path) } else { "/dev/null".to_owned() };
        let old = self.old.clone().map(lossy).unwrap_or_default();
        TextDiff::from_lines(old.as_str(), self.new.as_deref().unwrap_or_default())
            .unified_diff()
            .header(&name("a", self.old.is_some()), &name("b", self.new.is_some()))
            .to_string()
    }
}

impl Regen {
    /// Generates from `root/specs` and compares with what is in the workspace `root`. Writes nothing.
    ///
    /// # Errors
    /// A spec, an overlay or the ledger can't be used, or a file can't be read.
    pub fn new(root: &Path) -> Result<Self, Error> {
        Self::received(root, &provenance::today(), &[])
    }

    /// With the day, and where the specs of some modules come from, for those that are other files than before.
    pub(super) fn received(root: &Path, today: &str, origins: &[(String, String)]) -> Result<Self, Error> {
        let specs = root.join("specs");
        let generated = generate(&specs)?;
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        for spec in &generated.specs {
            let code = generated.files.get(&format!("{}.rs", spec.module)).map_or("", String::as_str);
            let outline = outline(code).map_err(|e| Error::document(spec.file(), e))?;
            wanted.insert(snapshot_path(&spec.module), snapshot(&outline));
            wanted.insert(
                snapshot_path(&format!("{}{}", spec.module, source::OVERLAID)),
                snapshot(&spec.overlaid_yaml()?),
            );
        }
        // Of these most is people's, and must come out as it went in.
        let text = |file| {
            let bytes = read(&root.join(file))?.unwrap_or_default();
            String::from_utf8(bytes).map_err(|e| Error::document(file, format!("isn't UTF-8: {e}; save it as that")))
        };
        let rows = provenance::updated(&text(provenance::FILE)?, &generated.specs, today, origins)?;
        wanted.insert(provenance::FILE.to_owned(), rows);
        for (name, code) in &generated.files {
            wanted.insert(format!("{PINNED}/{name}"), code.clone());
        }
        wanted.insert(README.to_owned(), with_table(&text(README)?, &ledger::table(&ledger::read(&specs)?))?);

        let mut changes = stale(root, &wanted)?;
        for (path, new) in wanted {
            let old = read(&root.join(&path))?;
            if old.as_deref() != Some(new.as_bytes()) {
                changes.push(Change { path, old, new: Some(new) });
            }
        }
        // A folder that was taken away can't be put back if something fails after it.
        changes.sort_by_key(|change| change.old.as_deref() == Some(A_FOLDER));
        let specs = generated.specs.into_iter().map(|spec| (spec.module.clone(), spec)).collect();
        Ok(Self { root: root.to_owned(), changes, specs, code: generated.files })
    }

    /// The files that are out of date. Empty: there is nothing to do.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// A module's specification; `None` if there is none any more.
    pub(super) fn spec(&self, module: &str) -> Option<&Spec> {
        self.specs.get(module)
    }

    /// A module's generated code; empty if there is none any more.
    pub(super) fn code(&self, module: &str) -> &str {
        self.code.get(&format!("{module}.rs")).map_or("", String::as_str)
    }

    /// Puts every file in place, whatever is there.
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
                stale.push(Change { path, old: contents(&entry.path())?, new: None });
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
        Error::document(README, format!("the quirk table's marks are gone; put `{TABLE_BEGIN}` and `{TABLE_END}` back"))
    })?;
    Ok(format!("{before}{TABLE_BEGIN}\n\n{table}\n{TABLE_END}{after}"))
}

/// As bytes: one that was changed may no longer be text.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// In place of the bytes of what is a folder.
pub(super) const A_FOLDER: &[u8] = b"a folder\n";

/// What stands there; `None` if nothing does.
pub(super) fn contents(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if path.is_dir() { Ok(Some(A_FOLDER.to_vec())) } else { read(path) }
}

pub(super) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
