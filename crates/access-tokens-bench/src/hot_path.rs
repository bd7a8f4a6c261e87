//! Times one token from a warm cache.
//!
//! All rounds go once through all contenders, so that what else the machine does hits them alike; the median counts.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    bare::{BothCoarseClocks, CoarseClock, Load, PreciseClock},
    endpoint::{Endpoint, Issue, Plan},
    library::{Call, Error, Library},
    ours::Ours,
    peers::{
        aliri_tokens::{AliriTokens, AliriTokensBorrow},
        aws_smithy_runtime::AwsSmithyRuntime,
        azure_identity::AzureIdentity,
        google_cloud_auth::GoogleCloudAuth,
        huskarl::Huskarl,
        middle::Middle,
    },
    report::{Align, Verdict, progress, table},
};

const TASKS: [usize; 4] = [1, 2, 8, 64];

/// Long beside starting and joining 64 tasks.
const MEASUREMENT: Duration = Duration::from_millis(40);

/// About as long as a Keycloak token. 1NCE's are longer, which costs only those that copy them.
const TOKEN_LENGTH: usize = 1200;

/// The table, and how ours did.
pub(crate) async fn run(rounds: u16) -> Result<(String, Vec<Verdict>), Error> {
    let plan =
        Plan { lifetime: Duration::from_secs(3600), issue: Issue::New, outage: None, token_length: TOKEN_LENGTH };
    let endpoint = Endpoint::start(plan).await?;
    let mut contenders = contenders(&endpoint.url).await?;
    for contender in &mut contenders {
        contender.calibrate().await?;
    }
    let mut told = Instant::now();
    for round in 0..rounds {
        if told.elapsed() >= Duration::from_secs(10) {
            told = Instant::now();
            progress(&format!("{round} of {rounds} rounds"));
        }
        for tasks in 0..TASKS.len() {
            for contender in &mut contenders {
                contender.measure(tasks).await?;
            }
        }
    }
    let results: Vec<_> = contenders.into_iter().map(Contender::result).collect();
    Ok((report(&results), verdicts(&results)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    /// `google-cloud-auth` and `azure_identity`, which ours must outdo by more than the rest.
    BigPeer,
    Peer,
    /// Hands out whatever it has: the caller has to look at the expiry.
    Unchecked,
    Load,
    BothCoarseClocks,
    Bare,
}

async fn contenders(url: &str) -> Result<Vec<Contender>, Error> {
    let token = "t".repeat(TOKEN_LENGTH);
    Ok(vec![
        Contender::library(Kind::Ours, Ours::NAME, warm::<Ours>(url).await?),
        Contender::library(Kind::Peer, Huskarl::NAME, warm::<Huskarl>(url).await?),
        Contender::library(Kind::BigPeer, GoogleCloudAuth::NAME, warm::<GoogleCloudAuth>(url).await?),
        Contender::library(Kind::BigPeer, "azure_identity", AzureIdentity::open(&token).await?),
        Contender::library(Kind::Peer, AwsSmithyRuntime::NAME, warm::<AwsSmithyRuntime>(url).await?),
        Contender::library(Kind::Peer, Middle::NAME, warm::<Middle>(url).await?),
        Contender::library(Kind::Unchecked, "aliri_tokens, clone", warm::<AliriTokens>(url).await?),
        Contender::library(Kind::Unchecked, "aliri_tokens, borrow", AliriTokensBorrow::open(url).await?),
        Contender::library(Kind::Load, "bare arc-swap load", Load::new(token)),
        Contender::library(Kind::Bare, "bare Instant::now()", PreciseClock),
        Contender::library(Kind::Bare, "bare coarse clock", CoarseClock),
        Contender::library(Kind::BothCoarseClocks, "both bare coarse clocks", BothCoarseClocks),
    ])
}

/// With a token in it, so that none of the calls to come is one that fails.
async fn warm<L: Library>(url: &str) -> Result<L, Error> {
    let library = L::open(url).await?;
    library.get().await.map_err(|error| format!("{}: {error}", L::NAME))?;
    Ok(library)
}

type Timed = Pin<Box<dyn Future<Output = Result<Duration, Error>> + Send>>;

/// Something to time. The box is around a whole measurement; its calls are the library's own, inlined as they would be in
/// a service.
struct Contender {
    kind: Kind,
    name: &'static str,
    time: Box<dyn Fn(usize, u64) -> Timed + Send + Sync>,
    /// Of all tasks of a measurement together.
    calls: u64,
    nanos: [Vec<f64>; TASKS.len()],
}

impl Contender {
    fn library<C: Call>(kind: Kind, name: &'static str, library: C) -> Self {
        let library = Arc::new(library);
        let time = move |tasks, calls| Box::pin(time(library.clone(), tasks, calls)) as Timed;
        Self { kind, name, time: Box::new(time), calls: 0, nanos: Default::default() }
    }

    /// Finds how many calls one measurement is long.
    async fn calibrate(&mut self) -> Result<(), Error> {
        let mut calls = 1000;
        loop {
            let taken = (self.time)(1, calls).await?;
            if taken >= MEASUREMENT / 4 {
                let scale = MEASUREMENT.as_secs_f64() / taken.as_secs_f64();
                self.calls = (calls as f64 * scale) as u64;
                return Ok(());
            }
            calls *= 2;
        }
    }

    async fn measure(&mut self, index: usize) -> Result<(), Error> {
        if let (Some(tasks), Some(nanos)) = (TASKS.get(index), self.nanos.get_mut(index)) {
            let calls = self.calls / *tasks as u64;
            let taken = (self.time)(*tasks, calls).await?;
            nanos.push(taken.as_nanos() as f64 / (calls * *tasks as u64) as f64);
        }
        Ok(())
    }

    fn result(self) -> Measured {
        Measured { kind: self.kind, name: self.name, nanos: self.nanos.map(median) }
    }
}

/// Wall time of `tasks` tasks that make `calls` calls each.
async fn time<C: Call>(library: Arc<C>, tasks: usize, calls: u64) -> Result<Duration, Error> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let library = library.clone();
        running.spawn(async move {
            for _ in 0..calls {
                library.call().await;
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done?;
    }
    Ok(began.elapsed())
}

fn median(mut nanos: Vec<f64>) -> f64 {
    nanos.sort_by(f64::total_cmp);
    nanos.get(nanos.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Measured {
    kind: Kind,
    name: &'static str,
    nanos: [f64; TASKS.len()],
}

fn report(results: &[Measured]) -> String {
    let header = [
        ("ns for one call", Align::Left),
        ("checks expiry", Align::Left),
        ("1 task", Align::Right),
        ("2 tasks", Align::Right),
        ("8 tasks", Align::Right),
        ("64 tasks", Align::Right),
    ];
    let rows: Vec<_> = results
        .iter()
        .map(|result| {
            let checks = match result.kind {
                Kind::Ours | Kind::BigPeer | Kind::Peer => "yes",
                Kind::Unchecked => "no",
                Kind::Load | Kind::BothCoarseClocks | Kind::Bare => "-",
            };
            let nanos = result.nanos.iter().map(|nanos| format!("{nanos:.1}"));
            [result.name.to_owned(), checks.to_owned()].into_iter().chain(nanos).collect()
        })
        .collect();
    table(&header, &rows)
}

fn verdicts(results: &[Measured]) -> Vec<Verdict> {
    let of = |kind| results.iter().find(|result| result.kind == kind);
    let (Some(ours), Some(load), Some(clocks)) = (of(Kind::Ours), of(Kind::Load), of(Kind::BothCoarseClocks)) else {
        return Vec::new();
    };
    let ([one, .., sixty_four], [load, ..], [clocks, ..]) = (ours.nanos, load.nanos, clocks.nanos);
    let floor = load + clocks;
    let mut verdicts = vec![Verdict {
        what: "one task, beside a bare load and both coarse clocks".to_owned(),
        measured: format!("{one:.1} / {floor:.1} ns = {:.2}", one / floor),
        limit: "at most 1.5".to_owned(),
        met: one <= 1.5 * floor,
    }];
    for peer in results {
        let (at_least, limit) = match peer.kind {
            Kind::BigPeer => (10.0, "at least 10"),
            Kind::Peer => (1.0, "more than 1"),
            _ => continue,
        };
        // The number of tasks that is worst for ours.
        let Some((peers, ours)) =
            peer.nanos.into_iter().zip(ours.nanos).min_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)))
        else {
            continue;
        };
        let factor = peers / ours;
        verdicts.push(Verdict {
            what: format!("{} beside ours, at worst", peer.name),
            measured: format!("{peers:.1} / {ours:.1} ns = {factor:.1}"),
            limit: limit.to_owned(),
            met: factor >= at_least && factor > 1.0,
        });
    }
    verdicts.push(Verdict {
        what: "64 tasks, beside one".to_owned(),
        measured: format!("{sixty_four:.1} / {one:.1} ns = {:.2}", sixty_four / one),
        limit: "at most 2".to_owned(),
        met: sixty_four <= 2.0 * one,
    });
    verdicts
}
