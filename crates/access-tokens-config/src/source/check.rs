//! What the types of the settings don't say: ranges, what excludes each other, what needs each other.

use std::{fmt::Display, net::Ipv4Addr, time::Duration};

use access_tokens::{Policy, Scopes, onence, worldline::Realm};
use url::Url;

use super::Inner;
use crate::{
    error::Problem,
    settings::{AssertionSettings, OnenceSettings, Proxy, SourceSettings, WorldlineSettings},
};

const TENTH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Inner {
    /// Checks all settings; gives the scopes.
    pub(super) fn check(&self) -> Result<Scopes, Problem> {
        self.check_base_url()?;
        let scopes = match &self.settings {
            SourceSettings::Onence(settings) => self.check_onence(settings)?,
            SourceSettings::Worldline(settings) => self.check_worldline(settings)?,
        };
        self.check_policy()?;
        self.check_transport()?;
        Ok(scopes)
    }

    fn check_base_url(&self) -> Result<(), Problem> {
        // Its key needs no more than that; and the rule stays in one place.
        let text = self.settings.base_url();
        let builder = onence::Client::builder(onence::Credentials::new("-", "-")).base_url(text);
        builder.key().map_err(|error| self.section.refused("base_url", &error))?;
        if !is_plain(text) || text.starts_with("http://") && !is_local(text) {
            let message = "must be written plainly: https:// in lower case, or http:// with localhost, 127.0.0.1 or [::1], and \
                           no @, \\ or space";
            return Err(self.section.problem("base_url", message));
        }
        let path = text.trim_end_matches('/');
        match ["/oauth/token", "/protocol/openid-connect/token"].into_iter().find(|end| path.ends_with(end)) {
            Some(end) => {
                let before = match self.settings {
                    SourceSettings::Onence(_) => "/oauth/token",
                    SourceSettings::Worldline(_) => "/realms",
                };
                Err(self.section.problem("base_url", format!("must not end in {end}; it is the URL before {before}")))
            }
            None => Ok(()),
        }
    }

    fn check_onence(&self, settings: &OnenceSettings) -> Result<Scopes, Problem> {
        if settings.username.as_str().contains(|c: char| c == ':' || c.is_control()) {
            let message =
                "must not hold a colon or a control character; Basic authentication can't carry them (RFC 7617)";
            return Err(self.section.problem("username", message));
        }
        Ok(Scopes::none())
    }

    fn check_worldline(&self, settings: &WorldlineSettings) -> Result<Scopes, Problem> {
        Realm::new(settings.realm.as_str()).map_err(|error| self.section.refused("realm", &error))?;
        let scopes = settings.scopes.text().parse::<Scopes>().ok();
        let scopes = scopes.filter(|scopes| !scopes.is_empty() && settings.scopes.is_plain());
        let scopes = scopes.ok_or_else(|| {
            self.section
                .problem("scopes", "must be one scope or more, such as VOP, of ASCII characters without \" and \\")
        })?;
        match (&settings.client_secret, &settings.assertion) {
            (Some(_), Some(_)) => return Err(self.section.both("client_secret", "assertion")),
            (None, None) => {
                return Err(self
                    .section
                    .problem("client_secret", "is missing; set client_secret, or a table assertion"));
            }
            (None, Some(assertion)) => self.check_assertion(assertion)?,
            (Some(_), None) => {}
        }
        Ok(scopes)
    }

    fn check_assertion(&self, settings: &AssertionSettings) -> Result<(), Problem> {
        self.section.check_key_pair("assertion", settings.key_pair())?;
        self.section.check_span("assertion.lifetime", settings.lifetime, SECOND..=HOUR, "from 1s to 1h")
    }

    fn check_policy(&self) -> Result<(), Problem> {
        let settings = self.settings.policy();
        // Each alone, so that it is known which one the facade is against; the widest of what else bounds it.
        let wide = || Policy::new().refresh_at(1.0).jitter(0.0).first_pause(TENTH).longest_pause(HOUR);
        let alone = [
            ("refresh_at", wide().refresh_at(settings.refresh_at)),
            ("jitter", wide().jitter(settings.jitter)),
            ("assumed_lifetime", wide().assumed_lifetime(settings.assumed_lifetime.0)),
            ("longest_pause", wide().longest_pause(settings.longest_pause.0)),
            ("first_pause", wide().first_pause(settings.first_pause.0)),
            ("longest_retry_after", wide().longest_retry_after(settings.longest_retry_after.0)),
            ("invalidation_pause", wide().invalidation_pause(settings.invalidation_pause.0)),
            ("exchange_timeout", wide().exchange_timeout(settings.exchange_timeout.0)),
        ];
        for (name, policy) in alone {
            policy.check().map_err(|error| {
                let text = error.to_string();
                let message = text.strip_prefix(&format!("the policy's {name} ")).unwrap_or(&text);
                self.section.problem(&format!("policy.{name}"), message)
            })?;
        }
        let most = settings.refresh_at / 2.0;
        self.check_at_most("policy.jitter", settings.jitter, "half of policy.refresh_at", "policy.refresh_at", most)?;
        let (first, longest) = (settings.first_pause, settings.longest_pause);
        self.check_at_most("policy.first_pause", first, "policy.longest_pause", "policy.longest_pause", longest)?;
        self.policy.check().map_err(|error| self.section.refused("policy", &error))
    }

    /// That a setting isn't above what another makes of it. Told at the one of the two that somebody set.
    fn check_at_most<T: PartialOrd + Display>(
        &self,
        key: &str,
        value: T,
        why: &str,
        other: &str,
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
            self.section.problem(key, format!("must be at most {most}, which is {why}{default}"))
        })
    }

    fn check_transport(&self) -> Result<(), Problem> {
        let transport = self.settings.transport();
        if let Some(Proxy::Url(url)) = &transport.proxy {
            self.check_proxy("transport.proxy", url, true)?;
        }
        if let Some(identity) = &transport.identity {
            self.section.check_key_pair("transport.identity", identity.key_pair())?;
        }
        let range = "from 100ms to 1h";
        self.section.check_span("transport.connect_timeout", transport.connect_timeout, TENTH..=HOUR, range)?;
        self.section.check_span("transport.timeout", transport.timeout, TENTH..=HOUR, range)?;
        // The longer one would do nothing; as a default it may.
        let (connect, request, exchange) =
            (transport.connect_timeout, transport.timeout, self.settings.policy().exchange_timeout);
        let (timeout, most) = ("transport.timeout", "policy.exchange_timeout");
        let connecting = "transport.connect_timeout";
        if self.section.is_set(timeout) {
            self.check_at_most(timeout, request, most, most, exchange)?;
        }
        if self.section.is_set(connecting) {
            self.check_at_most(connecting, connect, timeout, timeout, request)?;
        }
        Ok(())
    }

    /// The URL of a proxy, `written` in the configuration itself or read from where that says.
    pub(super) fn check_proxy(&self, key: &str, url: &str, written: bool) -> Result<(), Problem> {
        let parsed = Url::parse(url).ok();
        if written
            && parsed.as_ref().is_none_or(|url| !url.username().is_empty() || url.password().is_some())
            && url.contains('@')
        {
            let message =
                "a URL with a user name or password must be a reference, { env = \"NAME\" } or { file = \"path\" }";
            return Err(self.section.problem(key, message));
        }
        match parsed.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host()) {
            Some(_) if written && !is_plain(url) => Err(self
                .section
                .problem(key, "must be written plainly: http:// or https:// in lower case, and no @, \\ or space")),
            Some(_) => Ok(()),
            None => Err(self.section.problem(key, "must be an http:// or https:// URL")),
        }
    }
}

/// Whether a URL is written as the schema has it, too: parsers put much right.
fn is_plain(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.starts_with('/'))
        && !url.contains(|c: char| c == '@' || c == '\\' || c.is_whitespace() || c.is_control())
}

/// Whether the host of an `http` URL is this machine by one of its usual names.
fn is_local(url: &str) -> bool {
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => host,
    };
    ["localhost", "[::1]"].contains(&host) || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
