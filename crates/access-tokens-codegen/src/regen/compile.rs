//! Whether the workspace still compiles with a new raw client.

use std::{fs, path::Path, process::Command, time::SystemTime};

use serde_json::Value;

use crate::Error;

/// The errors of the compiler, as `place: message`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    /// In the generated code.
    pub(crate) raw: Vec<String>,
    /// In the facade, once the generated code compiles.
    pub(crate) facade: Vec<String>,
}

/// Compiles the facade with all its features, and so the raw clients as a service has them, in the workspace `root`.
///
/// Cargo tells packages apart by their place within the workspace. In a target folder that two copies of it share, what was
/// compiled of one passes for the other's, if only it is newer than the other's files. So `target` is no other command's, one
/// run at a time has it, and what it compiles is newer than all before.
pub(crate) fn check(root: &Path, target: &Path, cargo: &Path) -> Result<Errors, Error> {
    let lock = target.join("lock");
    fs::create_dir_all(target).map_err(|e| Error::io(target, e))?;
    let locked = fs::File::create(&lock).and_then(|lock| fs4::FileExt::lock(&lock).map(|()| lock));
    let _locked = locked.map_err(|e| Error::io(&lock, e))?;
    let pinned = format!("{}/mod.rs", super::files::PINNED);
    for file in [&pinned, "crates/access-tokens-raw/lib.rs", "crates/access-tokens/src/lib.rs"] {
        let path = root.join(file);
        let touched = fs::File::options().append(true).open(&path);
        touched.and_then(|file| file.set_modified(SystemTime::now())).map_err(|e| Error::io(&path, e))?;
    }
    let mut check = Command::new(cargo);
    check.current_dir(root).env("CARGO_TARGET_DIR", target);
    check.args(["check", "--locked", "--package", "access-tokens", "--all-features", "--message-format", "json"]);
    let output = check.output().map_err(|e| Error::io(cargo, e))?;
    let mut errors = Errors::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let message = line.get("message").unwrap_or(&Value::Null);
        // The sum at the end has no place.
        let Some(place) = place(message).filter(|_| message.get("level").and_then(Value::as_str) == Some("error"))
        else {
            continue;
        };
        let text = |pointer| message.pointer(pointer).and_then(Value::as_str);
        let code = text("/code/code").map(|code| format!("[{code}] ")).unwrap_or_default();
        // Such as the type that was expected.
        let label = text("/spans/0/label").map(|label| format!(": {label}")).unwrap_or_default();
        let told = format!("{place}: {code}{}{label}", text("/message").unwrap_or_default());
        let raw = line.pointer("/target/name").and_then(Value::as_str) == Some("access_tokens_raw");
        if raw { &mut errors.raw } else { &mut errors.facade }.push(told);
    }
    if !output.status.success() && errors == Errors::default() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::document("cargo check", said.trim()));
    }
    Ok(errors)
}

/// Where the compiler points at, without the folders that are this machine's.
fn place(message: &Value) -> Option<String> {
    let spans = message.get("spans")?.as_array()?;
    let span = spans.iter().find(|span| span.get("is_primary").and_then(Value::as_bool) == Some(true))?;
    let file = span.get("file_name")?.as_str()?;
    // Generated code is included from a folder of cargo's.
    let file = match file.rsplit_once("/out/") {
        Some((_, name)) => format!("{}/{name}", super::files::PINNED),
        None => file.to_owned(),
    };
    Some(format!("{file}:{}", span.get("line_start")?))
}
