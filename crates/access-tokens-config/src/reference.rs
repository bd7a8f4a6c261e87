//! A setting that says where a secret, key, certificate or root is.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use access_tokens::SecretFile;

/// A setting that says where something is.
pub(crate) struct Reference {
    /// The setting, such as `password` or `transport.roots[1]`.
    pub(crate) key: String,
    /// The key of the path or name itself, such as `password.file`.
    pub(crate) at: String,
    pub(crate) place: Place,
}

pub(crate) enum Place {
    Variable(String),
    File {
        path: PathBuf,
        /// Whether a message may show it.
        shown: bool,
        /// What came out of a pipe, which comes only once.
        pipe: OnceLock<Arc<SecretFile>>,
    },
}
