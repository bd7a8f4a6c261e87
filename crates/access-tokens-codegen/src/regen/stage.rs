//! Where everything is made before a byte of the work tree changes: a temporary folder with what is read and generated, beside
//! what was committed.
//!
//! Files are put in place one by one, each by a rename. If that is cut off, each file is the old one or the new one, and the
//! next run takes both for clean: so it can be run again, and ends the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::files::{A_FOLDER, Change, PINNED, SNAPSHOTS, contents, read};
use crate::Error;

/// Relative to the workspace.
const FOLDER: &str = "target/regen";
pub(crate) const WORKSPACE: &str = "target/regen/workspace";
/// What is compiled there.
pub(crate) const TARGET: &str = "target/regen/target";
/// What the raw clients and the facade are made of, and every generated file.
const COPIED: [&str; 8] =
    ["Cargo.lock", "Cargo.toml", "README.md", "build.rs", "crates", "specs", "tests/snapshots", "xtask"];
/// What is compared with the last commit, and every generated file.
const COMPARED: [&str; 4] = ["README.md", PINNED, "specs", SNAPSHOTS];
/// What earlier runs put in place: paths with their SHA-256. It isn't lost if it is overwritten.
const WRITTEN: &str = "written.json";

/// A copy to work in; one process has it at a time.
#[derive(Debug)]
pub(crate) struct Stage {
    root: PathBuf,
    folder: PathBuf,
    /// The last commit; or why there is none to compare with.
    committed: Result<PathBuf, String>,
    _lock: fs::File,
}

impl Stage {
    /// Copies what is needed of the work tree in `root`, and what was committed last. `waiting` is called where another run has to end first.
    pub(crate) fn new(root: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        let path = folder.join("lock");
        let lock = fs::File::create(&path).map_err(|e| Error::io(&path, e))?;
        if fs4::FileExt::try_lock(&lock).is_err() {
            waiting();
            fs4::FileExt::lock(&lock).map_err(|e| Error::io(&path, e))?;
        }
        // Git and cargo run elsewhere.
        let folder = fs::canonicalize(&folder).map_err(|e| Error::io(&folder, e))?;
        let committed = checkout(root, &folder).map_err(|e| Error::io(&folder, e))?;
        let stage = Self { root: root.to_owned(), folder, committed, _lock: lock };
        let empty = stage.empty();
        remove(&empty).and_then(|()| fs::create_dir(&empty)).map_err(|e| Error::io(&empty, e))?;
        for name in COPIED {
            copy(&root.join(name), &stage.workspace().join(name))?;
        }
        Ok(stage)
    }

    /// The copy.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// A folder with nothing in it, for programs that look for settings where they run.
    pub(crate) fn empty(&self) -> PathBuf {
        self.folder.join("empty")
    }

    /// What was there before: the last commit, or else the work tree.
    pub(crate) fn before(&self) -> &Path {
        self.committed.as_deref().unwrap_or(&self.root)
    }

    /// Why there is no last commit to compare with, and to go back to.
    pub(crate) fn uncommitted(&self) -> Option<&str> {
        self.committed.as_ref().err().map(String::as_str)
    }

    /// Which of `changes` would overwrite what can't be brought back.
    pub(crate) fn unsaved<'a>(&self, changes: &'a [Change]) -> Result<Vec<&'a str>, Error> {
        let written = self.written()?;
        let mut unsaved = Vec::new();
        for Change { path, .. } in changes {
            let Some(now) = contents(&self.root.join(path))? else { continue };
            let committed =
                self.committed.as_ref().ok().map(|committed| contents(&committed.join(path))).transpose()?;
            // Nobody compared what is in a folder.
            let saved = now != A_FOLDER && committed.flatten().as_ref() == Some(&now);
            let ours = written.get(path).is_some_and(|sha256| *sha256 == hash(&now));
            if !saved && !ours {
                unsaved.push(path.as_str());
            }
        }
        Ok(unsaved)
    }

    /// What earlier runs put in place.
    fn written(&self) -> Result<BTreeMap<String, String>, Error> {
        let bytes = read(&self.folder.join(WRITTEN))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Puts each change in place. If one can't be, those before it are taken back; `placed` has what nevertheless stays.
    pub(crate) fn place(&self, changes: &[Change], placed: &mut Vec<String>) -> Result<(), Error> {
        let mut edited = Vec::new();
        for Change { path, old, .. } in changes {
            if contents(&self.root.join(path))? != *old {
                edited.push(path.as_str());
            }
        }
        if !edited.is_empty() {
            return Err(Error::document(edited.join(", "), "was edited while this ran; run it again"));
        }
        let mut written = self.written()?;
        for change in changes {
            let new = change.new.as_ref().map(|text| hash(text.as_bytes()));
            written.insert(change.path.clone(), new.unwrap_or_default());
        }
        let text = serde_json::to_vec(&written).map_err(|e| Error::document(WRITTEN, e))?;
        self.put(Some(&text), &self.folder.join(WRITTEN))?;
        for change in changes {
            placed.push(change.path.clone());
            let put = self.put(change.new.as_deref().map(str::as_bytes), &self.root.join(&change.path));
            if let Err(error) = put {
                placed.retain(|path| {
                    let old =
                        changes.iter().find(|change| change.path == *path).and_then(|change| change.old.as_deref());
                    let path = self.root.join(path);
                    // What it failed on is as it was.
                    let is_back = || contents(&path).is_ok_and(|now| now.as_deref() == old);
                    !is_back() && (old == Some(A_FOLDER) || self.put(old, &path).is_err())
                });
                return Err(error);
            }
        }
        Ok(())
    }

    /// Replaces a file whole or not at all; `None` takes away what is there.
    fn put(&self, bytes: Option<&[u8]>, path: &Path) -> Result<(), Error> {
        let failed = |e| Error::io(path, e);
        let Some(bytes) = bytes else {
            return if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(failed);
        };
        let write = |next: &Path| {
            fs::write(next, bytes)?;
            fs::File::open(next)?.sync_all()?;
            fs::rename(next, path)
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        match write(&self.folder.join("next")) {
            // `target` may lie on another disk.
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                let mut next = path.as_os_str().to_owned();
                next.push(".next");
                write(Path::new(&next))
            }
            written => written,
        }
        .map_err(failed)
    }
}

/// The last commit's files, in `folder`; or why there are none.
fn checkout(root: &Path, folder: &Path) -> io::Result<Result<PathBuf, String>> {
    let (to, index) = (folder.join("committed"), folder.join("index"));
    remove(&to)?;
    remove(&index)?;
    fs::create_dir(&to)?;
    let git = |at: &Path, arguments: &[&str], environment: &[(&str, &Path)]| -> Result<String, String> {
        let mut git = Command::new("git");
        // Set where a hook runs us, for a repository that may be another.
        git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_PREFIX");
        // An index of our own, so that nobody's is touched.
        git.args(arguments).current_dir(at).env("GIT_INDEX_FILE", &index).envs(environment.iter().copied());
        let output = git.output().map_err(|e| format!("git: {e}"))?;
        let said = if output.status.success() { &output.stdout } else { &output.stderr };
        let said = String::from_utf8_lossy(said).trim_end().to_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    };
    let checked_out = || {
        let repository = git(root, &["rev-parse", "--absolute-git-dir"], &[])?;
        // The workspace may be a folder of a larger repository.
        let tree = format!("HEAD:{}", git(root, &["rev-parse", "--show-prefix"], &[])?);
        git(root, &["read-tree", &tree], &[])?;
        let environment = [("GIT_DIR", Path::new(&repository)), ("GIT_WORK_TREE", &to)];
        let files = git(&to, &[&["ls-files", "-z", "--"], &COMPARED[..]].concat(), &environment)?;
        let files: Vec<_> = files.split_terminator('\0').collect();
        git(&to, &[&["checkout-index", "--quiet", "--"], &files[..]].concat(), &environment)
    };
    Ok(checked_out().map(|_| to.clone()))
}

/// Copies a file, or a folder but for what is built, git's own, and what is neither file nor folder. Replaces what differs from an
/// earlier copy, and leaves what is the same.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |e| Error::io(from, e);
    // A link to a folder may lead in a circle; one to a file is as good as the file.
    match fs::symlink_metadata(from) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => remove(to).map_err(failed)?,
        Err(e) => return Err(failed(e)),
        Ok(metadata) if metadata.is_dir() => {
            if !to.is_dir() {
                remove(to).and_then(|()| fs::create_dir_all(to)).map_err(failed)?;
            }
            let names = |folder: &Path| -> Result<BTreeSet<_>, Error> {
                let entries = fs::read_dir(folder).map_err(failed)?;
                entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed)).collect()
            };
            let mut copied = names(from)?;
            copied.retain(|name| name != "target" && name != ".git");
            for name in names(to)?.union(&copied) {
                if copied.contains(name) {
                    copy(&from.join(name), &to.join(name))?;
                } else {
                    remove(&to.join(name)).map_err(failed)?;
                }
            }
        }
        Ok(_) if fs::metadata(from).is_ok_and(|metadata| metadata.is_file()) => {
            let new = fs::read(from).map_err(failed)?;
            if fs::read(to).ok().as_ref() != Some(&new) {
                fs::create_dir_all(to.parent().unwrap_or(to)).and_then(|()| remove(to)).map_err(failed)?;
                fs::write(to, new).map_err(failed)?;
            }
        }
        Ok(_) => remove(to).map_err(failed)?,
    }
    Ok(())
}

/// Whatever it is, if anything.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
