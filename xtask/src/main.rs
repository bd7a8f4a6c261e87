//! `cargo xtask regen [--check]`; the work is in `access-tokens-codegen`.

use std::{
    env,
    io::{Write, stderr, stdout},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = access_tokens_codegen::xtask(&root, &arguments);
    let told =
        stdout().write_all(outcome.said.as_bytes()).and_then(|()| stderr().write_all(outcome.complained.as_bytes()));
    // If nobody listens, the exit code still tells.
    if told.is_err() && outcome.exit_code == 0 { ExitCode::FAILURE } else { ExitCode::from(outcome.exit_code) }
}
