//! `access-tokens doctor`: checks each step of getting a token, and reports what to do where one fails.

mod report;

use std::time::{Duration, Instant, SystemTime};

use access_tokens::{
    AccessToken, ErrorKind, Identity, TokenEndpoint,
    probe::{Failure as Obstruction, Obstacle, Probe},
};
use access_tokens_config::{Checked, Config, Problem, Source, Store};

use self::report::{
    CLOCK, CONNECTION, EXCHANGE, KEY, LOOKUP, Report, SCOPES, SETTINGS, STORE, SourceReport, Step, TLS,
};
use crate::{
    arguments::DoctorArguments,
    config,
    failure::{self, Failure},
    get, output,
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
    let mut report = Report::new(arguments.json);
    let began = Instant::now();
    let names = arguments.sources.sources();
    match config::reader(&arguments.sources.config, names.iter().copied()).read() {
        Err(error) => refuse(&mut report, None, began, error.problems())?,
        Ok(config) => {
            if !config.other_problems().is_empty() {
                refuse(&mut report, None, began, config.other_problems())?;
            }
            for name in config::chosen(&config, names) {
                examine(&mut report, &config, name).await?;
            }
        }
    }
    report.end()
}

/// Reports settings that can't be used, which leaves nothing to try.
fn refuse(report: &mut Report, name: Option<&str>, began: Instant, problems: &[Problem]) -> Result<(), Failure> {
    let mut source = report.begin(name, None)?;
    source.add(Step::refused(SETTINGS, joined(problems)).took(began.elapsed()))?;
    source.skip_until(STORE, SETTINGS)?;
    report.end_source(source)
}

async fn examine(report: &mut Report, config: &Config, name: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let checked = match config.check(name) {
        Ok(checked) => checked,
        // There is no such source.
        Err(error) => return refuse(report, None, began, error.problems()),
    };
    let source = match config.source(name) {
        Ok(source) => source,
        Err(error) => return refuse(report, Some(name), began, &config::problems(config, name, &error)),
    };
    let mut steps = report.begin(Some(name), Some(source.provider()))?;
    get_token(&mut steps, source, &checked, began).await?;
    let began = Instant::now();
    steps.add(match source.store() {
        Some(store) => check_store(store).await.took(began.elapsed()),
        None if config.has_store() => Step::skipped(STORE, "this source takes no part (store = false)"),
        None => Step::skipped(STORE, "no store is configured"),
    })?;
    report.end_source(steps)
}

/// All steps that a token needs; the store isn't among them.
async fn get_token(
    steps: &mut SourceReport,
    source: &Source,
    checked: &Checked,
    began: Instant,
) -> Result<(), Failure> {
    let (key_problems, problems) = checked.problems.iter().partition::<Vec<_>, _>(|problem| is_of_key(problem));
    let (key_warnings, warnings) = checked.warnings.iter().partition::<Vec<_>, _>(|problem| is_of_key(problem));
    let settings = match (problems.is_empty(), warnings.is_empty()) {
        (true, true) => Step::ok(SETTINGS, in_effect(source)),
        (true, false) => Step::warning(SETTINGS, in_effect(source), joined(warnings)),
        (false, _) => Step::refused(SETTINGS, joined(problems)),
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
        (false, _) => Step::refused(KEY, joined(key_problems)),
    };
    steps.add(key.took(took))?;

    // Without a transport, nobody knows which way a request would go.
    if let Ok(transport) = transport {
        match get::answer(source.provider(), transport.probe(source.base_url())).await {
            Ok(probe) => network(steps, source, &probe)?,
            // The settings step reported it, since no client could be built either.
            Err(_) if steps.first_failed() == Some(SETTINGS) => {}
            Err(error) => {
                let next = format!("check {}", source.setting_name("transport"));
                steps.add(Step::failed(LOOKUP, with_cause(&error), next, failure::exit_code(&error)))?;
            }
        }
    }
    if steps.first_failed().is_none()
        && let Ok(endpoint) = source.endpoint()
    {
        let began = Instant::now();
        match get::answer(source.provider(), endpoint.exchange()).await {
            Ok(token) => {
                let life = token.expires_in().map(|life| format!("for {}", output::seconds(life)));
                let life = life.unwrap_or_else(|| "for a time that isn't told".to_owned());
                steps.add(Step::ok(EXCHANGE, format!("a token, valid {life}")).took(began.elapsed()))?;
                steps.add(scopes(source, &token))?;
            }
            Err(error) => {
                let says = error.description().map(|text| format!("; the provider says: {text}")).unwrap_or_default();
                let (detail, next) = (format!("{}{says}", with_cause(&error)), failure::next(&error, source));
                let step = Step::failed(EXCHANGE, detail, next, failure::exit_code(&error));
                steps.add(step.took(began.elapsed()))?;
            }
        }
    }
    match steps.first_failed() {
        Some(failed) => steps.skip_until(SCOPES, failed),
        None => Ok(()),
    }
}

/// The key with its certificate, and the client certificate of TLS: whose, and for how long.
fn certificates(source: &Source, signing: Option<&Identity>, shown: Option<&Identity>, warnings: &[&Problem]) -> Step {
    let (mut details, mut soon) = (Vec::new(), Vec::new());
    for (what, identity) in [("client assertion", signing), ("client certificate", shown)] {
        let Some(identity) = identity else { continue };
        let (left, subject) = (days_until(identity.not_after()), identity.subject());
        details.push(format!("{what}: {}, {subject}, {}", identity.key_type(), days(left)));
        if left < SOON {
            soon.push(format!("{subject} ({what})"));
        }
    }
    let mut next = Vec::new();
    if !soon.is_empty() {
        let (soon, provider) = (soon.join(" and of "), output::name(source.provider()));
        next.push(format!("ask for the successor of {soon} and register that with {provider} before this one ends"));
    }
    next.extend(warnings.iter().map(ToString::to_string));
    match &*next {
        [] => Step::ok(KEY, details.join("; ")),
        next => Step::warning(KEY, details.join("; "), next.join("; ")),
    }
}

/// Name lookup, connection, TLS and clock skew, as one request found them.
fn network(steps: &mut SourceReport, source: &Source, probe: &Probe) -> Result<(), Failure> {
    let failed = probe.failure().and_then(|failure| Some((failed_step(failure.obstacle())?, failure)));
    for (name, took, found) in [
        (LOOKUP, probe.lookup().map(|lookup| lookup.took()), lookup(probe)),
        (CONNECTION, Some(probe.connecting()), connection(probe)),
        // Its time is part of the connection's.
        (TLS, None, tls(source, probe)),
        (CLOCK, probe.answering(), clock(source, probe)),
    ] {
        match failed {
            Some((failed, failure)) if failed == name => {
                steps.add(obstructed(name, source, probe, failure).took(took))?;
                return steps.skip_until(CLOCK, name);
            }
            _ => steps.add(found.took(took))?,
        }
    }
    Ok(())
}

/// The step that fails. None if only the answer is missing: the exchange decides whether that matters.
fn failed_step(obstacle: Obstacle) -> Option<&'static str> {
    match obstacle {
        Obstacle::Lookup => Some(LOOKUP),
        Obstacle::Connection | Obstacle::Proxy => Some(CONNECTION),
        Obstacle::Answer => None,
        _ => Some(TLS),
    }
}

/// A step that failed, with what to do about what stands in the way.
fn obstructed(name: &'static str, source: &Source, probe: &Probe, failure: &Obstruction) -> Step {
    let (provider, host) = (output::name(source.provider()), probe.host());
    let [base_url, proxy, roots, identity] =
        ["base_url", "transport.proxy", "transport.roots", "transport.identity"].map(|key| source.setting_name(key));
    let proxy = format!("{proxy}, or else the variables HTTPS_PROXY, ALL_PROXY and NO_PROXY");
    let next = match failure.obstacle() {
        Obstacle::Lookup if probe.proxy().is_some() => format!("check {proxy}, and this machine's name servers"),
        Obstacle::Lookup => format!("check {base_url}, and this machine's name servers"),
        Obstacle::Connection => format!("check {base_url}, and that firewalls let this machine connect to {host}"),
        Obstacle::Proxy => format!("check {proxy}, and that the proxy lets this machine connect to {host}"),
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
    };
    let detail = match failure.obstacle() {
        // The cause repeats the message.
        Obstacle::UnknownIssuer
        | Obstacle::CertificateEnded
        | Obstacle::CertificateNotYetValid
        | Obstacle::WrongName => failure.error().to_string(),
        _ => with_cause(failure.error()),
    };
    Step::failed(name, detail, next, failure::exit_code(failure.error()))
}

fn lookup(probe: &Probe) -> Step {
    let Some(lookup) = probe.lookup() else {
        let why = match probe.proxy() {
            Some(_) => "the proxy is given by its address",
            None if probe.host().starts_with("localhost:") => "localhost is this machine",
            None => "the server is given by its address",
        };
        return Step::skipped(LOOKUP, why);
    };
    let mut addresses = lookup.addresses().iter().map(ToString::to_string);
    let shown: Vec<_> = addresses.by_ref().take(3).collect();
    let more = match addresses.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let whose = probe.proxy().map_or("", |_| ", the proxy");
    Step::ok(LOOKUP, format!("{}{whose}: {}{more}", lookup.host(), shown.join(", ")))
}

fn connection(probe: &Probe) -> Step {
    let through = probe.proxy().map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
    Step::ok(CONNECTION, format!("{}{through}", probe.host()))
}

fn tls(source: &Source, probe: &Probe) -> Step {
    if source.base_url().starts_with("http:") {
        return Step::skipped(TLS, "plain http, which doesn't leave this machine");
    }
    let Some(certificate) = probe.certificate() else { return Step::ok(TLS, "the certificate is trusted") };
    let (subject, issuer, left) = (certificate.subject(), certificate.issuer(), days_until(certificate.not_after()));
    let detail = format!("{subject} is trusted, issued by {issuer}, {}", days(left));
    if left >= VERY_SOON {
        return Step::ok(TLS, detail);
    }
    let provider = output::name(source.provider());
    Step::warning(TLS, detail, format!("tell {provider} that the server's certificate is about to end"))
}

fn clock(source: &Source, probe: &Probe) -> Step {
    if let Some(failure) = probe.failure() {
        return Step::skipped(CLOCK, format!("{}, so its clock isn't known", with_cause(failure.error())));
    }
    let Some(skew) = probe.skew() else { return Step::skipped(CLOCK, "the answer has no Date") };
    let off = output::seconds(Duration::from_secs(skew.unsigned_abs()));
    let detail = match skew {
        0 => "as the server's".to_owned(),
        1.. => format!("this machine is {off} behind the server"),
        _ => format!("this machine is {off} ahead of the server"),
    };
    let next = "set this machine's clock, and let a time server keep it (NTP)";
    let signs = matches!(source.identity(), Ok(Some(_)));
    match skew.unsigned_abs() {
        ..=SKEWED => Step::ok(CLOCK, detail),
        ..=CORRECTED if signs => {
            Step::warning(CLOCK, format!("{detail}; client assertions are corrected by that"), next)
        }
        _ if signs => {
            let detail = format!("{detail}; client assertions can't be corrected by so much");
            Step::failed(CLOCK, detail, next, failure::LOCAL)
        }
        _ => Step::warning(CLOCK, detail, next),
    }
}

fn scopes(source: &Source, token: &AccessToken) -> Step {
    let granted = match token.scopes() {
        none if none.is_empty() => "granted: none".to_owned(),
        scopes => format!("granted: {scopes}"),
    };
    let missing = token.missing_scopes();
    if missing.is_empty() {
        return Step::ok(SCOPES, granted);
    }
    let (provider, scopes) = (output::name(source.provider()), source.setting_name("scopes"));
    let next = format!("ask {provider} to add {missing} to the subscription, or take it out of {scopes}");
    Step::warning(SCOPES, format!("{granted}; asked for, but not granted: {missing}"), next)
}

/// Whether the store works. No cache reports that to its callers, since tokens come without the store, too.
async fn check_store(store: &Store) -> Step {
    let (shared, servers) = match (store.shared(), store.servers()) {
        (Ok(shared), Ok(servers)) => (shared, servers),
        (Err(error), _) | (_, Err(error)) => return Step::refused(STORE, joined(error.problems())),
    };
    let checked = match shared.check().await {
        Ok(checked) => checked,
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled) => {
            let next = "check that the store runs, and store.urls (with TLS also store.roots and store.identity); if \
                        it is only slow, raise store.timeout. Until then each instance makes its own exchanges";
            return Step::warning(STORE, format!("{servers}: {}", with_cause(&error)), next);
        }
        Err(error) => {
            let next = "check store.urls, store.mode, store.username and store.password, and what the user may do \
                        there. Until then each instance makes its own exchanges";
            return Step::failed(STORE, format!("{servers}: {error}"), next, failure::SETTING);
        }
    };
    let skew = checked.skew();
    if skew.unsigned_abs() <= SKEWED {
        return Step::ok(STORE, servers);
    }
    let off = output::seconds(Duration::from_secs(skew.unsigned_abs()));
    let side = if skew > 0 { "ahead of" } else { "behind" };
    let next = "set the clocks of the store's servers and of this machine, and let a time server keep them (NTP)";
    Step::warning(STORE, format!("{servers}, whose clock is {off} {side} this machine's"), next)
}

/// Whether the problem is with a key, certificate or passphrase, and not with the settings around them.
fn is_of_key(problem: &Problem) -> bool {
    problem.key().split('.').skip(2).any(|part| part == "assertion" || part == "identity")
}

fn joined<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> String {
    problems.into_iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn in_effect(source: &Source) -> String {
    let scopes = match source.scopes() {
        none if none.is_empty() => String::new(),
        scopes => format!(", for {scopes}"),
    };
    format!("{} at {}{scopes}", output::name(source.provider()), source.base_url())
}

/// An error with its innermost cause, which is the one that says why.
fn with_cause(error: &access_tokens::Error) -> String {
    match failure::causes(error).last().map(ToString::to_string) {
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
