//! From an OpenAPI file to a raw Rust client: `specs/` in, formatted Rust out.
//!
//! The order is YAML value -> overlay -> preflight -> openapiv3 -> progenitor -> prettyplease. The build script of
//! `access-tokens-raw`, `cargo xtask regen` and the tests all call [`generate`]; nothing else in the workspace knows the
//! generator. Output depends on the files in `specs/` alone: no clock, no environment, no absolute path.
//!
//! ```no_run
//! let generated = access_tokens_codegen::generate("specs".as_ref())?;
//! for (name, code) in &generated.files {
//!     println!("{name}: {} lines", code.lines().count());
//! }
//! # Ok::<(), access_tokens_codegen::Error>(())
//! ```

mod client;
mod docs;
mod document;
mod error;
mod expected;
mod invisible;
pub mod ledger;
mod openapi;
mod outline;
mod overlay;
mod pointer;
mod preflight;
#[cfg(feature = "regen")]
mod regen;
mod source;

use std::{collections::BTreeMap, path::Path};

pub use error::{Error, Finding, Misfit};
pub use invisible::Stripped;
pub use outline::outline;
#[cfg(feature = "regen")]
pub use regen::{Change, Outcome, Regen, SpecChange, Xtask, spec_changes};
pub use source::Spec;

/// What one run of [`generate`] makes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Generated {
    /// The specs that were found, in the order of their module names, overlays applied.
    pub specs: Vec<Spec>,
    /// File name to contents: `mod.rs` with the list of modules, and one file for each module.
    pub files: BTreeMap<String, String>,
}

/// Generates a raw client for each `<module>.openapi.yaml` in the folder `specs`.
///
/// # Errors
/// The first file that can't be used, with everything that preflight has to say about it.
pub fn generate(specs: &Path) -> Result<Generated, Error> {
    let specs = source::load_all(specs)?;
    let mut files = BTreeMap::from([("mod.rs".to_owned(), client::module_list(&specs))]);
    for spec in &specs {
        files.insert(format!("{}.rs", spec.module), client::generate(spec)?);
    }
    Ok(Generated { specs, files })
}
