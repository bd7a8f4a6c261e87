//! How an examination is told: line by line as it goes, or as one JSON document at the end.

use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{failure::Failure, output};

/// The steps, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum StepName {
    #[serde(rename = "settings")]
    Settings,
    #[serde(rename = "key and certificate")]
    Key,
    #[serde(rename = "name lookup")]
    Lookup,
    #[serde(rename = "connection")]
    Connection,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "clock skew")]
    Clock,
    #[serde(rename = "exchange")]
    Exchange,
    #[serde(rename = "scopes")]
    Scopes,
    #[serde(rename = "store")]
    Store,
}

impl StepName {
    const ALL: [Self; 9] = [
        Self::Settings,
        Self::Key,
        Self::Lookup,
        Self::Connection,
        Self::Tls,
        Self::Clock,
        Self::Exchange,
        Self::Scopes,
        Self::Store,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Key => "key and certificate",
            Self::Lookup => "name lookup",
            Self::Connection => "connection",
            Self::Tls => "TLS",
            Self::Clock => "clock skew",
            Self::Exchange => "exchange",
            Self::Scopes => "scopes",
            Self::Store => "store",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Ok,
    Failed,
    Warning,
    Skipped,
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) step: StepName,
    pub(super) outcome: Outcome,
    /// None for what took no time of its own.
    pub(super) took_ms: Option<u64>,
    pub(super) detail: String,
    pub(super) next: Option<String>,
}

/// One source. Without a name: what is wrong with the configuration as a whole.
#[derive(Debug, Serialize)]
pub(super) struct Examined {
    name: Option<String>,
    provider: Option<&'static str>,
    ok: bool,
    steps: Vec<Step>,
}

impl Examined {
    pub(super) fn new(name: Option<&str>, provider: Option<&'static str>) -> Self {
        Self { name: name.map(str::to_owned), provider, ok: true, steps: Vec::new() }
    }

    pub(super) fn add(&mut self, step: Step) {
        self.ok &= step.outcome != Outcome::Failed;
        self.steps.push(step);
    }

    pub(super) fn last_failed(&self) -> Option<StepName> {
        self.steps.iter().rev().find(|step| step.outcome == Outcome::Failed).map(|step| step.step)
    }

    /// The first that wasn't taken or skipped yet.
    pub(super) fn next_step(&self) -> Option<StepName> {
        StepName::ALL.get(self.steps.len()).copied()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    sources: &'a [Examined],
}

/// Where a report goes.
pub(super) struct Output {
    json: bool,
    terminal: bool,
    sources: Vec<Examined>,
    exit_code: Option<u8>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, terminal: io::stdout().is_terminal(), sources: Vec::new(), exit_code: None }
    }

    /// The first failure decides how the command ends.
    pub(super) fn failed(&mut self, exit_code: u8) {
        self.exit_code.get_or_insert(exit_code);
    }

    pub(super) fn begin(&self, source: &Examined) -> Result<(), Failure> {
        let provider = source.provider.map(|provider| format!(" ({})", output::name(provider))).unwrap_or_default();
        let gap = if self.sources.is_empty() { "" } else { "\n" };
        self.print(&format!("{gap}{}{provider}\n", source.name.as_deref().unwrap_or("configuration")))
    }

    pub(super) fn step(&self, step: &Step) -> Result<(), Failure> {
        let took = step.took_ms.map_or_else(|| "-".to_owned(), |took| format!("{took} ms"));
        let (mark, word, colour) = match step.outcome {
            Outcome::Ok => ("✓", "ok", AnsiColor::Green),
            Outcome::Failed => ("✗", "FAIL", AnsiColor::Red),
            Outcome::Warning => ("!", "warn", AnsiColor::Yellow),
            Outcome::Skipped => ("–", "skip", AnsiColor::BrightBlack),
        };
        // Words in a pipe: they can be searched for, and read in any encoding.
        let mark = if self.terminal { mark.to_owned() } else { format!("{word:<4}") };
        let style = if self.terminal { colour.on_default() } else { Style::new() };
        self.print(&format!("  {style}{mark}{style:#}  {:<19}  {took:>8}  {}\n", step.step.name(), step.detail))
    }

    /// Ends the report of a source with what to do, the most important first: failures, then warnings.
    pub(super) fn examined(&mut self, source: Examined) -> Result<(), Failure> {
        let of = |outcome| source.steps.iter().filter(move |step| step.outcome == outcome);
        let next: Vec<_> =
            of(Outcome::Failed).chain(of(Outcome::Warning)).filter_map(|step| step.next.as_ref()).collect();
        for next in &next {
            self.print(&format!("  next: {next}\n"))?;
        }
        if next.is_empty() {
            self.print("  next: nothing to do\n")?;
        }
        self.sources.push(source);
        Ok(())
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        if self.json {
            let document = serde_json::to_string_pretty(&Document { sources: &self.sources });
            let document = document.map_err(|e| Failure::Local(format!("the report as JSON: {e}")))?;
            output::write(&format!("{document}\n"))?;
        }
        self.exit_code.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { output::write_coloured(text) }
    }
}
