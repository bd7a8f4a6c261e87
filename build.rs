//! specs/ -> OUT_DIR: generates the raw clients (feature `codegen`), or copies the pinned ones.

#![allow(clippy::print_stdout, reason = "that is how a build script talks to cargo")]

use std::{env, error::Error, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let done = env::var_os("OUT_DIR")
        .ok_or_else(|| "OUT_DIR isn't set; this is a build script, run by cargo".into())
        .and_then(|out| {
            let out = Path::new(&out);
            // Cargo keeps the folder; the client of a spec that is gone must go too.
            for entry in fs::read_dir(out)? {
                fs::remove_file(entry?.path())?;
            }
            put_clients(out)
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "codegen")]
fn put_clients(out: &Path) -> Result<(), Box<dyn Error>> {
    // The folder with all that is in it: a spec that comes or goes counts like one that changes.
    println!("cargo::rerun-if-changed=specs");
    let generated = access_tokens_codegen::generate(Path::new("specs"))?;
    println!("cargo::rustc-env=ACCESS_TOKENS_RAW_FROM=specs");
    for (name, code) in generated.files {
        fs::write(out.join(name), code)?;
    }
    Ok(())
}

#[cfg(not(feature = "codegen"))]
fn put_clients(out: &Path) -> Result<(), Box<dyn Error>> {
    let pinned = Path::new("crates/access-tokens-raw/generated");
    println!("cargo::rerun-if-changed={}", pinned.display());
    println!("cargo::rustc-env=ACCESS_TOKENS_RAW_FROM=pinned");
    for entry in fs::read_dir(pinned).map_err(|e| format!("{}: {e}", pinned.display()))? {
        let path = entry?.path();
        let name = path.file_name().ok_or("a file without a name")?;
        fs::copy(&path, out.join(name)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
