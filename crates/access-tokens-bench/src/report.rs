//! What people read: aligned tables, verdicts, progress.

use std::io::{Write, stderr};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Whether ours kept to one limit.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) limit: String,
    pub(crate) met: bool,
}

/// One line for each verdict.
pub(crate) fn verdicts(verdicts: &[Verdict]) -> String {
    let header =
        [("verdict", Align::Left), ("access-tokens", Align::Left), ("measured", Align::Right), ("limit", Align::Left)];
    let rows: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            let met = if verdict.met { "met" } else { "MISSED" };
            vec![met.to_owned(), verdict.what.clone(), verdict.measured.clone(), verdict.limit.clone()]
        })
        .collect();
    table(&header, &rows)
}

/// Columns as wide as their widest cell, two spaces apart.
pub(crate) fn table(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let titles: Vec<_> = header.iter().map(|(title, _)| (*title).to_owned()).collect();
    let mut widths: Vec<_> = titles.iter().map(String::len).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let cells = row.iter().zip(&widths).zip(header).map(|((cell, width), (_, align))| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Tells on stderr how far it is. If nobody listens, the measurement goes on all the same.
pub(crate) fn progress(line: &str) {
    drop(writeln!(stderr(), "{line}"));
}
