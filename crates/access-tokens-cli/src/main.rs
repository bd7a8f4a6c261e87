//! The `access-tokens` command.

mod arguments;
mod config;
mod demo;
mod doctor;
mod failure;
mod get;
mod output;
mod provider;
mod sandbox;

use std::{panic::catch_unwind, process::ExitCode};

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::{Arguments, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _stderr = failure::write_on_a_thread();
    log_to_stderr();
    // A library that panics, as where no file descriptor is left for it, must not end in an exit code of its own.
    let outcome = catch_unwind(|| run(arguments.command)).unwrap_or_else(|_| Err(Failure::Local(PANICKED.to_owned())));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

const PANICKED: &str = "the command panicked; the lines before say where. Please report that";

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Local(format!("the runtime can't be started: {e}")))?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Get(arguments) => get::run(*arguments).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
            Command::Config(command) => config::run(command),
            Command::Demo => demo::run().await,
            Command::Sandbox(arguments) => sandbox::run(arguments).await,
            Command::Completions { shell } => {
                // Into memory first: the generator panics where it can't write.
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Arguments::command(), "access-tokens", &mut script);
                output::write(&String::from_utf8_lossy(&script))
            }
        }
    });
    // Not waiting for a name lookup that hangs: the system gives no way to end one.
    runtime.shutdown_background();
    outcome
}

/// What `RUST_LOG` asks for; nothing without it.
fn log_to_stderr() {
    let Ok(filter) = std::env::var(EnvFilter::DEFAULT_ENV) else { return };
    match EnvFilter::try_new(filter) {
        Ok(filter) => {
            let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(failure::has_color());
            log.with_writer(failure::Stderr::default).log_internal_errors(false).init();
        }
        Err(e) => failure::warn(&format!("RUST_LOG is ignored: {e}; try access_tokens=debug")),
    }
}
