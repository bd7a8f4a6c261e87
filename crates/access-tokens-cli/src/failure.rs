//! Why the command fails, what it prints then, and its exit code.

use std::{
    io::{self, Write, stderr},
    process::ExitCode,
    sync::OnceLock,
};

use access_tokens::{ErrorKind, Obstacle};
use access_tokens_config::Source;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::provider;

/// Why the command ends without what was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A setting is missing or wrong; the text says which, and what to do.
    Setting(String),
    /// No token, with what to do next.
    Token { error: access_tokens::Error, next: String },
    /// Something on this machine.
    Local(String),
    /// A report says why; with the exit code.
    Reported(u8),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Local(_) => LOCAL,
            Self::Setting(_) => SETTING,
            Self::Token { error, .. } => exit_code(error),
            Self::Reported(code) => *code,
        })
    }

    /// Prints to stderr what happened, what the provider said, why, and what to do next.
    pub(crate) fn report(&self) {
        match self {
            Self::Setting(text) | Self::Local(text) => text.lines().for_each(error),
            Self::Reported(_) => {}
            Self::Token { error, next } => {
                self::error(&error.to_string());
                if let Some(description) = error.description() {
                    line("  the provider says", None, description);
                }
                if let Some(cause) = error.cause() {
                    line("  because", None, &cause);
                }
                line("  next", None, next);
            }
        }
    }
}

impl From<access_tokens_config::Error> for Failure {
    fn from(error: access_tokens_config::Error) -> Self {
        // One problem a line.
        Self::Setting(error.to_string())
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

/// What to do about an error, with the settings that decide what the provider accepts.
pub(crate) fn next(error: &access_tokens::Error, source: &Source) -> String {
    let named = |keys: &[&str]| keys.iter().map(|key| source.setting_name(key)).collect::<Vec<_>>().join(", ");
    // Of an answer that broke off nobody knows more than that it may come another time.
    if let Some(obstacle) = error.obstacle().filter(|it| *it != Obstacle::Answer || !error.is_retryable()) {
        let next = next_at(obstacle, source);
        return if error.is_retryable() { format!("{next}; or {AGAIN}") } else { next };
    }
    let (credentials, request) = match source.provider() {
        "worldline" => {
            let proof = if source.uses_assertion() { "assertion" } else { "client_secret" };
            (named(&["client_id", proof]), named(&["scopes", "realm", "base_url"]))
        }
        _ => (named(&["username", "password"]), named(&["base_url"])),
    };
    match error.kind() {
        ErrorKind::Configuration => format!("correct the setting ({credentials}, {request})"),
        ErrorKind::Credentials => format!("check {credentials}, or ask the provider if they are still valid"),
        ErrorKind::Request => format!("check {request}"),
        ErrorKind::Throttled | ErrorKind::Unavailable => match error.retry_after().filter(|wait| !wait.is_zero()) {
            Some(wait) => format!("try again in {}", humantime::format_duration(wait)),
            None => AGAIN.to_owned(),
        },
        _ => format!("check {request}; if that is right, tell the provider"),
    }
}

const AGAIN: &str = "try again in a while";

/// What to do about what stands between this machine and the provider.
fn next_at(obstacle: Obstacle, source: &Source) -> String {
    let provider = provider::name(source.provider());
    let [base_url, proxy, roots, identity] =
        ["base_url", "transport.proxy", "transport.roots", "transport.identity"].map(|key| source.setting_name(key));
    let proxy = format!("{proxy}, or else the variables HTTPS_PROXY, ALL_PROXY and NO_PROXY");
    let tell = format!("if it is right, tell {provider}");
    match obstacle {
        Obstacle::Lookup => format!("check {base_url}, {proxy}, and this machine's name servers"),
        Obstacle::Connection => format!("check {base_url}, and that firewalls let this machine connect there"),
        Obstacle::Proxy => format!("check {proxy}, and that the proxy lets this machine connect there"),
        Obstacle::UnknownIssuer => format!(
            "check {base_url}; if it is right, put the root certificate of whoever issued it (the provider, or a proxy that looks \
             into TLS) into {roots}"
        ),
        Obstacle::CertificateEnded | Obstacle::CertificateNotYetValid => {
            format!("check this machine's clock; {tell}")
        }
        Obstacle::WrongName => format!("check the host in {base_url}; {tell}"),
        Obstacle::UnusableCertificate => format!("check {base_url}; {tell}"),
        Obstacle::ClientCertificate => {
            format!("set {identity} to a key and certificate that are registered with {provider}")
        }
        Obstacle::Answer => format!("check {base_url}; if that is right, tell {provider}"),
        _ => format!("check {base_url}, and that nothing on the way looks into TLS"),
    }
}

/// What goes to stderr, until that is dropped. A thread of its own writes it: whoever was to read it may have gone, or not read,
/// and neither may hold a command up or change what comes of it. The exit code tells all the same.
pub(crate) fn write_on_a_thread() -> WorkerGuard {
    // A queue of 128,000 lines, as it is otherwise, takes longer to make than a command to run.
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(1024).finish(stderr());
    // Set once, in `main`.
    let _ = WRITER.set(writer);
    guard
}

static WRITER: OnceLock<NonBlocking> = OnceLock::new();

/// Writes to stderr by way of that thread.
#[derive(Default)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match WRITER.get() {
            Some(writer) => writer.clone().write(text),
            None => Ok(text.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn has_color() -> bool {
    AutoStream::choice(&stderr()) != ColorChoice::Never
}

fn line(label: &str, color: Option<AnsiColor>, text: &str) {
    let style = color.filter(|_| has_color()).map_or_else(Style::new, |color| color.on_default().bold());
    // Nobody could be told if it fails. In one piece, so that lines of the log don't come between.
    let _ = Stderr.write_all(format!("{style}{label}:{style:#} {text}\n").as_bytes());
}
