//! A fleet of thousands of instances with a real cache each, in virtual time: how often it asks the provider, with a store and
//! without, when nothing happens and when something does. See docs/fleet.md, which this writes.

mod book;
mod case;
mod dispersal;
mod document;
mod pictures;
mod provider;
mod redis;
mod simulation;
mod world;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    book::Book,
    case::{Case, Event, JITTER, LIFETIME},
};
use crate::{
    library::Error,
    report::{Verdict, progress},
};

/// How large the fleets are.
const SIZES: [u32; 3] = [1_000, 10_000, 100_000];

/// A fleet of more than this is sampled, but for the one whose figure depends on its size: the whole would take an hour.
const SAMPLED: u32 = 10_000;

/// How many are simulated of one where each instance asks the store all the time.
const COSTLY_SAMPLE: u32 = 1_000;

/// How many instances show how a herd disperses by jitter; and for how long, in lifetimes.
const HERD: (u32, u32) = (10_000, 48);

/// Longer than what is left of a token's life when its refresh is due, so that some run out.
const PROVIDER_AWAY: Duration = Duration::from_secs(30 * 60);

/// Longer than from one exchange to the next, so that each instance meets it.
const STORE_AWAY: Duration = Duration::from_secs(60 * 60);

/// What 1NCE allows an address in a minute.
const ADDRESS_LIMIT: u32 = 600;

/// A case, and what came of it.
#[derive(Debug)]
struct Outcome {
    case: Case,
    book: Book,
}

/// Simulates all, and writes the page and its pictures into `docs`.
pub(crate) fn document(docs: &Path) -> Result<(String, Vec<Verdict>), Error> {
    if !docs.is_dir() {
        return Err(format!("there is no folder {}: run this at the root of the repository", docs.display()).into());
    }
    let mut cases: Vec<_> = SIZES.into_iter().flat_map(days).collect();
    cases.extend(herds());
    let outcomes = simulate(cases)?;
    let (days, herds) = outcomes.split_at(outcomes.len() - herds().len());
    let verdicts = verdicts(days);
    let pictures = docs.join("fleet");
    fs::create_dir_all(&pictures)?;
    for (name, picture) in pictures::all(days, herds)? {
        fs::write(pictures.join(name), picture)?;
    }
    fs::write(docs.join("fleet.md"), document::page(days, herds, &verdicts))?;
    Ok((document::tables(days), verdicts))
}

/// The tables for one size, and nothing written.
pub(crate) fn try_out(instances: u32) -> Result<(String, Vec<Verdict>), Error> {
    let outcomes = simulate(days(instances))?;
    Ok((document::tables(&outcomes), verdicts(&outcomes)))
}

/// All that can happen to a fleet of this size in a day.
fn days(instances: u32) -> Vec<Case> {
    let mut cases = Vec::new();
    let events = [Event::Undisturbed, Event::Restart, Event::ProviderAway(PROVIDER_AWAY), Event::StoreAway(STORE_AWAY)];
    for event in events {
        for (store, jitter) in [(true, JITTER), (true, 0.0), (false, JITTER), (false, 0.0)] {
            if store || !matches!(event, Event::StoreAway(_)) {
                let case = Case::new(instances, store, event);
                let instances = simulated(&Case { jitter, ..case.clone() });
                cases.push(Case { jitter, instances, ..case });
            }
        }
    }
    cases
}

/// How many instances of a fleet are simulated.
fn simulated(case: &Case) -> u32 {
    let is_outage = !matches!(case.event, Event::Undisturbed | Event::Restart);
    match case.fleet {
        few if few <= SAMPLED => few,
        _ if is_outage && case.store => COSTLY_SAMPLE,
        all if case.event == Event::Undisturbed && case.jitter == JITTER && !case.store => all,
        _ => SAMPLED,
    }
}

/// A restart without a store, by jitter and by how often an instance calls.
fn herds() -> Vec<Case> {
    let (instances, lifetimes) = HERD;
    let mut cases = Vec::new();
    for gap in [60, 5] {
        for jitter in [0.0, 0.05, JITTER, 0.25] {
            let case = Case::new(instances, false, Event::Restart);
            cases.push(Case { jitter, lifetimes, gap: Duration::from_secs(gap), ..case });
        }
    }
    cases
}

/// Two at a time, the largest first. A simulation has a thread for itself and is the same each time, whatever runs beside it.
fn simulate(cases: Vec<Case>) -> Result<Vec<Outcome>, Error> {
    let mut order: Vec<_> = cases.iter().enumerate().collect();
    order.sort_by_key(|(_, case)| std::cmp::Reverse(case.instances));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((index, case)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let book = simulation::run((*case).clone());
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((*index, book));
            let took = began.elapsed().as_secs_f64();
            progress(&format!("{} of {} in {took:.1} s: {}", done.len(), order.len(), case.name()));
        }
    };
    progress(&format!("{} simulations", order.len()));
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    cases.into_iter().zip(done).map(|(case, (_, book))| Ok(Outcome { case, book: book? })).collect()
}

/// What must hold.
fn verdicts(outcomes: &[Outcome]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for outcome @ Outcome { case, book } in outcomes {
        let mut verdict = |what: &str, measured: f64, most: f64, decimals: usize| {
            verdicts.push(Verdict {
                what: format!("{}: {what}", case.name()),
                measured: format!("{measured:.decimals$}"),
                limit: format!("at most {most}"),
                met: measured <= most,
            });
        };
        let is_quiet = matches!(case.event, Event::Undisturbed | Event::Restart);
        if case.store && is_quiet {
            verdict("exchanges beyond one for each token", book.surplus as f64, 0.0, 0);
        }
        if case.store && case.event == Event::Restart {
            verdict("exchanges for the restart", outcome.after_restart() as f64, 1.0, 0);
        }
        if !matches!(case.event, Event::ProviderAway(_)) {
            verdict("calls without a token", book.without_token.in_all() as f64, 0.0, 0);
        }
        if !case.store && case.jitter == JITTER && case.event == Event::Undisturbed && case.instances >= 100_000 {
            let over_mean = f64::from(book.exchanges.peak_minute()) / book.exchanges.mean_minute();
            verdict("peak minute in mean minutes", over_mean, 1.5, 2);
        }
        if !case.store && case.jitter == JITTER && case.event == Event::Restart && case.fleet >= 100_000 {
            let lifetimes = dispersal::measured(case, book).unwrap_or(f64::INFINITY);
            verdict("lifetimes until a minute has under twice the mean", lifetimes, 14.0, 1);
        }
        verdict("the busiest address in a minute", book.busiest_address.into(), ADDRESS_LIMIT.into(), 0);
    }
    verdicts
}

impl Outcome {
    /// Exchanges before the tokens that the restart brought can be due.
    fn after_restart(&self) -> u64 {
        let restart = self.case.happens() - self.case.counted().start;
        self.book.exchanges.between(restart, restart + LIFETIME / 2)
    }
}
