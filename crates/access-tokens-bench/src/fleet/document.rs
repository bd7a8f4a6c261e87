//! docs/fleet.md: the tables, and where they go in `page.md`, which has the prose.

use super::{
    Outcome, Verdict,
    case::{Case, Event, JITTER, LIFETIME, REFRESH_AT, thousands},
    dispersal,
};

const PAGE: &str = include_str!("page.md");

/// Whether something is what happens.
type IsIt = fn(Event) -> bool;

/// What can happen, by its name in the page.
const EVENTS: [(&str, IsIt); 4] = [
    ("undisturbed", |event| matches!(event, Event::Undisturbed)),
    ("restart", |event| matches!(event, Event::Restart)),
    ("provider away", |event| matches!(event, Event::ProviderAway(_))),
    ("store away", |event| matches!(event, Event::StoreAway(_))),
];

/// A table for each thing that can happen.
pub(super) fn tables(days: &[Outcome]) -> String {
    let tables = EVENTS.map(|(name, is_it)| format!("{name}\n\n{}", day_table(days, is_it)));
    tables.join("\n")
}

/// The whole page.
pub(super) fn page(days: &[Outcome], herds: &[Outcome], verdicts: &[Verdict]) -> String {
    let mut page = PAGE.to_owned();
    let mut put = |name: &str, text: &str| page = page.replace(&format!("{{{{{name}}}}}"), text.trim_end());
    for (name, is_it) in EVENTS {
        put(name, &day_table(days, is_it));
    }
    put("dispersed", &dispersed(days));
    put("jitters", &jitter_table(herds));
    put("limits", &limits(verdicts));
    page
}

fn day_table(days: &[Outcome], is_it: IsIt) -> String {
    let header = [
        "instances",
        "store",
        "jitter",
        "exchanges",
        "surplus",
        "peak second",
        "peak minute",
        "in mean minutes",
        "busiest address, a minute",
        "calls",
        "without a token",
        "waited",
        "longest wait (s)",
        "store commands",
        "their peak second",
    ];
    let rows = days.iter().filter(|outcome| is_it(outcome.case.event)).map(|Outcome { case, book }| {
        let with_store = |figure: u64| if case.store { thousands(figure) } else { "-".to_owned() };
        let peak_minute = book.exchanges.peak_minute();
        // One exchange now and then has no mean minute to speak of.
        let in_means = match book.exchanges.mean_minute() {
            mean if mean >= 1.0 => format!("{:.2}", f64::from(peak_minute) / mean),
            _ => "-".to_owned(),
        };
        vec![
            case.size(),
            if case.store { "yes" } else { "no" }.to_owned(),
            case.jitter.to_string(),
            thousands(book.exchanges.in_all()),
            with_store(book.surplus),
            thousands(book.exchanges.peak_second().into()),
            thousands(peak_minute.into()),
            in_means,
            book.busiest_address.to_string(),
            thousands(book.calls),
            thousands(book.without_token.in_all()),
            thousands(book.waited),
            format!("{:.2}", book.longest_wait.as_secs_f64()),
            with_store(book.commands.in_all()),
            with_store(book.commands.peak_second().into()),
        ]
    });
    markdown(&header, 2, rows)
}

/// What the largest fleet without a store took to disperse.
fn dispersed(days: &[Outcome]) -> String {
    let is_it = |case: &Case| !case.store && case.jitter == JITTER && case.event == Event::Restart;
    let largest = days.iter().filter(|outcome| is_it(&outcome.case)).max_by_key(|outcome| outcome.case.fleet);
    largest.map(|Outcome { case, book }| lifetimes(case, dispersal::measured(case, book))).unwrap_or_default()
}

fn jitter_table(herds: &[Outcome]) -> String {
    let header = [
        "jitter",
        "earliest refresh, of a life",
        "exchanges of an instance a day",
        "of a fleet with the store",
        "a call every (s)",
        "deviation of a period (s)",
        "lifetimes, expected",
        "lifetimes, measured",
    ];
    let rows = herds.iter().map(|Outcome { case, book }| {
        let day = 24.0 * 3600.0;
        vec![
            case.jitter.to_string(),
            format!("{:.3}", REFRESH_AT - case.jitter),
            format!("{:.1}", day / dispersal::period(case).as_secs_f64()),
            format!("{:.1}", day / LIFETIME.as_secs_f64() / (REFRESH_AT - case.jitter)),
            case.gap.as_secs().to_string(),
            format!("{:.0}", dispersal::deviation(case).as_secs_f64()),
            format!("{:.1}", dispersal::expected(case)),
            lifetimes(case, dispersal::measured(case, book)),
        ]
    });
    markdown(&header, 0, rows)
}

fn lifetimes(case: &Case, measured: Option<f64>) -> String {
    match measured {
        Some(lifetimes) => format!("{lifetimes:.1}"),
        None => {
            let watched = (case.counted().end - case.happens()).as_secs() / LIFETIME.as_secs();
            format!("more than {}", watched - 1)
        }
    }
}

fn limits(verdicts: &[Verdict]) -> String {
    let rows = verdicts.iter().map(|verdict| {
        let met = if verdict.met { "met" } else { "MISSED" };
        vec![met.to_owned(), verdict.what.clone(), verdict.measured.clone(), verdict.limit.clone()]
    });
    markdown(&["", "what", "measured", "limit"], 4, rows)
}

/// A table whose first columns are text and whose others are figures.
fn markdown(header: &[&str], text: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rules = (0..header.len()).map(|column| if column < text { "---" } else { "---:" });
    let mut table = format!("| {} |\n| {} |\n", header.join(" | "), rules.collect::<Vec<_>>().join(" | "));
    for row in rows {
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table
}
