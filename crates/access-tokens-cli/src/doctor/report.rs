//! The report of an examination: printed line by line as steps finish, or as one JSON document at the end.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use access_tokens_config::Problem;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{
    config,
    failure::{self, Failure},
    output, provider,
};

pub(super) const SETTINGS: &str = "settings";
pub(super) const KEY: &str = "key and certificate";
pub(super) const LOOKUP: &str = "name lookup";
pub(super) const CONNECTION: &str = "connection";
pub(super) const TLS: &str = "TLS";
pub(super) const CLOCK: &str = "clock skew";
pub(super) const EXCHANGE: &str = "exchange";
pub(super) const SCOPES: &str = "scopes";
pub(super) const STORE: &str = "store";

/// All steps, in the order in which they are taken.
const STEPS: [&str; 9] = [SETTINGS, KEY, LOOKUP, CONNECTION, TLS, CLOCK, EXCHANGE, SCOPES, STORE];

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Failed,
    Warning,
    Skipped,
}

/// One step: what it found, and what to do about it.
#[derive(Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) name: &'static str,
    outcome: Outcome,
    /// None if the step was skipped, or isn't measured apart from another step.
    took_ms: Option<u64>,
    detail: String,
    next: Option<String>,
    #[serde(skip)]
    exit_code: Option<u8>,
}

impl Step {
    fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { name, outcome, took_ms: None, detail: detail.into(), next: None, exit_code: None }
    }

    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, detail)
    }

    pub(super) fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, why)
    }

    pub(super) fn warning(name: &'static str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..Self::new(name, Outcome::Warning, detail) }
    }

    pub(super) fn failed(name: &'static str, detail: String, next: impl Into<String>, exit_code: u8) -> Self {
        Self { next: Some(next.into()), exit_code: Some(exit_code), ..Self::new(name, Outcome::Failed, detail) }
    }

    /// A step whose settings can't be used.
    pub(super) fn refused<'a>(name: &'static str, problems: impl IntoIterator<Item = &'a Problem>) -> Self {
        Self::failed(name, config::joined(problems, "; "), "correct that, and run this again", failure::SETTING)
    }

    /// Sets the time that the step took; one that was skipped took none.
    pub(super) fn took(mut self, took: impl Into<Option<Duration>>) -> Self {
        let took = took.into().filter(|_| self.outcome != Outcome::Skipped);
        self.took_ms = took.and_then(|took| took.as_millis().try_into().ok());
        self
    }
}

/// The part of the report on one source. Without a name: what is wrong with the configuration as a whole.
#[derive(Serialize)]
pub(super) struct Section {
    name: Option<String>,
    provider: Option<&'static str>,
    ok: bool,
    steps: Vec<Step>,
    #[serde(skip)]
    json: bool,
}

impl Section {
    pub(super) fn add(&mut self, step: Step) -> Result<(), Failure> {
        let took = step.took_ms.map_or_else(|| "-".to_owned(), |took| format!("{took} ms"));
        let (mark, word, color) = match step.outcome {
            Outcome::Ok => ("✓", "ok", AnsiColor::Green),
            Outcome::Failed => ("✗", "FAIL", AnsiColor::Red),
            Outcome::Warning => ("!", "warn", AnsiColor::Yellow),
            Outcome::Skipped => ("–", "skip", AnsiColor::BrightBlack),
        };
        // Words in a pipe: they can be searched for, and read in any encoding.
        let (mark, style) = match io::stdout().is_terminal() {
            true => (mark.to_owned(), color.on_default()),
            false => (format!("{word:<4}"), Style::new()),
        };
        self.print(&format!("  {style}{mark}{style:#}  {:<19}  {took:>8}  {}\n", step.name, step.detail))?;
        self.ok &= step.outcome != Outcome::Failed;
        self.steps.push(step);
        Ok(())
    }

    /// Skips the next steps, up to and including `last`, since the step `failed` did.
    pub(super) fn skip_until(&mut self, last: &str, failed: &str) -> Result<(), Failure> {
        let end = STEPS.iter().position(|step| *step == last).map_or(0, |last| last + 1);
        for step in STEPS.iter().take(end).skip(self.steps.len()) {
            self.add(Step::skipped(step, format!("not tried, since {failed} failed")))?;
        }
        Ok(())
    }

    pub(super) fn first_failed(&self) -> Option<&'static str> {
        self.with(Outcome::Failed).next().map(|step| step.name)
    }

    fn with(&self, outcome: Outcome) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.outcome == outcome)
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { output::write(text) }
    }
}

/// All sections so far.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(skip)]
    pub(super) json: bool,
    pub(super) sources: Vec<Section>,
}

impl Report {
    pub(super) fn begin(&self, name: Option<&str>, provider: Option<&'static str>) -> Result<Section, Failure> {
        let name = name.map(str::to_owned);
        let source = Section { name, provider, ok: true, steps: Vec::new(), json: self.json };
        let gap = if self.sources.is_empty() { "" } else { "\n" };
        let provider = provider.map(|provider| format!(" ({})", provider::name(provider))).unwrap_or_default();
        source.print(&format!("{gap}{}{provider}\n", source.name.as_deref().unwrap_or("configuration")))?;
        Ok(source)
    }

    /// Ends the report on a source with what to do, the most important first: failures, then warnings.
    pub(super) fn end_source(&mut self, source: Section) -> Result<(), Failure> {
        let steps = source.with(Outcome::Failed).chain(source.with(Outcome::Warning));
        let mut next: Vec<_> = steps.filter_map(|step| step.next.as_deref()).collect();
        if next.is_empty() {
            next.push("nothing to do");
        }
        next.iter().try_for_each(|next| source.print(&format!("  next: {next}\n")))?;
        self.sources.push(source);
        Ok(())
    }

    /// The first failure decides the exit code.
    pub(super) fn end(self) -> Result<(), Failure> {
        if self.json {
            output::write(&output::json(&self)?)?;
        }
        let exit_code = self.sources.iter().flat_map(|source| &source.steps).find_map(|step| step.exit_code);
        exit_code.map_or(Ok(()), |code| Err(Failure::Reported(code)))
    }
}
