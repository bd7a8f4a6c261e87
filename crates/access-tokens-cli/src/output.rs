//! What goes to stdout: tokens in the four formats, and tables.

use std::{
    fs,
    io::{self, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf, is_separator},
    time::Duration,
};

use access_tokens::{AccessToken, Setting};
use comfy_table::{Table, presets};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::{arguments::Format, failure::Failure, provider};

/// The file that `--output` names, by the path that it is replaced at. It is checked before a token is fetched for nothing.
pub(crate) fn writable(path: &Path) -> Result<PathBuf, Failure> {
    let refused = |what: &str| Failure::Setting(format!("--output {}: {what}", path.display()));
    let text = path.to_string_lossy();
    Setting::File.check(&text).map_err(|error| refused(&error.to_string()))?;
    if path.is_dir() || text.ends_with(is_separator) {
        return Err(refused("it is a folder; name a file in it"));
    }
    if path.exists() && !path.is_file() {
        return Err(refused("it isn't a regular file; leave --output out for stdout"));
    }
    if !path.exists() && fs::symlink_metadata(path).is_ok() {
        return Err(refused("it is a link that leads to no file; create that, or remove the link"));
    }
    // A link stays one, and the file that it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    beside(&path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => refused("its folder isn't there; create that"),
        kind => refused(&format!("no file can be created in its folder ({kind})")),
    })?;
    Ok(path)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A file with another name in the same folder, which nobody else can read. It is gone unless it is given its name.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".access-tokens-").tempfile_in(folder)
}

/// Writes `token` to `file` or else to stdout, as `format` says or, without one, as suits where it goes.
pub(crate) fn token(
    provider: &str,
    token: &AccessToken,
    format: Option<Format>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let to_terminal = file.is_none() && io::stdout().is_terminal();
    let default = if to_terminal { Format::Table } else { Format::Token };
    let text = match format.unwrap_or(default) {
        Format::Token => format!("{}\n", token.secret()),
        Format::Header => format!("Authorization: {} {}\n", token.token_type(), token.secret()),
        Format::Json => json(&Token {
            provider,
            access_token: token.secret(),
            token_type: token.token_type(),
            expires_in: expires_in(token),
            expires_at: expires_at(token),
            scopes: token.scopes().iter().collect(),
            user_id: token.user_id(),
        })?,
        Format::Table => {
            let mut rows = vec![
                ["provider".to_owned(), provider::name(provider).to_owned()],
                ["token".to_owned(), redacted(token)],
                ["scopes".to_owned(), token.scopes().to_string()],
                ["remaining".to_owned(), remaining(token)],
                ["expires at".to_owned(), expires_at(token).unwrap_or_else(|| "unknown".to_owned())],
            ];
            rows.extend(token.user_id().map(|id| ["user id".to_owned(), id.to_owned()]));
            table(&[], rows)
        }
    };
    match file {
        Some(path) => replace(path, &text).map_err(|e| Failure::Local(format!("--output {}: {e}", path.display()))),
        None => write(&text),
    }
}

/// A token in JSON.
#[derive(Serialize)]
struct Token<'a> {
    provider: &'a str,
    access_token: &'a str,
    token_type: &'a str,
    expires_in: Option<u64>,
    expires_at: Option<String>,
    scopes: Vec<&'a str>,
    user_id: Option<&'a str>,
}

pub(crate) fn json(document: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|e| Failure::Local(format!("JSON: {e}")))?;
    Ok(format!("{text}\n"))
}

/// A table: with lines on a terminal, in plain columns in a pipe.
pub(crate) fn table<const N: usize>(header: &[&str], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    let terminal = io::stdout().is_terminal();
    table.load_style(if terminal { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING });
    if !header.is_empty() {
        table.set_header(header);
    }
    table.add_rows(rows);
    if !terminal {
        table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    }
    format!("{}\n", table.trim_fmt())
}

/// Writes to stdout, without colors unless that is a terminal. A reader that has gone away is no failure.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::Local(format!("stdout: {e}"))),
        _ => Ok(()),
    }
}

/// Enough to tell two tokens apart, and no use to anybody else.
pub(crate) fn redacted(token: &AccessToken) -> String {
    let secret = token.secret();
    let start: String = secret.chars().take(if secret.len() > 40 { 4 } else { 0 }).collect();
    format!("{start}... ({} characters)", secret.len())
}

pub(crate) fn remaining(token: &AccessToken) -> String {
    token.remaining().map_or_else(|| "unknown".to_owned(), seconds)
}

/// A duration in whole seconds, as people read it.
pub(crate) fn seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// What the provider said; of a token that grew older in a store, what is left of that. In seconds.
fn expires_in(token: &AccessToken) -> Option<u64> {
    let (said, left) = (token.expires_in()?, token.remaining()?);
    let is_new = said.saturating_sub(left) < Duration::from_secs(5);
    Some(if is_new { said } else { left }.as_secs())
}

fn expires_at(token: &AccessToken) -> Option<String> {
    token.expires_at().map(|at| humantime::format_rfc3339_seconds(at).to_string())
}
