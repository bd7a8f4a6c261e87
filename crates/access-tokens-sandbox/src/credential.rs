//! What is shown of a credential: a fingerprint, by which it's told from another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{self, Algorithm, SHA256};

use crate::fault::Endpoint;

/// The digest in upper-case hex digits.
pub(crate) fn fingerprint(algorithm: &'static Algorithm, content: &[u8]) -> String {
    digest::digest(algorithm, content).as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// What a text is remembered by: long ones take no more room than short ones, and secrets aren't kept.
pub(crate) fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

/// The fingerprint of the credential that each endpoint last gave a token for.
#[derive(Default)]
pub(crate) struct LastCredentials(Mutex<HashMap<Endpoint, String>>);

impl LastCredentials {
    pub(crate) fn set(&self, endpoint: Endpoint, fingerprint: String) {
        self.lock().insert(endpoint, fingerprint);
    }

    pub(crate) fn get(&self, endpoint: Endpoint) -> Option<String> {
        self.lock().get(&endpoint).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
