//! `cargo xtask regen`; the work is in `access-tokens-codegen`.

use std::{
    env,
    io::{IsTerminal, Write, stderr, stdout},
    path::Path,
    process::ExitCode,
};

use access_tokens_codegen::Xtask;

fn main() -> ExitCode {
    // As it runs, not as it was built: another checkout may use the same target folder.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).parent().unwrap_or(Path::new("."));
    let arguments: Vec<_> = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = Xtask::new(root)
        .styled(stdout().is_terminal() && env::var_os("NO_COLOR").is_none())
        // If nobody reads it, nobody misses it.
        .progress(|doing| _ = writeln!(stderr(), "{doing} …"))
        .run(&arguments);
    let told =
        stdout().write_all(outcome.said.as_bytes()).and_then(|()| stderr().write_all(outcome.complained.as_bytes()));
    // If nobody listens, the exit code still tells.
    if told.is_err() && outcome.exit_code == 0 { ExitCode::FAILURE } else { ExitCode::from(outcome.exit_code) }
}
