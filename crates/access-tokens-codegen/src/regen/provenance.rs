//! The table in `specs/README.md`: which document each specification is, and where it came from.

use crate::{Error, Spec, invisible};

/// Relative to the workspace.
pub(crate) const FILE: &str = "specs/README.md";
const HEAD: &str = "| file | document | version | SHA-256 | received | where it comes from |";
/// In place of where a new file comes from, which only a person knows.
pub(crate) const UNKNOWN_ORIGIN: &str = "not said yet";

/// Today in UTC, `YYYY-MM-DD`.
pub(super) fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

/// The text with a row for each of `specs`, and no other. A row of a file that is still the same is left as it is; another
/// gets the day `today` (`YYYY-MM-DD`). An origin stays unless `origins` (by module) has a new one.
pub(crate) fn updated(text: &str, specs: &[Spec], today: &str, origins: &[(String, String)]) -> Result<String, Error> {
    let no_table = || Error::document(FILE, format!("the table is gone; put its head back: {HEAD}"));
    let (before, rest) = text.split_once(HEAD).ok_or_else(no_table)?;
    let mut lines = rest.split_inclusive('\n').skip(1);
    let rule = lines.next().filter(|line| line.starts_with('|')).ok_or_else(no_table)?;
    let rows: String = lines.clone().take_while(|line| line.starts_with('|')).collect();
    let after: String = lines.skip_while(|line| line.starts_with('|')).collect();
    let line_break = if rule.ends_with("\r\n") { "\r\n" } else { "\n" };

    let row = |spec: &Spec| {
        let file = spec.file();
        let old = rows.lines().find(|row| cells(row).first() == Some(&file.as_str()));
        let sha256 = spec.inputs.first().map_or("", |(_, sha256)| sha256.as_str());
        let origin = origins.iter().find(|(module, _)| *module == spec.module).map(|(_, origin)| origin.as_str());
        let same = old.filter(|old| cells(old).get(3) == Some(&sha256));
        if let (Some(old), None) = (same, origin) {
            return format!("{old}{line_break}");
        }
        let today = same.and_then(|old| cells(old).get(4).copied()).unwrap_or(today);
        let origin = origin.or_else(|| cells(old?).get(5).copied()).unwrap_or(UNKNOWN_ORIGIN);
        let said =
            |pointer| cell(spec.upstream.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default());
        format!(
            "| `{file}` | {} | {} | `{sha256}` | {today} | {} |{line_break}",
            said("/info/title"),
            said("/info/version"),
            cell(origin)
        )
    };
    // Rows keep their order; those of new specs come last.
    let place = |spec: &&Spec| rows.lines().position(|row| cells(row).first() == Some(&spec.file().as_str()));
    let mut specs: Vec<_> = specs.iter().collect();
    specs.sort_by_key(|spec| place(spec).unwrap_or(usize::MAX));
    Ok(format!("{before}{HEAD}{line_break}{rule}{}{after}", specs.into_iter().map(row).collect::<String>()))
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
}

fn cell(text: &str) -> String {
    invisible::without(text).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}
