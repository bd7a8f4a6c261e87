//! Measures the token cache of `access-tokens` beside other libraries: see README.md.

mod bare;
mod endpoint;
mod fleet;
mod hot_path;
mod library;
mod ours;
mod peers;
mod report;
mod scenario;
mod scenarios;

use std::{
    env,
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{library::Error, report::progress, scenario::Scenario};

/// Measures the token cache of access-tokens beside other libraries
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 every limit is met, 1 one is missed, 2 nothing could be measured.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Behaviour in four scenarios, in real time (about 165 s)
    Scenarios {
        /// Which of them
        #[arg(long, value_delimiter = ',', value_parser = scenario, default_value = "a,b,c,d")]
        only: Vec<Scenario>,
        /// Times every span by this, to try the program out. The libraries' own spans stay as they are, so the figures
        /// say nothing and there is no verdict
        #[arg(long, value_parser = scale, default_value_t = 1.0)]
        seconds_scale: f64,
    },
    /// A fleet of up to 100,000 instances over a day, in virtual time (about a quarter of an hour). Writes docs/fleet.md and its pictures
    Fleet {
        /// Where to write them
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
        /// Tries one size of fleet, and writes nothing
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        instances: Option<u32>,
    },
    /// Nanoseconds for one token from a warm cache
    HotPath {
        /// How often everything is measured; the median counts
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..), default_value_t = 21)]
        rounds: u16,
    },
}

fn scenario(id: &str) -> Result<Scenario, String> {
    scenario::ALL
        .into_iter()
        .find(|scenario| id.eq_ignore_ascii_case(&scenario.id.to_string()))
        .ok_or_else(|| "there are a, b, c and d".to_owned())
}

fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().map_err(|_| "not a number")?;
    if (0.01..=10.0).contains(&scale) { Ok(scale) } else { Err("from 0.01 to 10".to_owned()) }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            progress(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Whether every limit is met.
async fn run(command: Command) -> Result<bool, Error> {
    if !matches!(command, Command::Fleet { .. }) {
        without_proxy()?;
    }
    let (table, verdicts) = match command {
        Command::Fleet { instances: Some(instances), .. } => fleet::try_out(instances)?,
        Command::Fleet { docs, instances: None } => fleet::document(&docs)?,
        Command::Scenarios { only, seconds_scale } => {
            let (table, verdicts) = scenarios::run(&only, seconds_scale).await?;
            (table, if seconds_scale == 1.0 { verdicts } else { Vec::new() })
        }
        Command::HotPath { rounds } => hot_path::run(rounds).await?,
    };
    write!(stdout(), "{table}")?;
    if !verdicts.is_empty() {
        write!(stdout(), "\n{}", report::verdicts(&verdicts))?;
    }
    Ok(verdicts.iter().all(|verdict| verdict.met))
}

/// Some libraries make their own HTTP client, which would go to a proxy even for loopback.
fn without_proxy() -> Result<(), Error> {
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        if env::var_os(name).is_some_and(|value| !value.is_empty()) {
            return Err(format!("unset {name}: the servers are on this machine").into());
        }
    }
    Ok(())
}
