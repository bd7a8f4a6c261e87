//! What a change means, for the person who takes it in: as text, or as Markdown for a pull request.

use std::{collections::BTreeMap, fmt::Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::{
    changes::{Kind, SpecChange, canonical},
    proofs::Proofs,
    surface::{Bump, Difference},
    text::{difference, written},
    usage::Usage,
    wire::{self, Finding, Verdict},
};
use crate::{Stripped, invisible};

/// Everything that one run found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Why there is no last commit to compare with.
    pub(super) uncommitted: Option<String>,
    pub(super) specs: Vec<Spec>,
    /// The compiler's errors in what people wrote, such as the facade.
    pub(super) errors: Vec<String>,
    /// The files that mention each name that is gone.
    pub(super) mentions: BTreeMap<String, Vec<String>>,
    /// Files, relative to the workspace.
    pub(super) written: Vec<String>,
    pub(super) left: Vec<String>,
}

/// What one specification's new version means.
#[derive(Debug, Default)]
pub(super) struct Spec {
    pub(super) module: String,
    /// `info.version` before and now; `None` where there is no such file.
    pub(super) versions: (Option<String>, Option<String>),
    /// Between the provider's files as they came; `None` where there is but one.
    pub(super) changes: Option<Vec<SpecChange>>,
    pub(super) usage: Usage,
    pub(super) wire: Wire,
    /// `None` where nothing could be generated.
    pub(super) client: Option<Difference>,
    pub(super) proofs: Proofs,
    /// Where each quirk that the proofs speak of is mentioned.
    pub(super) places: BTreeMap<String, Vec<String>>,
    /// What was taken out of its texts.
    pub(super) stripped: Vec<Stripped>,
}

/// What is known of what a change means for those who speak the API.
#[derive(Debug, Default)]
pub(super) enum Wire {
    /// Nothing changed, or there is nothing to compare with.
    #[default]
    Same,
    /// There is no `oasdiff`.
    Unknown,
    /// It can't compare the two files.
    Failed(String),
    Told(Verdict),
}

impl Spec {
    /// Whether there is nothing to say of it.
    pub(super) fn is_unchanged(&self) -> bool {
        let (before, now) = &self.versions;
        before == now
            && self.changes.as_ref().is_none_or(Vec::is_empty)
            && self.client.as_ref().is_none_or(Difference::is_empty)
            && self.proofs.is_empty()
    }

    /// What it asks of the next version at least; `None` where `oasdiff` would have to say.
    fn bump(&self) -> Option<Bump> {
        let words = self.changes.iter().flatten().all(SpecChange::is_words);
        let wire = match &self.wire {
            Wire::Same => Bump::Patch,
            Wire::Told(verdict) if verdict.findings.iter().any(Finding::breaks) => Bump::Breaking,
            Wire::Told(_) if words => Bump::Patch,
            Wire::Told(_) => Bump::Minor,
            Wire::Unknown | Wire::Failed(_) => return None,
        };
        Some(wire.max(self.client.as_ref().map(Difference::bump)?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Plain text, for a terminal.
    Text,
    /// Markdown, for a pull request.
    Markdown,
}

impl Report {
    pub(super) fn render(&self, format: Format, styled: bool, version: &str) -> String {
        let mut page = Page { text: String::new(), format, styled };
        if let Some(why) = self.uncommitted.as_ref().filter(|_| !self.specs.is_empty()) {
            page.heading(2, "There is no commit to compare with; the files as they are now were compared");
            page.item(why);
        }
        for spec in &self.specs {
            page.spec(spec);
        }
        if !self.errors.is_empty() {
            page.heading(2, "What uses the raw clients no longer compiles");
            for error in &self.errors {
                page.item(&page.words(error));
            }
        }
        if !self.mentions.is_empty() {
            page.heading(2, "Files that mention what went or moved");
            for (name, files) in &self.mentions {
                page.item(&format!("{}: {}", page.code(name), files.join(", ")));
            }
        }
        let bumps: Vec<_> = self.specs.iter().map(Spec::bump).collect();
        if self.specs.iter().any(|spec| spec.client.is_some()) {
            let bump = bumps.into_iter().collect::<Option<Vec<_>>>().and_then(|bumps| bumps.into_iter().max());
            page.version(bump, version);
        }
        if !self.written.is_empty() {
            page.heading(2, "Files");
            for file in &self.written {
                page.item(&page.code(file));
            }
        }
        if !self.left.is_empty() {
            page.heading(2, "Left to do");
            for (index, left) in self.left.iter().enumerate() {
                page.line(&format!("{}. {left}", index + 1));
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
        if let Some(changes) = &spec.changes {
            self.changes(changes, &spec.usage);
        }
        self.wire(&spec.wire);
        if let Some(client) = &spec.client {
            self.client(client);
        }
        self.quirks(spec);
        if !spec.stripped.is_empty() {
            self.heading(2, "Taken out of what is generated, since nobody sees it");
            for Stripped { pointer, characters } in &spec.stripped {
                let pointer = self.code(&invisible::written_out(pointer));
                self.item(&format!("{} at {pointer}", invisible::code_points(characters)));
            }
        }
    }

    fn changes(&mut self, changes: &[SpecChange], usage: &Usage) {
        let count = match changes.len() {
            0 => "nothing".to_owned(),
            1 => "1 place".to_owned(),
            many => format!("{many} places"),
        };
        self.heading(2, &format!("What changed: {count}"));
        let moves = moves(changes);
        for (index, SpecChange { pointer, old, new }) in changes.iter().enumerate() {
            let used = match usage.at(pointer).as_deref() {
                None => String::new(),
                Some([]) => ", which no operation uses".to_owned(),
                Some(operations) => format!(", used by {}", operations.join(", ")),
            };
            let used = self.words(&invisible::written_out(&used));
            let place = |pointer: &str| {
                let pointer = if pointer.is_empty() { "the whole file" } else { pointer };
                self.code(&invisible::written_out(pointer))
            };
            if let Some((_, to)) = moves.iter().find(|(from, _)| *from == index) {
                let to = changes.get(*to).map_or("", |to| to.pointer.as_str());
                let used = if used.is_empty() { used } else { used + "," };
                self.item(&format!("{}{used} is at {} now, unchanged", place(pointer), place(to)));
            } else if !moves.iter().any(|(_, to)| *to == index) {
                self.item(&format!("{}{used}", place(pointer)));
                let text = |value: &Option<Value>| value.as_ref().map(written).unwrap_or_default();
                self.diff(&difference(&text(old), &text(new)));
            }
        }
    }

    fn wire(&mut self, wire: &Wire) {
        const TITLE: &str = "What it means on the wire";
        match wire {
            Wire::Same => {}
            Wire::Unknown => {
                self.heading(2, &format!("{TITLE}: not known without oasdiff ({})", wire::INSTALL));
            }
            Wire::Failed(why) => {
                self.heading(2, &format!("{TITLE}: oasdiff couldn't compare the two files"));
                self.item(&self.words(&invisible::written_out(why)));
            }
            Wire::Told(Verdict { version, findings, apart }) => {
                let version = version.as_deref().unwrap_or("of unknown version");
                let program = format!("oasdiff {version}");
                if findings.is_empty() {
                    let none = format!("{program} has no rule for what changed, which may break all the same");
                    self.heading(2, &format!("{TITLE}: {none}"));
                } else {
                    let of = |level: &str| findings.iter().filter(|finding| finding.level() == level).count();
                    let counts = ["error", "warning", "info"].map(|level| (of(level), level.to_owned()));
                    self.heading(2, &format!("{TITLE}, by {program}: {}", counted(counts, "nothing")));
                }
                self.findings(findings);
                match apart {
                    Ok(apart) if apart.is_empty() => {}
                    Ok(apart) => {
                        self.item("if `allOf` isn't merged, also the following, which doesn't count:");
                        self.findings(apart);
                    }
                    Err(why) => {
                        let why = self.words(&invisible::written_out(why));
                        self.item(&format!("`allOf` isn't merged, since that failed: {why}"));
                    }
                }
            }
        }
    }

    fn findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            let style = if finding.breaks() { AnsiColor::Red.on_default() } else { Style::new() };
            let level = self.painted(style, finding.level());
            let text = self.words(&invisible::written_out(&finding.text()));
            self.item(&format!("{level}: {text}"));
        }
    }

    fn client(&mut self, client: &Difference) {
        let moves = &client.surface;
        let counts = [
            (moves.added.len(), "added".to_owned()),
            (moves.removed.len(), "removed".to_owned()),
            (moves.changed.len() + client.inside.len() + usize::from(!client.servers.is_empty()), "changed".to_owned()),
        ];
        let breaks = if client.bump() == Bump::Breaking { ", which breaks users" } else { "" };
        self.heading(2, &format!("What it means in Rust: {}{breaks}", counted(counts, "the same client")));
        let mut lines: Vec<_> = moves.added.iter().map(|line| format!("+ {line}")).collect();
        lines.extend(moves.removed.iter().map(|line| format!("- {line}")));
        for (before, now) in &moves.changed {
            lines.extend([format!("- {before}"), format!("+ {now}")]);
        }
        // Of a surface as large as a new API's, what can be called; its snapshot has the rest.
        let all = lines.len();
        if all > LONGEST_LIST {
            lines.retain(|line| line.contains("fn ") && !line.contains(" fn new"));
        }
        let shown = lines.len();
        self.diff(&lines);
        if shown < all {
            self.item(&format!("and {} more, in the snapshot of the surface", all - shown));
        }
        for (name, lines) in &client.inside {
            self.item(&format!("{} is called as before, and does something else:", self.code(name)));
            self.diff(lines);
        }
        if !client.servers.is_empty() {
            self.item("requests go to another server:");
            self.diff(&client.servers);
        }
    }

    fn quirks(&mut self, spec: &Spec) {
        let proofs = &spec.proofs;
        let counts = [
            (proofs.misfits.len(), "not fitting".to_owned()),
            (proofs.needless.len(), "no longer needed".to_owned()),
            (proofs.moved.len(), "to look at".to_owned()),
            (proofs.needed, "still needed".to_owned()),
        ];
        if proofs.is_empty() && proofs.untried.is_none() && proofs.needed == 0 {
            return;
        }
        self.heading(2, &format!("Quirks: {}", counted(counts, "not tried")));
        if let Some(why) = &proofs.untried {
            let why = self.words(why);
            if proofs.misfits.is_empty() {
                self.item("which are still needed wasn't tried, since the file is refused");
            } else {
                let what =
                    "which are still needed wasn't tried, since no client can be generated without what doesn't fit";
                self.item(&format!("{what}: {why}"));
            }
        }
        for (index, quirk, now) in &proofs.misfits {
            let what = self.painted(AnsiColor::Yellow.on_default(), "doesn't fit");
            self.item(&format!("{}: actions[{index}] {what}", self.code(quirk)));
            self.sub_item(&self.words(&invisible::written_out(now)));
        }
        for (quirk, actions) in &proofs.needless {
            let actions: Vec<_> = actions.iter().map(|index| format!("actions[{index}]")).collect();
            let what = self.painted(AnsiColor::Green.on_default(), "no longer needed");
            let actions = actions.join(", ");
            self.item(&format!("{}: {what}: without {actions} the client is the same", self.code(quirk)));
        }
        for (quirk, now) in &proofs.moved {
            self.item(&format!("{}: the file no longer says what the ledger has", self.code(quirk)));
            for now in now {
                self.sub_item(&self.words(&invisible::written_out(now)));
            }
        }
        for (quirk, places) in &spec.places {
            self.item(&format!("{} is mentioned in", self.code(quirk)));
            for place in places {
                self.sub_item(place);
            }
        }
    }

    fn version(&mut self, bump: Option<Bump>, version: &str) {
        let Some((bump, next)) = bump.and_then(|bump| Some((bump, bump.after(version)?))) else {
            return self.heading(
                2,
                &format!("Suggested version, after {version}: none, since nobody says what it means on the wire"),
            );
        };
        let why = match bump {
            Bump::Breaking => "it breaks users",
            Bump::Minor => "more than words changed",
            Bump::Patch => "only words changed",
        };
        self.heading(2, &format!("Suggested version, after {version}: at least {next}, since {why}"));
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

    fn sub_item(&mut self, text: &str) {
        match self.format {
            Format::Text => self.line(&format!("    {text}")),
            Format::Markdown => self.line(&format!("  - {text}")),
        }
    }

    /// Lines that begin with `+`, `-` or a space.
    fn diff(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or_default();
        let fence = "`".repeat(longest.max(2) + 1);
        if self.format == Format::Markdown {
            self.line(&format!("\n{fence}diff"));
        }
        for line in lines {
            let style = match line.chars().next() {
                Some('+') => AnsiColor::Green.on_default(),
                Some('-') => AnsiColor::Red.on_default(),
                _ => Style::new(),
            };
            let line = invisible::written_out(line);
            match self.format {
                Format::Text => self.line(&format!("    {}", self.painted(style, &line))),
                Format::Markdown => self.line(&line),
            }
        }
        if self.format == Format::Markdown {
            self.line(&format!("{fence}\n"));
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

/// "2 added, 1 removed".
fn counted<const N: usize>(counts: [(usize, String); N], none: &str) -> String {
    let parts: Vec<_> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() { none.to_owned() } else { parts.join(", ") }
}

/// What was removed and what was added, by their places in the list, where it is the same object or list.
fn moves(changes: &[SpecChange]) -> Vec<(usize, usize)> {
    let large = |value: &Option<Value>| {
        let value = value.as_ref().filter(|value| value.is_object() || value.is_array())?;
        Some(canonical(Kind::Api, value))
    };
    let mut added: Vec<_> = changes.iter().enumerate().filter(|(_, change)| change.old.is_none()).collect();
    let mut moves = Vec::new();
    for (index, change) in changes.iter().enumerate().filter(|(_, change)| change.new.is_none()) {
        let old = large(&change.old);
        if let Some(to) = added.iter().position(|(_, to)| old.is_some() && large(&to.new) == old) {
            moves.push((index, added.remove(to).0));
        }
    }
    moves
}
