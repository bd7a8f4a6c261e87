//! What is shown of a credential: a fingerprint, by which it's told from another.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{self, Algorithm};

use crate::fault::Endpoint;

/// The digest in upper-case hex digits.
pub(crate) fn fingerprint(algorithm: &'static Algorithm, content: &[u8]) -> String {
    digest::digest(algorithm, content).as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
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

impl fmt::Debug for LastCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A weak secret can be guessed by its digest.
        f.write_str("LastCredentials(..)")
    }
}
