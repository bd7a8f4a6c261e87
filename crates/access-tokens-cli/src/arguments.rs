//! The command line's arguments. No secret is among them: other users of a machine can read a process list.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use access_tokens_config::{FlatVariable, flat_variables};
use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};

/// Access tokens for 1NCE and Worldline Open Banking.
#[derive(Debug, Parser)]
#[command(name = "access-tokens", version, after_help = include_str!("help/access-tokens.txt"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch a token
    Get(Box<GetArguments>),
    /// Examine the way to each source's token, step by step
    Doctor(DoctorArguments),
    /// Check or show the configuration, or print its schema
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Fetch tokens in all three ways from a sandbox in this process
    Demo,
    /// Play both token endpoints and a protected resource on this machine
    Sandbox(SandboxArguments),
    /// Print a completion script
    #[command(after_help = "Example:\n  access-tokens completions bash > /etc/bash_completion.d/access-tokens")]
    Completions {
        /// The shell that it is for
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = include_str!("help/get.txt"))]
pub(crate) struct GetArguments {
    #[command(flatten)]
    pub(crate) provider: Provider,
    /// The source to fetch from [default: the only one]
    #[arg(value_name = "SOURCE")]
    name: Option<String>,
    /// The same as SOURCE, which goes first
    #[arg(long, env = "ACCESS_TOKENS_SOURCE", value_name = "NAME")]
    source: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Request a token even if the store has one, and leave the store alone
    #[arg(long, global = true)]
    pub(crate) fresh: bool,
    /// What to print [default: table on a terminal; token in a pipe and in a file]
    #[arg(long, value_enum, global = true)]
    pub(crate) format: Option<Format>,
    /// Write to this file instead of stdout: whole or not at all, readable by you alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    pub(crate) output: Option<PathBuf>,
    /// Give up after this time, retries included, such as 10s or 500ms; a bare number counts as seconds
    #[arg(long, value_name = "TIME", value_parser = time, global = true)]
    pub(crate) timeout: Option<Duration>,
    /// Try again so many times if the provider throttles or is unavailable, after the time that it asks for
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, global = true)]
    pub(crate) retry: u32,
}

impl GetArguments {
    /// The source that was named.
    pub(crate) fn source(&self) -> Option<&str> {
        let named = self.provider.name.as_deref().or(self.name.as_deref());
        // An argument overrides the variable; an empty variable counts as unset.
        named.or(self.source.as_deref()).filter(|name| !name.is_empty())
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse().map(Duration::from_secs).or_else(|_| humantime::parse_duration(text));
    time.ok().filter(|time| !time.is_zero()).ok_or_else(|| "write a time above zero, such as 10s or 500ms".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// Configuration file (.toml or .json); variables ACCESS_TOKENS__... go on top [default: those alone]
    // Not a path yet: an empty variable counts as unset, and clap refuses an empty path.
    #[arg(long, env = "ACCESS_TOKENS_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    config: Option<OsString>,
}

impl ConfigArguments {
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref().filter(|path| !path.is_empty()).map(Path::new)
    }
}

#[derive(Debug, Args)]
pub(crate) struct SourcesArguments {
    /// The sources [default: all]
    #[arg(value_name = "SOURCE")]
    names: Vec<String>,
    /// The same as SOURCE, which goes first; may be given many times
    #[arg(long, env = "ACCESS_TOKENS_SOURCE", value_name = "NAME")]
    source: Vec<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

impl SourcesArguments {
    /// The sources that were named; none means all.
    pub(crate) fn sources(&self) -> Vec<&str> {
        let named = if self.names.is_empty() { &self.source } else { &self.names };
        // An empty variable counts as unset.
        named.iter().map(String::as_str).filter(|name| !name.is_empty()).collect()
    }
}

#[derive(Debug, Args)]
#[command(after_help = include_str!("help/doctor.txt"))]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) sources: SourcesArguments,
    /// Print one JSON document: {"sources": [{name, provider, ok, steps: [{step, outcome, took_ms, detail, next}]}]}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and all secrets and keys that it names, without the network
    #[command(after_help = "Example:\n  access-tokens config check --config access-tokens.toml")]
    Check(SourcesArguments),
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_help = "Example:\n  access-tokens config schema > access-tokens.schema.json")]
    Schema,
    /// Print what is in effect and where it comes from; of secrets, where they stand
    #[command(after_help = "Example:\n  access-tokens config show --config access-tokens.toml --format json")]
    Show {
        #[command(flatten)]
        sources: SourcesArguments,
        /// What to print
        #[arg(long, value_enum, default_value = "toml")]
        format: ConfigFormat,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ConfigFormat {
    /// With a comment on each line that says where it comes from
    Toml,
    /// Without comments
    Json,
}

/// The subcommands for the sources that variables of their own set, with a flag for each variable that is no secret.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    /// The name of the source. None without such a subcommand.
    name: Option<String>,
    /// Of each flag that was given: the variable that it replaces, the flag with its dashes, and the value.
    pub(crate) flags: Vec<(&'static str, String, String)>,
}

impl Args for Provider {
    fn augment_args(get: clap::Command) -> clap::Command {
        get.subcommands([
            provider("onence", "Fetch a token from 1NCE", include_str!("help/onence.txt")),
            provider("worldline", "Fetch a token from Worldline Open Banking", include_str!("help/worldline.txt")),
        ])
    }

    fn augment_args_for_update(get: clap::Command) -> clap::Command {
        Self::augment_args(get)
    }
}

impl FromArgMatches for Provider {
    fn from_arg_matches(get: &ArgMatches) -> Result<Self, clap::Error> {
        let Some((name, matches)) = get.subcommand() else { return Ok(Self::default()) };
        let flags = flags(name).filter_map(|(variable, flag)| {
            Some((variable.name, format!("--{flag}"), matches.get_one::<String>(variable.name)?.clone()))
        });
        Ok(Self { name: Some(name.to_owned()), flags: flags.collect() })
    }

    fn update_from_arg_matches(&mut self, get: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(get)?;
        Ok(())
    }
}

/// The subcommand for the source `name`.
fn provider(name: &'static str, about: &'static str, after_help: &'static str) -> clap::Command {
    let heading = format!("Settings of the source {name}");
    let command = clap::Command::new(name).about(about).after_help(after_help).next_help_heading(heading);
    command.args(flags(name).map(|(variable, flag)| {
        let is_path = variable.value_name == "PATH";
        Arg::new(variable.name)
            .long(&flag)
            .alias(format!("{name}-{flag}"))
            .value_name(variable.value_name)
            .value_hint(if is_path { ValueHint::FilePath } else { ValueHint::Unknown })
            .help(format!("{} [env: {}]", variable.help, variable.name))
    }))
}

/// The variables of a source that may be flags, with the flags' names: no argument may hold a secret.
fn flags(source: &str) -> impl Iterator<Item = (&'static FlatVariable, String)> {
    let prefix = format!("{source}-");
    flat_variables(source).filter(|variable| !variable.key.ends_with(".env")).map(move |variable| {
        let name = variable.name.to_lowercase().replace('_', "-");
        (variable, name.replacen(&prefix, "", 1))
    })
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// The bare token
    Token,
    /// An Authorization header, as curl -H @- takes it
    Header,
    /// provider, access_token, token_type, expires_in, expires_at, scopes, user_id
    Json,
    /// What is known about the token, the token itself redacted
    Table,
}

#[derive(Debug, Args)]
#[command(after_help = include_str!("help/sandbox.txt"))]
pub(crate) struct SandboxArguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Listen on an address that other machines reach
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// A further name or address that requests to the control endpoint may have as their Host; may be given many times
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// A further 1NCE user, with tokens of its own
    #[arg(long, value_name = "NAME", requires = "onence_password_file")]
    pub(crate) onence_username: Option<String>,
    /// The file that holds the further user's password
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, requires = "onence_username")]
    pub(crate) onence_password_file: Option<PathBuf>,
    /// How 1NCE spells two members of its answer: userId and scope, or user_id and score
    #[arg(long, value_parser = ["schema", "example"], default_value = "schema")]
    pub(crate) spelling: String,
    /// 1NCE answers with the same token and what is left of its life, rounded up or down to seconds
    #[arg(long, value_parser = ["up", "down"], value_name = "ROUNDING")]
    pub(crate) server_cached: Option<String>,
    /// Life of 1NCE's tokens in seconds
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    pub(crate) onence_lifetime: u32,
    /// Life of Worldline's tokens in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub(crate) worldline_lifetime: u32,
    /// A fault, as the control endpoint takes it; may be given many times
    #[arg(long, value_name = "JSON")]
    pub(crate) fault: Vec<String>,
}
