//! This work tree in another place, and cargo started there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The files as they are now; what is there already and the same keeps its time, so that cargo finds it built.
pub fn copy_work_tree(to: &Path) -> Result<(), String> {
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
pub fn commit(repository: &Path) -> Result<(), String> {
    // There is none the first time.
    let _ = fs::remove_dir_all(repository.join(".git"));
    git(repository, &["init", "--quiet"])?;
    git(repository, &["add", "--all"])?;
    git(repository, &["commit", "--quiet", "--no-verify", "--message=work tree"])?;
    Ok(())
}

/// Without what a hook or a person's settings would have it do elsewhere.
pub fn git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
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
pub fn skipped(why: &str) {
    super::is_there("git", &format!("git, with a checkout of it ({why}),"), false, "what is built in another place");
}

/// The cargo that runs this test, in a folder; what this workspace compiled already serves again.
pub fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", target());
    cargo
}

/// Where this workspace is compiled to.
pub fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// What it printed. It must succeed.
pub fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Where copies of this workspace are compiled to. Not with the workspace itself: cargo tells packages apart by their place within
/// the workspace, and would take one's for the other's.
pub fn target_of_copies() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("copies")
}
