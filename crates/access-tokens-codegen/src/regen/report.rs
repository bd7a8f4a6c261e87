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
use crate::{
    Stripped,
    invisible::{self, one_line},
};

/// Everything that one run found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Why there is no last commit to compare with.
    pub(super) uncommitted: Option<String>,
    pub(super) specs: Vec<Spec>,
    /// The compiler's errors in the facade.
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
            && self.proofs.quirks.is_empty()
    }

    /// Whether only people read what changed.
    fn only_words(&self) -> bool {
        self.changes.iter().flatten().all(SpecChange::is_words)
    }

    /// What it asks of the next version at least, and why; `None` where `oasdiff` would have to say.
    fn bump(&self) -> Option<(Bump, &'static str)> {
        let wire = match &self.wire {
            Wire::Same => (Bump::Patch, "the raw client is the same"),
            Wire::Told(verdict) if verdict.findings.iter().any(Finding::breaks) => {
                (Bump::Breaking, "oasdiff calls it breaking")
            }
            Wire::Told(_) if self.only_words() => (Bump::Patch, "the provider changed only descriptions"),
            Wire::Told(_) => (Bump::Minor, "the provider changed more than descriptions"),
            Wire::Unknown | Wire::Failed(_) => return None,
        };
        let client = match self.client.as_ref()?.bump() {
            Bump::Breaking => (Bump::Breaking, "code that uses the raw client may break"),
            Bump::Minor => (Bump::Minor, "the raw client has more"),
            Bump::Patch => (Bump::Patch, "the raw client is the same"),
        };
        Some(if client.0 > wire.0 { client } else { wire })
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
            page.item(&page.code(why));
        }
        for spec in &self.specs {
            page.spec(spec);
        }
        if !self.errors.is_empty() {
            page.heading(2, "The facade no longer compiles");
            for error in &self.errors {
                page.item(&page.code(error));
            }
        }
        if !self.mentions.is_empty() {
            page.heading(2, "Files that mention a name of what went or moved, whatever they mean by it");
            for (name, files) in &self.mentions {
                page.item(&page.code(name));
                for file in files {
                    page.sub_item(file);
                }
            }
        }
        if self.specs.iter().any(|spec| spec.client.is_some()) {
            let bumps = self.specs.iter().map(Spec::bump).collect::<Option<Vec<_>>>();
            let bump = bumps.and_then(|bumps| bumps.into_iter().max_by_key(|bump| bump.0));
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
            (None, Some(now)) => format!("new, {}", self.code(now)),
            (Some(before), None) => format!("removed, was {}", self.code(before)),
            (Some(before), Some(now)) if before != now => format!("{} -> {}", self.code(before), self.code(now)),
            (_, now) => format!("{}, as before", self.code(now.as_deref().unwrap_or_default())),
        };
        self.heading(1, &format!("{file}: {versions}"));
        if let Some(changes) = &spec.changes {
            self.changes(changes, &spec.usage);
        }
        self.wire(&spec.wire, spec.only_words());
        if let Some(client) = &spec.client {
            self.client(client);
        }
        self.quirks(spec);
        if !spec.stripped.is_empty() {
            self.heading(2, "Taken out of what is generated, since nobody sees it");
            for Stripped { pointer, characters } in &spec.stripped {
                let pointer = self.code(pointer);
                self.item(&format!("{} at {pointer}", invisible::code_points(characters)));
            }
        }
    }

    fn changes(&mut self, changes: &[SpecChange], usage: &Usage) {
        let moves = moves(changes);
        let count = match changes.len() - moves.len() {
            0 => "nothing".to_owned(),
            1 => "1 place".to_owned(),
            many => format!("{many} places"),
        };
        self.heading(2, &format!("What changed: {count}"));
        for (index, SpecChange { pointer, old, new, in_list }) in changes.iter().enumerate() {
            let used = match usage.at(pointer).as_deref() {
                None => String::new(),
                Some([]) => ", which no operation uses".to_owned(),
                Some(operations) => format!(", used by {}", self.code(&operations.join(", "))),
            };
            let place = if pointer.is_empty() { "the whole file" } else { pointer };
            let element = if *in_list && old.is_none() { ", a new element" } else { "" };
            let place = format!("{}{element}{used}", self.code(place));
            let text = |value: &Option<Value>| value.as_ref().map(written).unwrap_or_default();
            if let Some(to) = moves.iter().find(|(from, _)| *from == index).and_then(|(_, to)| changes.get(*to)) {
                self.item(&format!("{place}: an equal value is at another place now"));
                self.diff(&[format!("- {}", one_line(pointer)), format!("+ {}", one_line(&to.pointer))]);
                if new.is_some() {
                    self.sub_item("and in its place");
                    self.diff(&difference("", &text(new)));
                }
            } else if !moves.iter().any(|(_, to)| *to == index) {
                self.item(&place);
                self.diff(&difference(&text(old), &text(new)));
            }
        }
    }

    fn wire(&mut self, wire: &Wire, words: bool) {
        const TITLE: &str = "What it means on the wire";
        match wire {
            Wire::Same => {}
            Wire::Unknown => {
                let install = self.code(wire::INSTALL);
                self.heading(2, &format!("{TITLE}: not known without oasdiff ({install})"));
            }
            Wire::Failed(why) => {
                self.heading(2, &format!("{TITLE}: oasdiff couldn't compare the two files"));
                self.item(&self.code(why));
            }
            Wire::Told(Verdict { version, findings, apart }) => {
                let version = version.as_deref().unwrap_or("of unknown version");
                let program = format!("oasdiff {version}");
                if findings.is_empty() {
                    let none = format!("{program} has no rule that finds anything in what changed");
                    self.heading(
                        2,
                        &format!(
                            "{TITLE}: {none}{}",
                            if words { "" } else { "; that doesn't say that nothing breaks" }
                        ),
                    );
                } else {
                    let of = |level: &str| findings.iter().filter(|finding| finding.level() == level).count();
                    let counts = ["error", "warning", "info"].map(|level| (of(level), level.to_owned()));
                    self.heading(2, &format!("{TITLE}, by {program}: {}", counted(counts, "nothing")));
                }
                self.findings(findings);
                if !findings.is_empty() {
                    self.item("for the rest of what changed it has no rule that finds anything");
                }
                match apart {
                    Ok(apart) if apart.is_empty() => {}
                    Ok(apart) => {
                        self.item("if `allOf` isn't merged, also the following, which doesn't count:");
                        self.findings(apart);
                    }
                    Err(why) => {
                        let why = self.code(why);
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
            let text = self.code(&finding.text());
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
        let breaks = if client.bump() == Bump::Breaking { ", which may break code that uses the client" } else { "" };
        self.heading(2, &format!("What it means in Rust: {}{breaks}", counted(counts, "the same code, docs aside")));
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
            self.item(&format!("{} is the same from outside, and another inside:", self.code(name)));
            self.diff(lines);
        }
        if !client.servers.is_empty() {
            self.item("the specification names another server:");
            self.diff(&client.servers);
        }
    }

    fn quirks(&mut self, spec: &Spec) {
        let proofs = &spec.proofs;
        let needed = proofs.needed.unwrap_or_default();
        let others = match (proofs.quirks.is_empty(), needed) {
            (true, _) => "",
            (false, 1) => "other ",
            (false, _) => "others ",
        };
        let counts = [
            (proofs.quirks.len(), "to look at".to_owned()),
            (needed, format!("{others}whose overlay actions the client needs")),
        ];
        if proofs.quirks.is_empty() && proofs.needed.is_none() {
            return;
        }
        self.heading(2, &format!("Quirks: {}", counted(counts, "none")));
        for (quirk, news) in &proofs.quirks {
            self.item(&self.painted(AnsiColor::Yellow.on_default(), &self.code(quirk)));
            for news in news {
                self.sub_item(&self.code(news));
            }
            let places = spec.places.get(quirk).map_or(&[][..], Vec::as_slice);
            if !places.is_empty() {
                self.sub_item(&format!("mentioned in {}", places.join(", ")));
            }
        }
    }

    fn version(&mut self, bump: Option<(Bump, &str)>, version: &str) {
        let bump = bump.and_then(|(bump, why)| Some(format!("at least {}, since {why}", bump.after(version)?)));
        let bump = bump.unwrap_or_else(|| "none, since nobody says what it means on the wire".to_owned());
        self.heading(2, &format!("Suggested version (now {version}): {bump}"));
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
        let fence = "`".repeat(lines.iter().map(|line| ticks(line)).max().unwrap_or_default().max(2) + 1);
        if self.format == Format::Markdown {
            self.line(&format!("\n  {fence}diff"));
        }
        for line in lines {
            let style = match line.chars().next() {
                Some('+') => AnsiColor::Green.on_default(),
                Some('-') => AnsiColor::Red.on_default(),
                _ => Style::new(),
            };
            let line = invisible::written_out(line).replace('\r', "\\r");
            match self.format {
                Format::Text => self.line(&format!("    {}", self.painted(style, &line))),
                Format::Markdown => self.line(&format!("  {line}")),
            }
        }
        if self.format == Format::Markdown {
            self.line(&format!("  {fence}\n"));
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn painted(&self, style: Style, text: &str) -> String {
        if self.styled && self.format == Format::Text { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Text of a stranger's: in one line, and as code in Markdown, where nothing has a meaning.
    fn code(&self, text: &str) -> String {
        let text = one_line(text);
        match self.format {
            Format::Text => text,
            Format::Markdown => {
                let (fence, gap) = ("`".repeat(ticks(&text) + 1), if ticks(&text) > 0 { " " } else { "" });
                format!("{fence}{gap}{text}{gap}{fence}")
            }
        }
    }
}

const LONGEST_LIST: usize = 60;

/// The longest run of backticks in a text, which a fence around it must be longer than.
fn ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// "2 added, 1 removed".
fn counted<const N: usize>(counts: [(usize, String); N], none: &str) -> String {
    let parts: Vec<_> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() { none.to_owned() } else { parts.join(", ") }
}

/// What went and what was added, by their places in the list, where it is the same object or list.
fn moves(changes: &[SpecChange]) -> Vec<(usize, usize)> {
    let large = |value: &Option<Value>| {
        let value = value.as_ref().filter(|value| value.is_object() || value.is_array())?;
        Some(canonical(Kind::Api, value))
    };
    let mut added: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate().rev().filter(|(_, change)| change.old.is_none()) {
        added.entry(large(&change.new).unwrap_or_default()).or_default().push(index);
    }
    let went = changes.iter().enumerate();
    went.filter_map(|(index, change)| Some((index, added.get_mut(&large(&change.old)?)?.pop()?))).collect()
}
