//! What the types of the store's settings don't say.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Inner, Store};
use crate::{
    error::Problem,
    settings::{StoreMode, StoreUrl},
};

const SCHEMES: [&str; 4] = ["redis://", "rediss://", "valkey://", "valkeys://"];
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);
const MOST_TIMEOUT: Duration = Duration::from_secs(2);

impl Store {
    /// What is wrong with the settings that their types don't say.
    pub(crate) fn check_settings(&self) -> Vec<Result<(), Problem>> {
        self.inner.check()
    }
}

impl Inner {
    fn check(&self) -> Vec<Result<(), Problem>> {
        let timeout = self.section.check_span("timeout", self.settings.timeout, LEAST_TIMEOUT..=MOST_TIMEOUT);
        let mut all = vec![timeout, self.check_mode()];
        let urls = self.settings.urls.keyed("urls");
        let mut written = Vec::new();
        for (key, url) in &urls {
            if let StoreUrl::Url(url) = url {
                all.push(self.check_written(key, url));
                written.push(Zeroizing::new(url.clone()));
            }
        }
        // Otherwise they are checked together once all are read.
        if written.len() == urls.len() {
            all.push(self.check_urls(&written));
        }
        all
    }

    fn check_mode(&self) -> Result<(), Problem> {
        let settings = &self.settings;
        let mode = self.section.name("mode");
        match settings.mode {
            StoreMode::Sentinel if settings.master.is_none() => {
                let message =
                    format!("is missing; {mode} is sentinel, which needs the name by which they know the master");
                return Err(self.section.problem("master", message));
            }
            StoreMode::Sentinel => {}
            StoreMode::Single | StoreMode::Cluster => {
                let of_sentinels = ["master", "sentinel_username", "sentinel_password"];
                if let Some(key) = of_sentinels.iter().find(|key| self.section.is_set(key)) {
                    let message = format!("is for sentinels alone; set {mode} to sentinel, or remove this");
                    return Err(self.section.problem(key, message));
                }
            }
        }
        if settings.mode == StoreMode::Single && settings.urls.keyed("urls").len() > 1 {
            let message = format!("several need {mode} to be cluster or sentinel; set that, or keep one URL");
            return Err(self.section.problem("urls", message));
        }
        Ok(())
    }

    /// A URL that stands in the configuration itself.
    fn check_written(&self, key: &str, url: &str) -> Result<(), Problem> {
        self.section.check_no_user(key, url)?;
        let is_plain = !url.contains(|c: char| "?#\\".contains(c) || c.is_whitespace() || c.is_control())
            && SCHEMES.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.starts_with('/')));
        if is_plain {
            return Ok(());
        }
        let message = "must be redis://host:port/database, or rediss:// for TLS, written plainly and with nothing more";
        Err(self.section.problem(key, message))
    }
}
