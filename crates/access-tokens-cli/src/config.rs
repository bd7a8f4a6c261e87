//! `access-tokens config`, and how the other commands come to their sources.

use std::env;

use access_tokens_config::{Config, Error, Source, Store, schema};
use serde_json::Value;

use crate::{
    arguments::{ConfigArguments, ConfigCommand, ConfigFormat, SourcesArguments},
    failure::{Failure, Settings, error},
    output,
};

pub(crate) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(arguments) => check(&arguments),
        ConfigCommand::Schema => output::write(&schema()),
        ConfigCommand::Show { sources, format } => show(&sources, format),
    }
}

/// The configuration file with the environment on top, or the environment alone.
pub(crate) fn read(arguments: &ConfigArguments) -> Result<Config, Error> {
    arguments.file().map_or_else(Config::from_env, Config::read)
}

/// The sources that were named, or all.
pub(crate) fn chosen<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a Source>, Error> {
    // An empty variable counts as unset.
    let names: Vec<_> = names.iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        Ok(config.sources().collect())
    } else {
        names.iter().map(|name| config.source(name)).collect()
    }
}

/// The source that was named, or the only one.
pub(crate) fn one(arguments: &ConfigArguments, name: Option<&str>) -> Result<Source, Failure> {
    let name = name.filter(|name| !name.is_empty());
    let from_variables = env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("ACCESS_TOKENS__"));
    if name.is_none() && arguments.file().is_none() && !from_variables {
        return Err(Failure::Setting(
            "neither a provider nor a source is given; try `access-tokens get onence`, `access-tokens get worldline`, or name a \
             configuration file with --config"
                .to_owned(),
        ));
    }
    let config = read(arguments)?;
    if let Some(name) = name {
        return Ok(config.source(name)?.clone());
    }
    let mut sources = config.sources();
    match (sources.next(), sources.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => {
            let names: Vec<_> = config.sources().map(Source::name).collect();
            Err(Failure::Setting(format!("which source? Name one of {} with --source", names.join(", "))))
        }
    }
}

/// The settings of a source that decide what a provider accepts.
pub(crate) fn settings(source: &Source) -> Settings {
    let of = |keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| format!("sources.{}.{key}", source.name())).collect();
        keys.join(", ")
    };
    // An assertion that can't be read is one all the same.
    let assertion = source.identity().map_or(true, |identity| identity.is_some());
    match source.provider() {
        "worldline" => Settings {
            credentials: of(&["client_id", if assertion { "assertion" } else { "client_secret" }]),
            request: of(&["scopes", "realm", "base_url"]),
        },
        _ => Settings { credentials: of(&["username", "password"]), request: of(&["base_url"]) },
    }
}

fn check(arguments: &SourcesArguments) -> Result<(), Failure> {
    let config = read(&arguments.config)?;
    let mut told = Vec::new();
    let sources = chosen(&config, &arguments.source)?;
    if let Some(store) = config.store().filter(|_| sources.iter().any(|source| source.store().is_some())) {
        let problems: Vec<_> = store.shared().err().iter().flat_map(Error::problems).map(ToString::to_string).collect();
        let servers = store.servers().map_or(String::new(), |servers| format!(" ({servers})"));
        output::write(&format!("store: {}{servers}\n", verdict(problems.len())))?;
        told.extend(problems);
    }
    for source in sources {
        // Each of the three stops at its first problem, and some of them are the same.
        let outcomes = [source.transport().err(), source.identity().err(), source.endpoint().err()];
        let mut problems: Vec<String> = Vec::new();
        for problem in outcomes.iter().flatten().flat_map(|error| error.problems()).map(ToString::to_string) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        output::write(&format!(
            "{}: {} ({}, {})\n",
            source.name(),
            verdict(problems.len()),
            output::name(source.provider()),
            source.base_url()
        ))?;
        told.extend(problems);
    }
    if told.is_empty() {
        return Ok(());
    }
    told.iter().for_each(|problem| error(problem));
    Err(Failure::Told(2))
}

fn verdict(problems: usize) -> String {
    match problems {
        0 => "ok".to_owned(),
        1 => "1 problem".to_owned(),
        more => format!("{more} problems"),
    }
}

fn show(arguments: &SourcesArguments, format: ConfigFormat) -> Result<(), Failure> {
    let config = read(&arguments.config)?;
    let sources = chosen(&config, &arguments.source)?;
    match format {
        ConfigFormat::Toml => {
            let store = config.store().map(Store::to_toml);
            let tables: Vec<_> = store.into_iter().chain(sources.iter().map(|source| source.to_toml())).collect();
            output::write(&tables.join("\n"))
        }
        ConfigFormat::Json => {
            let tables = sources.iter().map(|source| (source.name().to_owned(), source.to_json())).collect();
            let store = config.store().map(|store| ("store".to_owned(), store.to_json()));
            let sources = [("sources".to_owned(), Value::Object(tables))].into_iter();
            let document = Value::Object(sources.chain(store).collect());
            output::write(&format!("{document:#}\n"))
        }
    }
}
