//! What a change means, for the person who takes it in: as text, or as Markdown for a pull request.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{
    changes::{Effect, SpecChange},
    quirks::{Found, Status},
    surface::Moves,
};
use crate::{Stripped, invisible};

/// Everything that one run found out.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Why there is no last commit to compare with.
    pub(crate) uncommitted: Option<String>,
    pub(crate) specs: Vec<Spec>,
    pub(crate) facade: Facade,
    /// Files, relative to the workspace.
    pub(crate) written: Vec<String>,
    pub(crate) left: Vec<String>,
}

/// What one specification's new version means.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    pub(crate) module: String,
    /// `info.version` before and now; `None` where there is no such file.
    pub(crate) versions: (Option<String>, Option<String>),
    pub(crate) changes: Vec<SpecChange>,
    /// Each quirk, and where it is handled.
    pub(crate) quirks: Vec<(Found, Vec<String>)>,
    /// `None` where nothing could be generated.
    pub(crate) raw: Option<Moves>,
    /// What was taken out of its texts.
    pub(crate) stripped: Vec<Stripped>,
}

impl Spec {
    /// Whether neither the specification nor its quirks nor its client are other than before.
    pub(crate) fn is_unchanged(&self) -> bool {
        let (before, now) = &self.versions;
        before == now
            && self.changes.is_empty()
            && self.raw.as_ref().is_none_or(Moves::is_empty)
            && !self.quirks.iter().any(|(found, _)| found.status.is_news())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Facade {
    /// Whether it compiles; `None` if nothing that it sees has changed, or the run ended before.
    pub(crate) compiles: Option<bool>,
    pub(crate) errors: Vec<String>,
    /// What cargo-semver-checks says, where it is installed.
    pub(crate) second_opinion: Option<String>,
}

impl Facade {
    pub(crate) fn is_news(&self) -> bool {
        self.compiles == Some(false)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Plain text, for a terminal.
    Text,
    /// Markdown, for a pull request.
    Markdown,
}

impl Report {
    pub(crate) fn render(&self, format: Format, styled: bool, version: &str) -> String {
        let mut page = Page { text: String::new(), format, styled };
        if let Some(why) = self.uncommitted.as_ref().filter(|_| !self.specs.is_empty()) {
            page.heading(2, "There is no commit to compare with, so what was edited before this run isn't told");
            page.item(why);
        }
        for spec in &self.specs {
            page.spec(spec);
        }
        page.facade(&self.facade);
        let raw = self.specs.iter().filter_map(|spec| spec.raw.as_ref()).map(Moves::verdict).max();
        if let Some(verdict) = raw {
            page.heading(2, &format!("What that asks of the next version, after {version}"));
            page.item(&format!("access-tokens-raw: {}", verdict.told(version)));
            if let Some(opinion) = &self.facade.second_opinion {
                let opinion = page.words(opinion);
                page.item(&format!("cargo-semver-checks on access-tokens: {opinion}"));
            }
        }
        if !self.written.is_empty() {
            page.heading(2, "Files");
            for file in &self.written {
                let file = page.code(file);
                page.item(&file);
            }
        }
        if !self.left.is_empty() {
            page.heading(2, "Left for you");
            for (index, left) in self.left.iter().enumerate() {
                // The lines that follow the first are code to copy.
                let (first, rest) = left.split_once('\n').unwrap_or((left, ""));
                page.line(&format!("{}. {first}", index + 1));
                for line in rest.lines() {
                    page.line(&format!("     {line}"));
                }
            }
        }
        page.text
    }
}

/// A report on its way to being text.
struct Page {
    text: String,
    format: Format,
    styled: bool,
}

impl Page {
    fn spec(&mut self, spec: &Spec) {
        let file = format!("specs/{}{}", spec.module, crate::source::SPEC_ENDING);
        let versions = match &spec.versions {
            (None, Some(now)) => format!("new, {now}"),
            (Some(before), None) => format!("removed, was {before}"),
            (Some(before), Some(now)) if before != now => format!("{before} -> {now}"),
            (_, now) => now.clone().unwrap_or_default(),
        };
        self.heading(1, &format!("{file}: {versions}"));

        let effects = [
            Effect::BreakingForRequests,
            Effect::BreakingForResponses,
            Effect::Unknown,
            Effect::Compatible,
            Effect::Documentation,
        ];
        let of = |effect| spec.changes.iter().filter(move |change| change.effect == effect);
        if spec.versions.0.is_some() && spec.versions.1.is_some() {
            let counts = effects.map(|effect| (of(effect).count(), effect.to_string()));
            self.heading(2, &format!("The specification: {}", counted(counts, "no change")));
            for effect in effects.into_iter().filter(|effect| of(*effect).next().is_some()) {
                let title = self.painted(style(effect), &effect.to_string());
                self.item(&title);
                for change in of(effect) {
                    let pointer = if change.pointer.is_empty() { "the top" } else { &change.pointer };
                    let (what, pointer) = (self.words(&change.what), self.code(pointer));
                    self.sub_item(&what, Some(&pointer));
                }
            }
        }

        if !spec.quirks.is_empty() {
            let is =
                |wanted: fn(&Status) -> bool| spec.quirks.iter().filter(|(found, _)| wanted(&found.status)).count();
            let counts = [
                (is(|status| *status == Status::Fixed), "fixed upstream".to_owned()),
                (is(|status| matches!(status, Status::Changed(_))), "changed".to_owned()),
                (is(|status| *status == Status::StillThere), "still there".to_owned()),
                (is(|status| *status == Status::NotShown), "not shown by any specification".to_owned()),
            ];
            self.heading(2, &format!("Quirks: {}", counted(counts, "none")));
            let ids = |wanted: Status| {
                let quirks = spec.quirks.iter().filter(|(found, _)| found.status == wanted);
                quirks.map(|(found, _)| self.code(&found.id)).collect::<Vec<_>>().join(", ")
            };
            let rest = [("still there", ids(Status::StillThere)), ("not shown", ids(Status::NotShown))];
            for (found, places) in &spec.quirks {
                let id = self.code(&found.id);
                match &found.status {
                    Status::Fixed => {
                        let fixed = self.painted(AnsiColor::Green.on_default(), "fixed upstream");
                        self.item(&format!("{id}: {fixed}; to delete:"));
                        for place in places {
                            self.sub_item(place, None);
                        }
                    }
                    Status::Changed(now) => {
                        let changed = self.painted(AnsiColor::Yellow.on_default(), "changed");
                        self.item(&format!("{id}: {changed}:"));
                        for now in now {
                            let now = self.words(now);
                            self.sub_item(&now, None);
                        }
                    }
                    Status::StillThere | Status::NotShown => {}
                }
            }
            for (what, ids) in rest.into_iter().filter(|(_, ids)| !ids.is_empty()) {
                self.item(&format!("{what}: {ids}"));
            }
        }

        if !spec.stripped.is_empty() {
            self.heading(2, "Taken out of what is generated, since nobody sees it");
            for Stripped { pointer, characters } in &spec.stripped {
                let pointer = self.code(&invisible::written_out(pointer));
                self.sub_item(&invisible::code_points(characters), Some(&pointer));
            }
        }
        if let Some(raw) = &spec.raw {
            self.moves("The raw client", raw);
        }
    }

    fn facade(&mut self, facade: &Facade) {
        match facade.compiles {
            None => return,
            Some(true) => self.heading(2, "The facade compiles"),
            Some(false) => self.heading(2, "The facade doesn't compile"),
        }
        for error in &facade.errors {
            let error = self.words(error);
            self.item(&error);
        }
    }

    fn moves(&mut self, what: &str, moves: &Moves) {
        let counts = [
            (moves.added.len(), "added".to_owned()),
            (moves.removed.len(), "removed".to_owned()),
            (moves.changed.len(), "changed".to_owned()),
        ];
        self.heading(2, &format!("{what}: {}", counted(counts, "the same")));
        if moves.is_empty() {
            return;
        }
        let (red, green) = (AnsiColor::Red.on_default(), AnsiColor::Green.on_default());
        let signed = |sign: &'static str, style, lines: &[String]| {
            lines.iter().map(move |line| (format!("{sign} {line}"), style)).collect::<Vec<_>>()
        };
        let mut lines = [signed("+", green, &moves.added), signed("-", red, &moves.removed)].concat();
        for (before, now) in &moves.changed {
            lines.extend([(format!("- {before}"), red), (format!("+ {now}"), green)]);
        }
        // Of a surface as large as a new API's, what can be called; its snapshot has the rest.
        let all = lines.len();
        if all > LONGEST_LIST {
            lines.retain(|(line, _)| line.contains("fn ") && !line.contains(" fn new"));
        }
        self.diff(&lines);
        if lines.len() < all {
            self.line(&format!("and {} more, in the snapshot of the surface\n", all - lines.len()));
        }
    }

    fn heading(&mut self, level: usize, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let title = match self.format {
            Format::Text => self.painted(Style::new().bold(), title),
            Format::Markdown => format!("{} {title}\n", "#".repeat(level + 1)),
        };
        self.line(&title);
    }

    fn item(&mut self, text: &str) {
        match self.format {
            Format::Text => self.line(&format!("  {text}")),
            Format::Markdown => self.line(&format!("- {text}")),
        }
    }

    /// With the place that it speaks of, which is too long to stand on the same line.
    fn sub_item(&mut self, text: &str, place: Option<&str>) {
        match (self.format, place) {
            (Format::Text, place) => {
                self.line(&format!("    {text}"));
                if let Some(place) = place {
                    self.line(&format!("      at {place}"));
                }
            }
            (Format::Markdown, Some(place)) => self.line(&format!("  - {text} (at {place})")),
            (Format::Markdown, None) => self.line(&format!("  - {text}")),
        }
    }

    fn diff(&mut self, lines: &[(String, Style)]) {
        if self.format == Format::Markdown {
            self.line("```diff");
        }
        for (line, style) in lines {
            let line = match self.format {
                Format::Text => format!("  {}", self.painted(*style, line)),
                Format::Markdown => line.clone(),
            };
            self.line(&line);
        }
        if self.format == Format::Markdown {
            self.line("```\n");
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn painted(&self, style: Style, text: &str) -> String {
        if self.styled && self.format == Format::Text { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn code(&self, text: &str) -> String {
        match self.format {
            Format::Text => text.to_owned(),
            Format::Markdown => format!("`{}`", text.replace('`', "'")),
        }
    }

    /// Text that may hold what Markdown would take for markup.
    fn words(&self, text: &str) -> String {
        match self.format {
            Format::Text => text.to_owned(),
            Format::Markdown => text.replace('<', "\\<").replace('*', "\\*"),
        }
    }
}

const LONGEST_LIST: usize = 60;

fn style(effect: Effect) -> Style {
    match effect {
        Effect::BreakingForRequests | Effect::BreakingForResponses => AnsiColor::Red.on_default(),
        Effect::Unknown => AnsiColor::Yellow.on_default(),
        Effect::Compatible => AnsiColor::Green.on_default(),
        Effect::Documentation => Style::new(),
    }
}

/// "2 added, 1 removed".
fn counted<const N: usize>(counts: [(usize, String); N], none: &str) -> String {
    let parts: Vec<_> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() { none.to_owned() } else { parts.join(", ") }
}
