//! `access-tokens doctor`: the way to each source's token, step by step, and what to do where it ends.

mod report;

use std::{
    error::Error as _,
    time::{Duration, Instant, SystemTime},
};

use access_tokens::{
    AccessToken, ErrorKind, Identity, TokenEndpoint,
    probe::{Obstacle, Probe},
};
use access_tokens_config::{Checked, Problem, Source, Store};

use self::report::{Examined, Outcome, Output, Step, StepName};
use crate::{
    arguments::DoctorArguments,
    config,
    failure::{self, Failure},
    get, output,
};

/// A certificate that ends sooner is warned of: a successor takes a provider days to register.
const SOON: u64 = 30;
/// Others' certificates are renewed by machines, a few days before they end.
const VERY_SOON: u64 = 3;
/// More than that is no answer that took its time.
const SKEWED: u64 = 5;
/// So far assertions are corrected by a server's clock, in seconds: a day.
const CORRECTED: u64 = 24 * 60 * 60;

pub(crate) async fn run(arguments: DoctorArguments) -> Result<(), Failure> {
    let mut output = Output::new(arguments.json);
    let begun = Instant::now();
    let names = arguments.sources.sources();
    let config = match config::reader(&arguments.sources.config, names.iter().copied()).read() {
        Ok(config) => config,
        Err(error) => {
            Examination::begin(&mut output, None, None)?.settings_refused(begun.elapsed(), error.problems())?;
            return output.end();
        }
    };
    if !config.other_problems().is_empty() {
        Examination::begin(&mut output, None, None)?.settings_refused(begun.elapsed(), config.other_problems())?;
    }
    for name in config::chosen(&config, names) {
        let begun = Instant::now();
        let (source, checked) = match (config.source(name), config.check(name)) {
            (Ok(source), Ok(checked)) => (source, checked),
            (Err(error), checked) => {
                // Of a source that isn't there nothing could be checked.
                let known = checked.as_ref().map(|_| name).ok();
                let problems = checked.as_ref().map(|checked| &*checked.problems).unwrap_or_default();
                let problems = if problems.is_empty() { error.problems() } else { problems };
                Examination::begin(&mut output, known, None)?.settings_refused(begun.elapsed(), problems)?;
                continue;
            }
            (Ok(_), Err(error)) => return Err(error.into()),
        };
        let mut examination = Examination::begin(&mut output, Some(name), Some(source))?;
        examination.examine(source, &checked, begun.elapsed()).await?;
        match source.store() {
            Some(store) => examination.store(store).await?,
            None if config.has_store() => {
                examination.skip(StepName::Store, "this source takes no part (store = false)")?;
            }
            None => examination.skip(StepName::Store, "no store is configured")?,
        }
        examination.end()?;
    }
    output.end()
}

/// The steps of one source so far.
struct Examination<'a> {
    output: &'a mut Output,
    examined: Examined,
    /// What failed first, of what the later steps need.
    failed: Option<StepName>,
}

impl<'a> Examination<'a> {
    fn begin(output: &'a mut Output, name: Option<&str>, source: Option<&Source>) -> Result<Self, Failure> {
        let examined = Examined::new(name, source.map(Source::provider));
        output.begin(&examined)?;
        Ok(Self { output, examined, failed: None })
    }

    fn end(self) -> Result<(), Failure> {
        self.output.examined(self.examined)
    }

    /// All that a token needs; the store isn't among that.
    async fn examine(&mut self, source: &Source, checked: &Checked, took: Duration) -> Result<(), Failure> {
        let of = |problems: &[Problem], of_key: bool| -> Vec<Problem> {
            problems.iter().filter(|problem| is_of_key(problem) == of_key).cloned().collect()
        };
        match (&*of(&checked.problems, false), &*of(&checked.warnings, false)) {
            ([], []) => self.ok(StepName::Settings, Some(took), in_effect(source))?,
            ([], warnings) => {
                let next = Some(joined(warnings));
                self.warn(StepName::Settings, Some(took), in_effect(source), next)?;
            }
            (problems, _) => self.refused(StepName::Settings, took, problems)?,
        }

        let begun = Instant::now();
        let (transport, identity) = (source.transport(), source.identity());
        let took = begun.elapsed();
        let shown = transport.as_ref().ok().and_then(|transport| transport.client_certificate());
        match (&*of(&checked.problems, true), identity.as_ref().ok().and_then(Option::as_ref)) {
            ([], None) if shown.is_none() => self.skip(StepName::Key, "no key or certificate is used")?,
            ([], signing) => {
                self.certificates(took, signing, shown, source, &of(&checked.warnings, true))?;
            }
            (problems, _) => self.refused(StepName::Key, took, problems)?,
        }

        let Ok(transport) = &transport else {
            // Without it nobody knows by which way a request would go.
            return self.skip_rest();
        };
        match get::answer(source.provider(), transport.probe(source.base_url())).await {
            Ok(probe) => self.way(source, &probe)?,
            // Told with the settings, since no client could be built either.
            Err(_) if self.failed == Some(StepName::Settings) => return self.skip_rest(),
            Err(error) => self.fail(
                StepName::Lookup,
                None,
                chain(&error),
                format!("check {}", source.setting_name("transport")),
                failure::exit_code(&error),
            )?,
        }
        let Ok(endpoint) = source.endpoint() else { return self.skip_rest() };
        if self.failed.is_some() {
            return self.skip_rest();
        }

        let begun = Instant::now();
        match get::answer(source.provider(), endpoint.exchange()).await {
            Ok(token) => {
                let life = token.expires_in().map_or("for a time that isn't told".to_owned(), |life| {
                    format!("for {}", humantime::format_duration(Duration::from_secs(life.as_secs())))
                });
                self.ok(StepName::Exchange, Some(begun.elapsed()), format!("a token, valid {life}"))?;
                self.scopes(source, &token)
            }
            Err(error) => {
                let says = error.description().map(|text| format!("; the provider says: {text}")).unwrap_or_default();
                let next = failure::next(&error, &config::settings(source));
                let detail = format!("{}{says}", chain(&error));
                self.fail(StepName::Exchange, Some(begun.elapsed()), detail, next, failure::exit_code(&error))?;
                self.skip_rest()
            }
        }
    }

    /// The key with its certificate, and the client certificate of TLS: whose, and for how long.
    fn certificates(
        &mut self,
        took: Duration,
        signing: Option<&Identity>,
        shown: Option<&Identity>,
        source: &Source,
        warnings: &[Problem],
    ) -> Result<(), Failure> {
        let (mut details, mut soon) = (Vec::new(), Vec::new());
        for (what, identity) in [("client assertion", signing), ("client certificate", shown)] {
            let Some(identity) = identity else { continue };
            let (left, subject) = (days_until(identity.not_after()), identity.subject());
            details.push(format!("{what}: {}, {subject}, {}", identity.key_type(), days(left)));
            if left < SOON {
                soon.push(format!("{subject} ({what})"));
            }
        }
        let details = details.join("; ");
        let mut next = Vec::new();
        if !soon.is_empty() {
            let (soon, provider) = (soon.join(" and of "), output::name(source.provider()));
            next.push(format!(
                "ask for the successor of {soon} and register that with {provider} before this one ends"
            ));
        }
        if !warnings.is_empty() {
            next.push(joined(warnings));
        }
        match &*next {
            [] => self.ok(StepName::Key, Some(took), details),
            next => self.warn(StepName::Key, Some(took), details, Some(next.join("; "))),
        }
    }

    /// Name lookup, connection, TLS and clock skew, as one request found them.
    fn way(&mut self, source: &Source, probe: &Probe) -> Result<(), Failure> {
        let obstacle = probe.failure().map(|failure| failure.obstacle());
        let failed_at = |examination: &mut Self, step, took| match probe.failure() {
            Some(failure) => {
                let next = next_after(failure.obstacle(), source, probe);
                let code = failure::exit_code(failure.error());
                let detail = match failure.obstacle() {
                    // Whose cause adds nothing to our words.
                    Obstacle::UnknownIssuer
                    | Obstacle::CertificateEnded
                    | Obstacle::CertificateNotYetValid
                    | Obstacle::WrongName => failure.error().to_string(),
                    _ => chain(failure.error()),
                };
                examination.fail(step, took, detail, next, code)
            }
            None => Ok(()),
        };
        let lookup = probe.lookup();
        match lookup {
            _ if obstacle == Some(Obstacle::Lookup) => {
                failed_at(self, StepName::Lookup, lookup.map(|lookup| lookup.took()))?;
                return self.skip_until(StepName::Clock, self.examined.last_failed());
            }
            Some(lookup) => {
                let mut addresses = lookup.addresses().iter().map(ToString::to_string);
                let shown: Vec<_> = addresses.by_ref().take(3).collect();
                let more = match addresses.count() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let whose = probe.proxy().map_or("", |_| ", the proxy");
                let detail = format!("{}{whose}: {}{more}", lookup.host(), shown.join(", "));
                self.ok(StepName::Lookup, Some(lookup.took()), detail)?;
            }
            None => {
                let why = match probe.proxy() {
                    Some(_) => "the proxy is given by its address",
                    None if probe.host().starts_with("localhost:") => "localhost is this machine",
                    None => "the server is given by its address",
                };
                self.skip(StepName::Lookup, why)?;
            }
        }

        let connecting = Some(probe.connecting());
        let plain = source.base_url().starts_with("http:");
        match obstacle {
            Some(Obstacle::Connection | Obstacle::Proxy) => {
                failed_at(self, StepName::Connection, connecting)?;
                return self.skip_until(StepName::Clock, self.examined.last_failed());
            }
            _ => {
                let through = probe.proxy().map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
                self.ok(StepName::Connection, connecting, format!("{}{through}", probe.host()))?;
            }
        }

        match (obstacle, probe.certificate()) {
            (None | Some(Obstacle::Answer), _) if plain => {
                self.skip(StepName::Tls, "plain http, which doesn't leave this machine")?;
            }
            (None | Some(Obstacle::Answer), None) => {
                self.ok(StepName::Tls, None, "the certificate is trusted".to_owned())?;
            }
            (None, Some(certificate)) => {
                let left = days_until(certificate.not_after());
                let detail =
                    format!("{} is trusted, issued by {}, {}", certificate.subject(), certificate.issuer(), days(left));
                if left < VERY_SOON {
                    let provider = output::name(source.provider());
                    let next = format!("tell {provider} that the server's certificate is about to end");
                    self.warn(StepName::Tls, None, detail, Some(next))?;
                } else {
                    self.ok(StepName::Tls, None, detail)?;
                }
            }
            _ => {
                failed_at(self, StepName::Tls, None)?;
                return self.skip_until(StepName::Clock, self.examined.last_failed());
            }
        }
        self.clock(source, probe)
    }

    fn clock(&mut self, source: &Source, probe: &Probe) -> Result<(), Failure> {
        let took = probe.answering();
        if let Some(failure) = probe.failure() {
            // The exchange decides whether that matters.
            return self.skip(StepName::Clock, &format!("{}, so its clock isn't known", chain(failure.error())));
        }
        let Some(skew) = probe.skew() else { return self.skip(StepName::Clock, "the answer has no Date") };
        let off = humantime::format_duration(Duration::from_secs(skew.unsigned_abs()));
        let detail = match skew {
            0 => "as the server's".to_owned(),
            1.. => format!("this machine is {off} behind the server"),
            _ => format!("this machine is {off} ahead of the server"),
        };
        if skew.unsigned_abs() <= SKEWED {
            return self.ok(StepName::Clock, took, detail);
        }
        let next = "set this machine's clock, and let a time server keep it (NTP)".to_owned();
        let corrected = match source.identity() {
            Ok(Some(_)) if skew.unsigned_abs() > CORRECTED => {
                let detail = format!("{detail}; client assertions can't be corrected by so much");
                return self.fail(StepName::Clock, took, detail, next, failure::LOCAL);
            }
            Ok(Some(_)) => "; client assertions are corrected by that",
            _ => "",
        };
        self.warn(StepName::Clock, took, format!("{detail}{corrected}"), Some(next))
    }

    fn scopes(&mut self, source: &Source, token: &AccessToken) -> Result<(), Failure> {
        let granted = match token.scopes() {
            none if none.is_empty() => "granted: none".to_owned(),
            scopes => format!("granted: {scopes}"),
        };
        let missing = token.missing_scopes();
        if missing.is_empty() {
            return self.ok(StepName::Scopes, None, granted);
        }
        let provider = output::name(source.provider());
        let scopes = source.setting_name("scopes");
        let next = format!("ask {provider} to add {missing} to the subscription, or take it out of {scopes}");
        self.warn(StepName::Scopes, None, format!("{granted}; asked for, but not granted: {missing}"), Some(next))
    }

    /// What no caller of a cache is told: the store doesn't work.
    async fn store(&mut self, store: &Store) -> Result<(), Failure> {
        let begun = Instant::now();
        let (shared, servers) = match (store.shared(), store.servers()) {
            (Ok(shared), Ok(servers)) => (shared, servers),
            (Err(error), _) | (_, Err(error)) => {
                return self.refused(StepName::Store, begun.elapsed(), error.problems());
            }
        };
        let begun = Instant::now();
        let checked = match shared.check().await {
            Ok(checked) => checked,
            Err(error) => {
                let took = Some(begun.elapsed());
                return match error.kind() {
                    ErrorKind::Unavailable | ErrorKind::Throttled => {
                        let next = "check that the store runs, and store.urls (with TLS also store.roots and store.identity); if \
                                    it is only slow, raise store.timeout. Until then each instance makes its own exchanges";
                        self.warn(StepName::Store, took, format!("{servers}: {}", chain(&error)), Some(next.to_owned()))
                    }
                    _ => {
                        let next = "check store.urls, store.mode, store.username and store.password, and what the user may do \
                                    there. Until then each instance makes its own exchanges";
                        let detail = format!("{servers}: {error}");
                        self.fail(StepName::Store, took, detail, next.to_owned(), failure::SETTING)
                    }
                };
            }
        };
        let (took, skew) = (Some(checked.took()), checked.skew());
        if skew.unsigned_abs() <= SKEWED {
            return self.ok(StepName::Store, took, servers);
        }
        let off = humantime::format_duration(Duration::from_secs(skew.unsigned_abs()));
        let side = if skew > 0 { "ahead of" } else { "behind" };
        let detail = format!("{servers}, whose clock is {off} {side} this machine's");
        let next = "set the clocks of the store's servers and of this machine, and let a time server keep them (NTP)";
        self.warn(StepName::Store, took, detail, Some(next.to_owned()))
    }

    /// The settings can't be used; there is nothing to try.
    fn settings_refused(mut self, took: Duration, problems: &[Problem]) -> Result<(), Failure> {
        self.refused(StepName::Settings, took, problems)?;
        self.skip_until(StepName::Store, self.failed)?;
        self.end()
    }

    fn refused(&mut self, step: StepName, took: Duration, problems: &[Problem]) -> Result<(), Failure> {
        let next = "correct that, and run this again".to_owned();
        self.fail(step, Some(took), joined(problems), next, failure::SETTING)
    }

    fn ok(&mut self, step: StepName, took: Option<Duration>, detail: String) -> Result<(), Failure> {
        self.add(Step { step, outcome: Outcome::Ok, took_ms: milliseconds(took), detail, next: None })
    }

    fn warn(
        &mut self,
        step: StepName,
        took: Option<Duration>,
        detail: String,
        next: Option<String>,
    ) -> Result<(), Failure> {
        self.add(Step { step, outcome: Outcome::Warning, took_ms: milliseconds(took), detail, next })
    }

    fn fail(
        &mut self,
        step: StepName,
        took: Option<Duration>,
        detail: String,
        next: String,
        exit_code: u8,
    ) -> Result<(), Failure> {
        self.failed.get_or_insert(step);
        self.output.failed(exit_code);
        self.add(Step { step, outcome: Outcome::Failed, took_ms: milliseconds(took), detail, next: Some(next) })
    }

    fn skip(&mut self, step: StepName, why: &str) -> Result<(), Failure> {
        self.add(Step { step, outcome: Outcome::Skipped, took_ms: None, detail: why.to_owned(), next: None })
    }

    /// Skips what follows, up to and with `last`, for want of what failed.
    fn skip_until(&mut self, last: StepName, failed: Option<StepName>) -> Result<(), Failure> {
        let why = failed.map_or(String::new(), |step| format!("not tried, since {} failed", step.name()));
        while let Some(step) = self.examined.next_step().filter(|step| *step <= last) {
            self.skip(step, &why)?;
        }
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<(), Failure> {
        self.skip_until(StepName::Scopes, self.failed)
    }

    fn add(&mut self, step: Step) -> Result<(), Failure> {
        self.output.step(&step)?;
        self.examined.add(step);
        Ok(())
    }
}

/// What to do about what stands in the way.
fn next_after(obstacle: Obstacle, source: &Source, probe: &Probe) -> String {
    let provider = output::name(source.provider());
    let [base_url, proxy, roots, identity] =
        ["base_url", "transport.proxy", "transport.roots", "transport.identity"].map(|key| source.setting_name(key));
    let proxy = format!("{proxy}, or else the variables HTTPS_PROXY, ALL_PROXY and NO_PROXY");
    match obstacle {
        Obstacle::Lookup if probe.proxy().is_some() => format!("check {proxy}, and this machine's name servers"),
        Obstacle::Lookup => format!("check {base_url}, and this machine's name servers"),
        Obstacle::Connection => {
            format!("check {base_url}, and that firewalls let this machine connect to {}", probe.host())
        }
        Obstacle::Proxy => format!("check {proxy}, and that the proxy lets this machine connect to {}", probe.host()),
        Obstacle::UnknownIssuer => format!(
            "check {base_url}; if it is right, put the root certificate of whoever issued it (the provider, or a proxy that looks \
             into TLS) into {roots}"
        ),
        Obstacle::CertificateEnded | Obstacle::CertificateNotYetValid => {
            format!("check this machine's clock; if it is right, tell {provider}")
        }
        Obstacle::WrongName => format!("check the host in {base_url}; if it is right, tell {provider}"),
        Obstacle::ClientCertificate => {
            format!("set {identity} to a key and certificate that are registered with {provider}")
        }
        _ => format!("check {base_url}, and that nothing on the way looks into TLS"),
    }
}

/// Whether a problem is one of a key, certificate or passphrase, and not of the settings around them.
fn is_of_key(problem: &Problem) -> bool {
    problem.key().split('.').skip(2).any(|part| part == "assertion" || part == "identity")
}

fn joined(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn in_effect(source: &Source) -> String {
    let scopes = match source.scopes() {
        none if none.is_empty() => String::new(),
        scopes => format!(", for {scopes}"),
    };
    format!("{} at {}{scopes}", output::name(source.provider()), source.base_url())
}

/// An error with its innermost cause, which is the one that says why.
fn chain(error: &access_tokens::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    match cause.map(ToString::to_string) {
        Some(cause) if !cause.is_empty() => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

fn days_until(end: SystemTime) -> u64 {
    end.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs() / (24 * 60 * 60))
}

fn days(left: u64) -> String {
    format!("{left} {} left", if left == 1 { "day" } else { "days" })
}

fn milliseconds(took: Option<Duration>) -> Option<u64> {
    took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}
