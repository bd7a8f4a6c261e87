//! `access-tokens config`, and how the other commands come to their sources.

use access_tokens_config::{Checked, Config, Error, Problem, Reader, Source, schema};

use crate::{
    arguments::{ConfigArguments, ConfigCommand, ConfigFormat, SourcesArguments},
    failure::{self, Failure, error, warn},
    output, provider,
};

pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(arguments) => check(&arguments),
        ConfigCommand::Schema => output::write(&schema()),
        ConfigCommand::Show { sources, format } => show(&sources, format),
    }
}

/// The configuration file with the environment on top, or the environment alone. A source that is named is read even if it is one
/// of those with variables of their own, and none of these is set: then what is missing is told.
pub(crate) fn reader<'a>(arguments: &ConfigArguments, names: impl IntoIterator<Item = &'a str>) -> Reader {
    let reader = arguments.file().map_or_else(Reader::new, |path| Reader::new().file(path));
    names.into_iter().fold(reader, Reader::source)
}

/// The names of the sources that were asked for, or of all.
pub(crate) fn chosen<'a>(config: &'a Config, names: Vec<&'a str>) -> Vec<&'a str> {
    if names.is_empty() { config.names().collect() } else { names }
}

/// The source that was named, or the only one.
pub(crate) fn one(config: &Config, name: Option<&str>) -> Result<Source, Failure> {
    let names: Vec<_> = config.names().collect();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [name]) => name,
        (None, []) => return Err(Failure::Setting(joined(config.other_problems(), "\n"))),
        (None, [first, ..]) => {
            let names = names.join(", ");
            let text = format!("which source? Name one of {names}, as in access-tokens get {first}");
            return Err(Failure::Setting(text));
        }
    };
    let refused = |error| Failure::Setting(joined(&problems(config, name, &error), "\n"));
    config.source(name).cloned().map_err(refused)
}

/// All that is wrong with a source that can't be used, including the files that it refers to.
pub(crate) fn problems(config: &Config, name: &str, error: &Error) -> Vec<Problem> {
    let problems = config.check(name).map(|checked| checked.problems).unwrap_or_default();
    if problems.is_empty() { error.problems().to_vec() } else { problems }
}

pub(crate) fn joined<'a>(problems: impl IntoIterator<Item = &'a Problem>, separator: &str) -> String {
    problems.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

fn check(arguments: &SourcesArguments) -> Result<(), Failure> {
    let names = arguments.sources();
    let config = reader(&arguments.config, names.iter().copied()).read()?;
    let mut problems = config.other_problems().to_vec();
    let mut warnings = Vec::new();
    let mut add = |checked: Checked, name: &str, what: String| {
        let verdict = match checked.problems.len() {
            0 => "ok".to_owned(),
            1 => "1 problem".to_owned(),
            more => format!("{more} problems"),
        };
        output::write(&format!("{name}: {verdict}{what}\n"))?;
        problems.extend(checked.problems);
        warnings.extend(checked.warnings);
        Ok::<_, Failure>(())
    };
    let names = chosen(&config, names);
    let is_shared = |name: &&str| config.source(name).is_ok_and(|source| source.store().is_some());
    if config.has_store() && (config.store().is_none() || names.iter().any(is_shared)) {
        let servers = config.store().and_then(|store| store.servers().ok());
        add(config.check_store(), "store", servers.map_or(String::new(), |servers| format!(" ({servers})")))?;
    }
    for name in names {
        let source = config.source(name).ok();
        let what = |source: &Source| format!(" ({}, {})", provider::name(source.provider()), source.base_url());
        add(config.check(name)?, name, source.map_or(String::new(), what))?;
    }
    warnings.iter().for_each(|warning| warn(&warning.to_string()));
    if problems.is_empty() {
        return Ok(());
    }
    problems.iter().for_each(|problem| error(&problem.to_string()));
    Err(Failure::Reported(failure::SETTING))
}

fn show(arguments: &SourcesArguments, format: ConfigFormat) -> Result<(), Failure> {
    let names = arguments.sources();
    let config = reader(&arguments.config, names.iter().copied()).read()?;
    output::write(&match format {
        ConfigFormat::Toml => config.to_toml(&names)?,
        ConfigFormat::Json => format!("{:#}\n", config.to_json(&names)?),
    })
}
