//! What ends the command, how it is told, and with which exit code.

use std::{error::Error as _, process::ExitCode};

use access_tokens::ErrorKind;
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
}

/// Which settings to look at when a provider rejects something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) credentials: &'static str,
    pub(crate) request: &'static str,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Local(_) => 1,
            Self::Setting(_) => 2,
            Self::Token { error, .. } => match error.kind() {
                ErrorKind::Configuration => 2,
                ErrorKind::Credentials | ErrorKind::Request => 3,
                ErrorKind::Throttled | ErrorKind::Unavailable => 4,
                _ => 5,
            },
        })
    }

    /// To stderr: what happened, what the provider said, why, and what to do next.
    pub(crate) fn report(&self) {
        match self {
            Self::Setting(text) | Self::Local(text) => line("error", Some(AnsiColor::Red), text),
            Self::Token { error, settings } => {
                line("error", Some(AnsiColor::Red), &error.to_string());
                if let Some(description) = error.description() {
                    line("  the provider says", None, description);
                }
                let mut source = error.source();
                while let Some(error) = source {
                    line("  because", None, &error.to_string());
                    source = error.source();
                }
                line("  next", None, &next(error, *settings));
            }
        }
    }
}

pub(crate) fn warn(text: &str) {
    line("warning", Some(AnsiColor::Yellow), text);
}

fn next(error: &access_tokens::Error, settings: Settings) -> String {
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
