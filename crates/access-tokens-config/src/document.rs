//! A configuration file to the tree.

mod json;
mod lines;
mod toml;

use std::{path::Path, sync::Arc};

use access_tokens::{SecretFile, Setting};

use self::lines::Lines;
use crate::{
    error::{Origin, Problem},
    tree::Node,
};

/// Reads a configuration file: TOML or JSON, by the end of its name.
pub(crate) fn read(path: &Path) -> Result<Node, Problem> {
    let file: Arc<Path> = path.into();
    let whole = |message: String| Problem::new(Origin::File { path: file.clone(), line: None }, "", message);
    Setting::File.check(&path.to_string_lossy()).map_err(|error| whole(error.to_string()))?;
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::parse,
        Some("json") => json::parse,
        _ => return Err(whole("the name of a configuration file must end in .toml or .json".to_owned())),
    };
    let content = SecretFile::read(path)
        .map_err(|error| whole(format!("can't be read: {}", error.cause().unwrap_or_default())))?;
    let bytes = content.bytes();
    let lines = Lines::new(bytes, &file);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::new(lines.origin(error.valid_up_to()), "", "isn't UTF-8"))?;
    let node = parse(text.strip_prefix('\u{feff}').unwrap_or(text), &file)?;
    if node.table().is_none() {
        return Err(Problem::new(node.origin, "", "must be a table: { \"sources\": { ... } }"));
    }
    Ok(node)
}
