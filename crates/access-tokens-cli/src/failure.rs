//! What ends the command, how it is told, and with which exit code.

use std::{error::Error as _, process::ExitCode};

use access_tokens::ErrorKind;
use access_tokens_config::Problem;
use anstyle::{AnsiColor, Style};

/// Why the command ends without what was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A setting is missing or wrong; the text says which, and what to do.
    Setting(String),
    /// No token, with what to do next.
    Token { error: access_tokens::Error, settings: Settings },
    /// Something on this machine.
    Local(String),
    /// Told already, in a report; with its exit code.
    Told(u8),
}

/// Which settings to look at when a provider rejects something.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) credentials: String,
    pub(crate) request: String,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Local(_) => LOCAL,
            Self::Setting(_) => SETTING,
            Self::Token { error, .. } => exit_code(error),
            Self::Told(code) => *code,
        })
    }

    /// A configuration's problems, one a line.
    pub(crate) fn of(problems: &[Problem]) -> Self {
        Self::Setting(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    /// To stderr: what happened, what the provider said, why, and what to do next.
    pub(crate) fn report(&self) {
        match self {
            Self::Setting(text) | Self::Local(text) => {
                text.lines().for_each(error);
            }
            Self::Told(_) => {}
            Self::Token { error, settings } => {
                self::error(&error.to_string());
                if let Some(description) = error.description() {
                    line("  the provider says", None, description);
                }
                let mut source = error.source();
                while let Some(error) = source {
                    line("  because", None, &error.to_string());
                    source = error.source();
                }
                line("  next", None, &next(error, settings));
            }
        }
    }
}

impl From<access_tokens_config::Error> for Failure {
    fn from(error: access_tokens_config::Error) -> Self {
        Self::of(error.problems())
    }
}

/// The exit code of what is wrong on this machine.
pub(crate) const LOCAL: u8 = 1;

/// The exit code of a setting that is wrong.
pub(crate) const SETTING: u8 = 2;

pub(crate) fn exit_code(error: &access_tokens::Error) -> u8 {
    match error.kind() {
        ErrorKind::Configuration => SETTING,
        ErrorKind::Credentials | ErrorKind::Request => 3,
        ErrorKind::Throttled | ErrorKind::Unavailable => 4,
        _ => 5,
    }
}

pub(crate) fn error(text: &str) {
    line("error", Some(AnsiColor::Red), text);
}

pub(crate) fn warn(text: &str) {
    line("warning", Some(AnsiColor::Yellow), text);
}

pub(crate) fn next(error: &access_tokens::Error, settings: &Settings) -> String {
    match error.kind() {
        ErrorKind::Configuration => format!("correct the setting ({}, {})", settings.credentials, settings.request),
        ErrorKind::Credentials => {
            format!("check {}, or ask the provider if they are still valid", settings.credentials)
        }
        ErrorKind::Request => format!("check {}", settings.request),
        ErrorKind::Throttled | ErrorKind::Unavailable => match error.retry_after() {
            Some(wait) => format!("try again in {}", humantime::format_duration(wait)),
            None => "try again in a while".to_owned(),
        },
        _ => format!("check {}; if that is right, tell the provider", settings.request),
    }
}

/// A line on stderr; one that is closed stops nothing, since the exit code still tells.
fn line(label: &str, colour: Option<AnsiColor>, text: &str) {
    use std::io::Write;
    let style = colour.map_or_else(Style::new, |colour| colour.on_default().bold());
    let _ = writeln!(anstream::stderr(), "{style}{label}:{style:#} {text}");
}
