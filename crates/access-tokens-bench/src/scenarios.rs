//! Runs the scenarios in real time, all libraries and scenarios at once, each pair with a server of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::{JoinHandle, JoinSet},
    time::{sleep, sleep_until, timeout_at},
};

use crate::{
    endpoint::{Endpoint, Ledger},
    library::{Error, Library},
    ours::Ours,
    peers::{
        aliri_tokens::AliriTokens, aws_smithy_runtime::AwsSmithyRuntime, google_cloud_auth::GoogleCloudAuth,
        huskarl::Huskarl, middle::Middle,
    },
    report::{Align, Verdict, progress, table},
    scenario::Scenario,
};

const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);

/// An error this close to the last token's end isn't counted as one in spite of a valid token.
const END_OF_LIFE: Duration = Duration::from_millis(1500);

/// The table, and how ours did.
pub(crate) async fn run(scenarios: &[Scenario], scale: f64) -> Result<(String, Vec<Verdict>), Error> {
    let longest = scenarios.iter().map(|scenario| scenario.length(scale)).max().unwrap_or_default();
    let mut pairs = Vec::new();
    for scenario in scenarios {
        pairs.extend([
            pair::<Ours>(*scenario, scale),
            pair::<Huskarl>(*scenario, scale),
            pair::<Middle>(*scenario, scale),
            pair::<AliriTokens>(*scenario, scale),
            pair::<GoogleCloudAuth>(*scenario, scale),
            pair::<AwsSmithyRuntime>(*scenario, scale),
        ]);
    }
    let telling = tokio::spawn(tell(longest));
    let mut outcomes = Vec::new();
    for pair in pairs {
        outcomes.push(pair.await??);
    }
    telling.abort();
    let verdicts = outcomes.iter().filter(|outcome| outcome.name == Ours::NAME).flat_map(Outcome::verdicts).collect();
    Ok((report(scenarios, &outcomes), verdicts))
}

async fn tell(longest: Duration) {
    let began = Instant::now();
    loop {
        sleep(Duration::from_secs(10)).await;
        progress(&format!("{} of {} s", began.elapsed().as_secs(), longest.as_secs()));
    }
}

fn pair<L: Library>(scenario: Scenario, scale: f64) -> JoinHandle<Result<Outcome, Error>> {
    tokio::spawn(async move {
        watch::<L>(scenario, scale).await.map_err(|error| format!("{} in {}: {error}", L::NAME, scenario.id).into())
    })
}

async fn watch<L: Library>(scenario: Scenario, scale: f64) -> Result<Outcome, Error> {
    let plan = scenario.plan(scale);
    let back_after = plan.outage.as_ref().map(|outage| outage.span.end);
    let endpoint = Endpoint::start(plan).await?;
    let began = endpoint.ledger.began;
    let back = back_after.map(|back| began + back);
    let end = began + scenario.length(scale);

    let library = Arc::new(L::open(&endpoint.url).await?);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(library.clone(), endpoint.ledger.clone(), back, end));
    }
    let mut tally = Tally::default();
    while let Some(caller) = callers.join_next().await {
        tally.add(&caller??);
    }
    let recovery = back.map(|back| tally.recovered.map(|recovered| recovered.duration_since(back)));
    Ok(Outcome { scenario, name: L::NAME, requests: endpoint.ledger.requests(), recovery, tally })
}

/// One caller's loop.
async fn call<L: Library>(
    library: Arc<L>,
    ledger: Arc<Ledger>,
    back: Option<Instant>,
    end: Instant,
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let asked = Instant::now();
        let got = timeout_at(end.into(), library.get()).await;
        let now = Instant::now();
        tally.gets += 1;
        tally.longest_wait = tally.longest_wait.max(now - asked);
        match got {
            Ok(Ok(token)) => {
                let end_of_life = ledger.end_of(&token).ok_or("a token that the server never issued")?;
                if now >= end_of_life {
                    tally.expired += 1;
                } else if back.is_some_and(|back| now >= back) {
                    tally.recovered.get_or_insert(now);
                }
            }
            Ok(Err(_)) => {
                tally.errors += 1;
                if ledger.latest_end().is_some_and(|end_of_life| now + END_OF_LIFE < end_of_life) {
                    tally.errors_while_valid += 1;
                }
            }
            // Still waiting when the scenario ended: the wait counts, the call has no outcome.
            Err(_) => {}
        }
        sleep_until((now + PAUSE).into()).await;
    }
    Ok(tally)
}

/// What happened to callers.
#[derive(Debug, Default)]
struct Tally {
    gets: u64,
    expired: u64,
    errors: u64,
    errors_while_valid: u64,
    longest_wait: Duration,
    /// The first valid token after the server was back.
    recovered: Option<Instant>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.gets += other.gets;
        self.expired += other.expired;
        self.errors += other.errors;
        self.errors_while_valid += other.errors_while_valid;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.recovered = self.recovered.into_iter().chain(other.recovered).min();
    }
}

#[derive(Debug)]
struct Outcome {
    scenario: Scenario,
    name: &'static str,
    requests: u64,
    tally: Tally,
    /// Outer `None`: the server was never out. Inner `None`: callers never got a valid token again.
    recovery: Option<Option<Duration>>,
}

impl Outcome {
    fn cells(&self) -> Vec<String> {
        let tally = &self.tally;
        let recovery = match self.recovery {
            None => "-".to_owned(),
            Some(None) => "never".to_owned(),
            Some(Some(recovery)) => seconds(recovery),
        };
        vec![
            self.scenario.id.to_string(),
            self.name.to_owned(),
            tally.gets.to_string(),
            self.requests.to_string(),
            tally.expired.to_string(),
            tally.errors.to_string(),
            tally.errors_while_valid.to_string(),
            seconds(tally.longest_wait),
            recovery,
        ]
    }

    /// One for each limit of the scenario.
    fn verdicts(&self) -> Vec<Verdict> {
        let (limits, tally) = (&self.scenario.limits, &self.tally);
        let count = |what: &str, count: u64, limit: u64| {
            self.verdict(what, count.to_string(), limit.to_string(), count <= limit)
        };
        let mut verdicts = vec![count("endpoint requests", self.requests, limits.requests)];
        verdicts.extend(limits.expired.map(|limit| count("expired tokens served", tally.expired, limit)));
        verdicts.extend(limits.errors.map(|limit| count("errors", tally.errors, limit)));
        let while_valid = limits.errors_while_valid;
        verdicts.extend(while_valid.map(|limit| count("errors while valid", tally.errors_while_valid, limit)));
        verdicts.extend(limits.longest_wait.map(|limit| {
            let wait = tally.longest_wait;
            self.verdict("longest wait", format!("{} s", seconds(wait)), format!("{} s", seconds(limit)), wait <= limit)
        }));
        verdicts.extend(limits.recovery.map(|limit| {
            let recovery = self.recovery.flatten();
            let measured = recovery.map_or_else(|| "never".to_owned(), |recovery| format!("{} s", seconds(recovery)));
            let met = recovery.is_some_and(|recovery| recovery <= limit);
            self.verdict("recovered within", measured, format!("{} s", seconds(limit)), met)
        }));
        verdicts
    }

    fn verdict(&self, what: &str, measured: String, limit: String, met: bool) -> Verdict {
        Verdict { what: format!("{}: {what}", self.scenario.id), measured, limit: format!("at most {limit}"), met }
    }
}

fn report(scenarios: &[Scenario], outcomes: &[Outcome]) -> String {
    let legend: String = scenarios.iter().map(|scenario| format!("{}: {}\n", scenario.id, scenario.summary)).collect();
    let header = [
        ("scenario", Align::Left),
        ("library", Align::Left),
        ("gets", Align::Right),
        ("endpoint requests", Align::Right),
        ("expired served", Align::Right),
        ("errors", Align::Right),
        ("errors while valid", Align::Right),
        ("longest wait (s)", Align::Right),
        ("recovery (s)", Align::Right),
    ];
    let rows: Vec<_> = outcomes.iter().map(Outcome::cells).collect();
    format!("{legend}\n{}", table(&header, &rows))
}

fn seconds(span: Duration) -> String {
    format!("{:.2}", span.as_secs_f64())
}
