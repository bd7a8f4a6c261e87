//! Named token sources for [`access_tokens`], from TOML, JSON and the environment.
//!
//! ```toml
//! [sources.sims]
//! provider = "onence"
//! username = "me@example.com"
//! password = { file = "/run/secrets/1nce" }
//! ```
//!
//! A configuration holds no secret: it names the file or variable that does. Problems are reported with file, line and key.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use access_tokens_config::Config;
//! # let sandbox = access_tokens_sandbox::Sandbox::start().await?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("access-tokens.toml");
//! # std::fs::write(folder.path().join("1nce"), "sandbox-password\n")?;
//! # std::fs::write(&path, format!("[sources.sims]\nprovider = \"onence\"\nbase_url = \"{}\"\n\
//! #     username = \"sandbox@1nce.example\"\npassword = {{ file = \"1nce\" }}\n", sandbox.onence_base_url()))?;
//!
//! let config = Config::read(path)?; // such as access-tokens.toml, with the environment on top
//! let cache = config.source("sims")?.cache()?; // follows the files that it names, for years
//! let token = cache.token().await?;
//! assert!(token.secret().len() > 1000);
//! # Ok(()) }
//! ```
//!
//! `docs/configuration.md` has all settings, and [`schema`] the JSON Schema for an editor.

mod checked;
mod config;
mod document;
mod environment;
mod error;
mod flat;
mod material;
mod read;
mod reader;
mod reference;
mod schema;
mod section;
mod settings;
mod show;
mod source;
mod spelling;
mod store;
mod tree;
mod variable;

pub use checked::Checked;
pub use config::Config;
pub use error::{Error, Origin, Problem};
pub use flat::{FlatVariable, flat_variables};
pub use reader::Reader;
pub use schema::schema;
pub use source::Source;
pub use store::Store;
