//! What the types of the store's settings don't say.

use std::time::Duration;

use access_tokens::Setting;
use access_tokens_redis::RedisStore;
use zeroize::Zeroizing;

use super::Inner;
use crate::{
    error::{Problem, text},
    settings::{StoreMode, StoreUrl},
};

const SCHEMES: [&str; 4] = ["redis://", "rediss://", "valkey://", "valkeys://"];
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);
const MOST_TIMEOUT: Duration = Duration::from_secs(2);

impl Inner {
    pub(super) fn check(&self) -> Vec<Result<(), Problem>> {
        let settings = &self.settings;
        let refused = |error: access_tokens::Error| self.section.refused("", &error);
        let prefix = RedisStore::builder(["redis://redis"]).prefix(settings.prefix.as_str()).build();
        let names = [
            (Setting::Master, &settings.master),
            (Setting::Username, &settings.username),
            (Setting::SentinelUsername, &settings.sentinel_username),
        ];
        let names = names.map(|(setting, name)| name.as_ref().map_or(Ok(()), |name| setting.check(name.as_str())));
        let range = LEAST_TIMEOUT..=MOST_TIMEOUT;
        let mut all = vec![
            prefix.map(|_| ()).map_err(refused),
            self.section.check_span("timeout", settings.timeout, range, "from 10ms to 2s"),
            self.check_mode(),
        ];
        all.extend(names.map(|checked| checked.map_err(refused)));
        let urls = settings.urls.keyed("urls");
        let written = urls.iter().filter_map(|(key, url)| match url {
            StoreUrl::Url(url) => Some((key.clone(), Zeroizing::new(url.clone()))),
            StoreUrl::Reference(_) => None,
        });
        let written: Vec<_> = written.collect();
        let each: Vec<_> = written.iter().map(|(key, url)| self.check_written(key, url)).collect();
        let is_written = written.len() == urls.len() && each.iter().all(Result::is_ok);
        all.extend(each);
        if is_written {
            // Otherwise they are checked together once all are read.
            let password = settings.username.is_none() || settings.password.is_some();
            let missing = || self.section.problem("password", "is missing; username needs its password");
            all.push(if password { Ok(()) } else { Err(missing()) });
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
        if settings.sentinel_username.is_some() && settings.sentinel_password.is_none() {
            let message = "is missing; the user name for the sentinels needs its password";
            return Err(self.section.problem("sentinel_password", message));
        }
        if settings.mode == StoreMode::Single && settings.urls.keyed("urls").len() > 1 {
            let message = format!("several need {mode} to be cluster or sentinel; set that, or keep one URL");
            return Err(self.section.problem("urls", message));
        }
        Ok(())
    }

    /// A URL that stands in the configuration itself.
    fn check_written(&self, key: &str, url: &str) -> Result<(), Problem> {
        if url.contains('@') {
            let message =
                "a URL with a user name or password must be a reference, { env = \"NAME\" } or { file = \"path\" }";
            return Err(self.section.problem(key, message));
        }
        let is_plain = !url.contains(|c: char| "?#\\".contains(c) || c.is_whitespace() || c.is_control())
            && SCHEMES.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.starts_with('/')));
        if is_plain {
            return Ok(());
        }
        let message = "must be redis://host:port/database, or rediss:// for TLS, written plainly and with nothing more";
        Err(self.section.problem(key, message))
    }

    /// The URLs themselves, and whether they fit to each other and to what is set beside them.
    pub(super) fn check_urls(&self, urls: &[(String, Zeroizing<String>)]) -> Result<(), Problem> {
        // TLS is left out where it doesn't matter: it can't be set up on a machine without roots.
        let without_tls: Vec<_> = urls.iter().map(|(_, url)| Zeroizing::new(without_tls(url))).collect();
        for ((key, _), url) in urls.iter().zip(&without_tls) {
            let alone = RedisStore::builder([url.as_str()]).build();
            alone.map_err(|error| self.section.problem(key, error.to_string()))?;
        }
        let tls = urls.iter().filter(|(_, url)| is_tls(url)).count();
        if tls > 0 && tls < urls.len() {
            return Err(self.section.problem("urls", "must all begin with redis://, or all with rediss://"));
        }
        let of_tls = [("roots", !self.settings.roots.is_empty()), ("identity", self.settings.identity.is_some())];
        if let Some((key, _)) = of_tls.iter().find(|(_, is_set)| *is_set && tls == 0) {
            let urls = self.section.name("urls");
            return Err(self.section.problem(key, format!("is for TLS; use rediss:// in {urls}, or remove this")));
        }
        let together = self.builder(without_tls.iter().map(|url| url.as_str())).build();
        together.map(|_| ()).map_err(|error| self.section.problem("urls", text(&error)))
    }
}

fn is_tls(url: &str) -> bool {
    let scheme = url.trim_start().split("://").next().unwrap_or_default().to_ascii_lowercase();
    ["rediss", "valkeys"].contains(&&*scheme)
}

fn without_tls(url: &str) -> String {
    match url.split_once("://").filter(|_| is_tls(url)) {
        Some((_, rest)) => format!("redis://{rest}"),
        None => url.to_owned(),
    }
}
