//! What the types of the settings don't say: ranges, what excludes each other, what needs each other.

use std::{fmt::Display, time::Duration};

use access_tokens::{Policy, Scopes, Setting, Transport, onence, worldline::Realm};

use super::{Inner, Source};
use crate::{
    error::Problem,
    settings::{AssertionSettings, OnenceSettings, Proxy, SourceSettings, WorldlineSettings},
};

const TENTH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Source {
    /// What is wrong with the settings that their types don't say.
    pub(crate) fn check_settings(&self) -> Vec<Result<(), Problem>> {
        self.0.check()
    }
}

impl Inner {
    fn check(&self) -> Vec<Result<(), Problem>> {
        let mut all = vec![self.check_base_url()];
        match &self.settings {
            SourceSettings::Onence(settings) => all.push(self.check_username(settings)),
            SourceSettings::Worldline(settings) => all.extend(self.check_worldline(settings)),
        }
        all.extend(self.check_policy());
        all.extend(self.check_transport());
        all
    }

    fn check_base_url(&self) -> Result<(), Problem> {
        // The id of its tokens needs no more than that; and the rule stays in one place.
        let credentials = onence::Credentials::new("-", "-");
        let id = onence::Client::builder(credentials).base_url(self.settings.base_url()).token_id();
        id.map(|_| ()).map_err(|error| self.section.refused("", &error))
    }

    fn check_username(&self, settings: &OnenceSettings) -> Result<(), Problem> {
        let credentials = onence::Credentials::new(settings.username.as_str(), "-");
        credentials.check().map_err(|error| self.section.refused("", &error))
    }

    fn check_worldline(&self, settings: &WorldlineSettings) -> Vec<Result<(), Problem>> {
        let refused = |error: access_tokens::Error| self.section.refused("", &error);
        let realm = Realm::new(settings.realm.as_str()).map(|_| ()).map_err(refused);
        let client_id = Setting::ClientId.check(settings.client_id.as_str()).map_err(refused);
        let scopes =
            settings.scopes.keyed("scopes").into_iter().map(|(key, text)| match text.as_str().parse::<Scopes>() {
                Err(error) => Err(self.section.problem(&key, error.to_string())),
                Ok(scopes) if scopes.is_empty() => Err(self.section.problem(&key, "must hold a scope, such as VOP")),
                Ok(_) => Ok(()),
            });
        let credentials = match (&settings.client_secret, &settings.assertion) {
            (Some(_), Some(_)) => Err(self.section.both("client_secret", "assertion")),
            (None, None) => {
                let assertion = self.section.name("assertion.key");
                Err(self.section.problem("client_secret", format!("is missing; set it, or {assertion}")))
            }
            _ => Ok(()),
        };
        let assertion = settings.assertion.iter().flat_map(|assertion| self.check_assertion(assertion));
        [realm, client_id, credentials].into_iter().chain(scopes).chain(assertion).collect()
    }

    fn check_assertion(&self, settings: &AssertionSettings) -> Vec<Result<(), Problem>> {
        let why = settings.needs_certificate();
        vec![
            self.section.check_key_pair("assertion", why),
            self.section.check_span("assertion.lifetime", settings.lifetime, SECOND..=HOUR),
        ]
    }

    fn check_policy(&self) -> Vec<Result<(), Problem>> {
        let settings = self.settings.policy();
        // Each alone, so that each mistake is found; the widest of what else bounds it.
        let wide = || Policy::new().refresh_at(1.0).jitter(0.0).first_pause(TENTH).longest_pause(HOUR);
        let alone = [
            wide().refresh_at(settings.refresh_at),
            wide().jitter(settings.jitter),
            wide().assumed_lifetime(settings.assumed_lifetime.0),
            wide().longest_pause(settings.longest_pause.0),
            wide().longest_rejected_pause(settings.longest_rejected_pause.0),
            wide().first_pause(settings.first_pause.0),
            wide().longest_retry_after(settings.longest_retry_after.0),
            wide().invalidation_pause(settings.invalidation_pause.0),
            wide().exchange_timeout(settings.exchange_timeout.0),
        ];
        let refused = |error: access_tokens::Error| self.section.refused("policy", &error);
        let mut all: Vec<_> = alone.iter().map(|policy| policy.check().map_err(refused)).collect();
        let most = settings.refresh_at / 2.0;
        all.push(self.check_at_most("policy.jitter", settings.jitter, "policy.refresh_at", "half of ", most));
        let (first, longest) = (settings.first_pause, settings.longest_pause);
        all.push(self.check_at_most("policy.first_pause", first, "policy.longest_pause", "", longest));
        all
    }

    /// That a setting isn't above what another makes of it. Reported at the one of the two that somebody set.
    fn check_at_most<T: PartialOrd + Display>(
        &self,
        key: &str,
        value: T,
        other: &str,
        part: &str,
        most: T,
    ) -> Result<(), Problem> {
        if value <= most {
            return Ok(());
        }
        let by_default = |key: &str| !self.section.is_set(key);
        Err(if by_default(key) {
            self.section.problem(other, format!("needs {key} of at most {most}, whose default is {value}"))
        } else {
            let default = if by_default(other) { " by default" } else { "" };
            self.section.problem(key, format!("must be at most {most}, which is {part}{other}{default}"))
        })
    }

    fn check_transport(&self) -> Vec<Result<(), Problem>> {
        let transport = self.settings.transport();
        let (connecting, timeout, most) = ("transport.connect_timeout", "transport.timeout", "policy.exchange_timeout");
        let span = |key, value| self.section.check_span(key, value, TENTH..=HOUR);
        let mut all = vec![span(connecting, transport.connect_timeout), span(timeout, transport.timeout)];
        if let Some(Proxy::Url(url)) = &transport.proxy {
            all.push(self.check_written_proxy(url));
        }
        if transport.identity.is_some() {
            all.push(self.section.check_key_pair("transport.identity", Some("the key needs its certificate")));
        }
        // The longer one would do nothing; as a default it may.
        if self.section.is_set(timeout) {
            let exchange = self.settings.policy().exchange_timeout;
            all.push(self.check_at_most(timeout, transport.timeout, most, "", exchange));
        }
        if self.section.is_set(connecting) {
            all.push(self.check_at_most(connecting, transport.connect_timeout, timeout, "", transport.timeout));
        }
        all
    }

    /// The URL of a proxy that stands in the configuration itself, where no password may be.
    fn check_written_proxy(&self, url: &str) -> Result<(), Problem> {
        let key = "transport.proxy";
        self.section.check_no_user(key, url)?;
        let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if rest.is_none_or(|rest| rest.starts_with('/')) {
            return Err(self.section.problem(key, "must be http://host:port or https://host:port"));
        }
        Transport::new().proxy(url).check().map_err(|error| self.section.refused("transport", &error))
    }
}
