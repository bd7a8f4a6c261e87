//! `access-tokens doctor`: checks each step of getting a token, and reports what to do where one fails.

mod probe;
mod report;

use std::time::{Duration, Instant, SystemTime};

use access_tokens::{AccessToken, ErrorKind, Identity, Obstacle, TokenEndpoint};
use access_tokens_config::{Checked, Config, Problem, Source, Store};

use self::{
    probe::Probe,
    report::{CLOCK, CONNECTION, EXCHANGE, KEY, LOOKUP, Report, SCOPES, SETTINGS, STORE, Section, Step, TLS},
};
use crate::{
    arguments::DoctorArguments,
    config,
    failure::{self, Failure},
    get, output, provider,
};

/// Days before a certificate expires from which on a warning is due: a provider takes days to register a new one.
const SOON: u64 = 30;
/// The same for a server's certificate: machines renew those a few days before they expire.
const VERY_SOON: u64 = 3;
/// Seconds of clock skew that a slow answer can explain.
const SKEWED: u64 = 5;
/// Seconds of clock skew up to which assertions are corrected: a day.
const CORRECTED: u64 = 24 * 60 * 60;

pub(crate) async fn run(arguments: DoctorArguments) -> Result<(), Failure> {
    let mut report = Report { json: arguments.json, sources: Vec::new() };
    let began = Instant::now();
    let names = arguments.sources.sources();
    match config::reader(&arguments.sources.config, names.iter().copied()).read() {
        Err(error) => refuse(&mut report, None, began, error.problems())?,
        Ok(config) => {
            if !config.other_problems().is_empty() {
                refuse(&mut report, None, began, config.other_problems())?;
            }
            for name in config::chosen(&config, names) {
                report_on(&mut report, &config, name).await?;
            }
        }
    }
    report.end()
}

/// Reports settings that can't be used, which leaves nothing to try.
fn refuse(report: &mut Report, name: Option<&str>, began: Instant, problems: &[Problem]) -> Result<(), Failure> {
    let mut source = report.begin(name, None)?;
    source.add(Step::refused(SETTINGS, problems).took(began.elapsed()))?;
    source.skip_until(STORE, SETTINGS)?;
    report.end_source(source)
}

/// Reports on the source of this name.
async fn report_on(report: &mut Report, config: &Config, name: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let (source, checked) = match config.source(name).and_then(|source| Ok((source, config.check(name)?))) {
        Ok(usable) => usable,
        Err(error) => {
            // The report names no source that doesn't exist.
            let known = config.names().find(|known| *known == name);
            return refuse(report, known, began, &config::problems(config, name, &error));
        }
    };
    let mut steps = report.begin(Some(name), Some(source.provider()))?;
    examine(&mut steps, source, &checked, began).await?;
    steps.add(match source.store() {
        Some(store) => check_store(store).await,
        None if config.has_store() => Step::skipped(STORE, "this source takes no part (store = false)"),
        None => Step::skipped(STORE, "no store is configured"),
    })?;
    report.end_source(steps)
}

/// All steps that a token needs; the store isn't among them.
async fn examine(steps: &mut Section, source: &Source, checked: &Checked, began: Instant) -> Result<(), Failure> {
    let (key_problems, problems) = checked.problems.iter().partition::<Vec<_>, _>(|problem| is_of_key(problem));
    let (key_warnings, warnings) = checked.warnings.iter().partition::<Vec<_>, _>(|problem| is_of_key(problem));
    let settings = match (problems.is_empty(), warnings.is_empty()) {
        (true, true) => Step::ok(SETTINGS, in_effect(source)),
        (true, false) => Step::warning(SETTINGS, in_effect(source), config::joined(warnings, "; ")),
        (false, _) => Step::refused(SETTINGS, problems),
    };
    steps.add(settings.took(began.elapsed()))?;

    let began = Instant::now();
    let (transport, signing) = (source.transport(), source.identity());
    let took = began.elapsed();
    let signing = signing.as_ref().ok().and_then(Option::as_ref);
    let shown = transport.as_ref().ok().and_then(|transport| transport.client_certificate());
    let key = match (key_problems.is_empty(), signing.or(shown)) {
        (true, None) => Step::skipped(KEY, "no key or certificate is used"),
        (true, Some(_)) => certificates(source, signing, shown, &key_warnings),
        (false, _) => Step::refused(KEY, key_problems),
    };
    steps.add(key.took(took))?;

    // Without a transport, nobody knows which way a request would go.
    if let Ok(transport) = transport {
        match get::answer(source.provider(), Probe::of(&transport, source.base_url())).await {
            Ok(probe) => {
                network(steps, source, &probe)?;
                if steps.first_failed().is_none() {
                    exchange(steps, source).await?;
                }
            }
            // The settings step reported it, since no client could be built either.
            Err(_) if steps.first_failed() == Some(SETTINGS) => {}
            Err(error) => {
                let next = format!("check {}", source.setting_name("transport"));
                steps.add(Step::failed(LOOKUP, format!("{error:#}"), next, failure::exit_code(&error)))?;
            }
        }
    }
    // Nothing failed if a file that was read well can't be read again.
    steps.skip_until(SCOPES, steps.first_failed().unwrap_or(SETTINGS))
}

/// The exchange, which fetches a token, and its scopes.
async fn exchange(steps: &mut Section, source: &Source) -> Result<(), Failure> {
    let Ok(endpoint) = source.endpoint() else { return Ok(()) };
    let began = Instant::now();
    match get::answer(source.provider(), endpoint.exchange()).await {
        Ok(token) => {
            let life = token.expires_in().map(|life| format!("for {}", output::seconds(life)));
            let life = life.unwrap_or_else(|| "for a time that isn't told".to_owned());
            steps.add(Step::ok(EXCHANGE, format!("a token, valid {life}")).took(began.elapsed()))?;
            steps.add(scopes(source, &token))
        }
        Err(error) => {
            let says = error.description().map(|text| format!("; the provider says: {text}")).unwrap_or_default();
            let (detail, next) = (format!("{error:#}{says}"), failure::next(&error, source));
            steps.add(Step::failed(EXCHANGE, detail, next, failure::exit_code(&error)).took(began.elapsed()))
        }
    }
}

/// The key with its certificate, and the client certificate of TLS: whose, and for how long.
fn certificates(source: &Source, signing: Option<&Identity>, shown: Option<&Identity>, warnings: &[&Problem]) -> Step {
    let (mut details, mut soon) = (Vec::new(), Vec::new());
    for (what, identity) in [("client assertion", signing), ("client certificate", shown)] {
        let Some(identity) = identity else { continue };
        let ((days, left), subject) = (time_left(identity.not_after()), identity.subject());
        details.push(format!("{what}: {}, {subject}, {left}", identity.key_type()));
        if days < SOON {
            soon.push(format!("{subject} ({what})"));
        }
    }
    let mut next = Vec::new();
    if !soon.is_empty() {
        let (soon, provider) = (soon.join(" and of "), provider::name(source.provider()));
        next.push(format!("ask for the successor of {soon} and register that with {provider} before this one ends"));
    }
    next.extend(warnings.iter().map(ToString::to_string));
    let details = details.join("; ");
    if next.is_empty() { Step::ok(KEY, details) } else { Step::warning(KEY, details, next.join("; ")) }
}

/// Name lookup, connection, TLS and clock skew, as one request found them.
fn network(steps: &mut Section, source: &Source, probe: &Probe) -> Result<(), Failure> {
    let mut failed = failed_step(source, probe);
    for found in [lookup(probe), connection(probe), tls(source, probe), clock(source, probe)] {
        let name = found.name;
        if let Some(failed) = failed.take_if(|failed| failed.name == name) {
            steps.add(failed)?;
            return steps.skip_until(CLOCK, name);
        }
        steps.add(found)?;
    }
    Ok(())
}

/// The step at which the request failed, with what to do about what stands in the way.
fn failed_step(source: &Source, probe: &Probe) -> Option<Step> {
    let error = probe.answer.as_ref().err()?;
    let (name, took) = match error.obstacle() {
        Some(Obstacle::Lookup) => (LOOKUP, probe.lookup.as_ref().map(|lookup| lookup.took)),
        // Without an obstacle it is something on this machine.
        Some(Obstacle::Connection | Obstacle::Proxy) | None => (CONNECTION, Some(probe.connecting)),
        // The exchange decides whether a missing answer matters.
        Some(Obstacle::Answer) => return None,
        Some(_) => (TLS, None),
    };
    // Of a certificate the message says what is wrong, which the cause would repeat in another's words.
    let is_said = name == TLS && error.kind() == ErrorKind::Configuration;
    let detail = if is_said { error.to_string() } else { format!("{error:#}") };
    let step = Step::failed(name, detail, failure::next(error, source), failure::exit_code(error));
    Some(step.took(took))
}

fn lookup(probe: &Probe) -> Step {
    let Some(lookup) = &probe.lookup else {
        let why = match probe.proxy {
            Some(_) => "the proxy is given by its address",
            None if probe.host.starts_with("localhost:") => "localhost is this machine",
            None => "the server is given by its address",
        };
        return Step::skipped(LOOKUP, why);
    };
    let addresses: Vec<_> = lookup.addresses.iter().map(ToString::to_string).collect();
    let (shown, more) = addresses.split_at(addresses.len().min(3));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let whose = if probe.proxy.is_some() { ", the proxy" } else { "" };
    Step::ok(LOOKUP, format!("{}{whose}: {}{more}", lookup.host, shown.join(", "))).took(lookup.took)
}

fn connection(probe: &Probe) -> Step {
    let through = probe.proxy.as_ref().map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
    Step::ok(CONNECTION, format!("{}{through}", probe.host)).took(probe.connecting)
}

fn tls(source: &Source, probe: &Probe) -> Step {
    if source.base_url().starts_with("http:") {
        return Step::skipped(TLS, "plain http, which doesn't leave this machine");
    }
    let certificate = probe.answer.as_ref().ok().and_then(|answer| answer.certificate.as_ref());
    let Some(certificate) = certificate else { return Step::ok(TLS, "the certificate is trusted") };
    let (days, left) = time_left(certificate.not_after);
    let detail = format!("{} is trusted, issued by {}, {left}", certificate.subject, certificate.issuer);
    if days >= VERY_SOON {
        return Step::ok(TLS, detail);
    }
    let provider = provider::name(source.provider());
    Step::warning(TLS, detail, format!("tell {provider} that the server's certificate is about to end"))
}

fn clock(source: &Source, probe: &Probe) -> Step {
    let answer = match &probe.answer {
        Ok(answer) => answer,
        Err(failure) => return Step::skipped(CLOCK, format!("{failure:#}, so its clock isn't known")),
    };
    let Some(skew) = answer.skew else { return Step::skipped(CLOCK, "the answer has no Date") };
    let off = output::seconds(Duration::from_secs(skew.unsigned_abs()));
    let detail = match skew {
        0 => "as the server's".to_owned(),
        1.. => format!("this machine is {off} behind the server"),
        _ => format!("this machine is {off} ahead of the server"),
    };
    let next = "set this machine's clock, and let a time server keep it (NTP)";
    let signs = matches!(source.identity(), Ok(Some(_)));
    let step = match skew.unsigned_abs() {
        off if off <= SKEWED => Step::ok(CLOCK, detail),
        _ if !signs => Step::warning(CLOCK, detail, next),
        off if off <= CORRECTED => {
            Step::warning(CLOCK, format!("{detail}; client assertions are corrected by that"), next)
        }
        _ => {
            let detail = format!("{detail}; client assertions can't be corrected by so much");
            Step::failed(CLOCK, detail, next, failure::LOCAL)
        }
    };
    step.took(probe.answering)
}

fn scopes(source: &Source, token: &AccessToken) -> Step {
    let granted = if token.scopes().is_empty() { "none".to_owned() } else { token.scopes().to_string() };
    let missing = token.missing_scopes();
    if missing.is_empty() {
        return Step::ok(SCOPES, format!("granted: {granted}"));
    }
    let (provider, scopes) = (provider::name(source.provider()), source.setting_name("scopes"));
    let next = format!("ask {provider} to add {missing} to the subscription, or take it out of {scopes}");
    Step::warning(SCOPES, format!("granted: {granted}; asked for, but not granted: {missing}"), next)
}

/// Whether the store works. No cache reports that to its callers, since tokens come without the store, too.
async fn check_store(store: &Store) -> Step {
    let began = Instant::now();
    let (shared, servers) = match (store.shared(), store.servers()) {
        (Ok(shared), Ok(servers)) => (shared, servers),
        (Err(error), _) | (_, Err(error)) => return Step::refused(STORE, error.problems()).took(began.elapsed()),
    };
    let checked = shared.check().await;
    let took = checked.as_ref().map_or_else(|_| began.elapsed(), |checked| checked.took());
    let step = match checked {
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled) => {
            let next = "check that the store runs, and store.urls (with TLS also store.roots and store.identity); if \
                        it is only slow, raise store.timeout. Until then each instance makes its own exchanges";
            Step::warning(STORE, format!("{servers}: {error:#}"), next)
        }
        Err(error) => {
            let next = "check store.urls, store.mode, store.username and store.password, and what the user may do \
                        there. Until then each instance makes its own exchanges";
            Step::failed(STORE, format!("{servers}: {error}"), next, failure::SETTING)
        }
        Ok(checked) if checked.skew().unsigned_abs() <= SKEWED => Step::ok(STORE, servers),
        Ok(checked) => {
            let off = output::seconds(Duration::from_secs(checked.skew().unsigned_abs()));
            let side = if checked.skew() > 0 { "ahead of" } else { "behind" };
            let next =
                "set the clocks of the store's servers and of this machine, and let a time server keep them (NTP)";
            Step::warning(STORE, format!("{servers}, whose clock is {off} {side} this machine's"), next)
        }
    };
    step.took(took)
}

/// Whether the problem is with a key, certificate or passphrase, and not with the settings around them.
fn is_of_key(problem: &Problem) -> bool {
    problem.key().split('.').skip(2).any(|part| part == "assertion" || part == "identity")
}

fn in_effect(source: &Source) -> String {
    let scopes = source.scopes();
    let scopes = if scopes.is_empty() { String::new() } else { format!(", for {scopes}") };
    format!("{} at {}{scopes}", provider::name(source.provider()), source.base_url())
}

/// The days until a certificate expires, also in words.
fn time_left(not_after: SystemTime) -> (u64, String) {
    let days = not_after.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs() / (24 * 60 * 60));
    (days, format!("{days} {} left", if days == 1 { "day" } else { "days" }))
}
