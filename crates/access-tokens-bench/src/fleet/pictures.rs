//! The pictures of docs/fleet.md, as SVG.

use std::{iter::zip, ops::Range};

use plotters::{chart::SeriesLabelPosition, prelude::*};

use super::{
    Outcome,
    case::{Event, LIFETIME},
    dispersal,
};
use crate::library::Error;

const SIZE: (u32, u32) = (960, 440);

/// Told apart by people who see fewer colours too.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 140, 100), RGBColor(150, 90, 160)];

/// Where nothing is drawn on a logarithmic axis.
const NOTHING: f64 = 0.5;

/// The fleets that are drawn: the largest, and for outages the largest that isn't sampled.
const LARGEST: u32 = 100_000;
const IN_FULL: u32 = 10_000;

/// Each with its file's name.
pub(super) fn all(days: &[Outcome], herds: &[Outcome]) -> Result<[(&'static str, String); 4], Error> {
    Ok([
        ("restart.svg", restart(days)?),
        ("dispersal.svg", dispersal(herds)?),
        ("provider-away.svg", provider_away(days)?),
        ("store-away.svg", store_away(days)?),
    ])
}

fn restart(days: &[Outcome]) -> Result<String, Error> {
    // With the store jitter is seen in an outage of it alone.
    let differs = |outcome: &&Outcome| !outcome.case.store || outcome.case.jitter > 0.0;
    let restarts = days_of(days, LARGEST, |event| matches!(event, Event::Restart)).filter(differs);
    let lines = restarts.map(|outcome| Line::hourly(outcome, &outcome.book.exchanges.minutes()));
    Chart {
        title: "10,000 of 100,000 instances are all started again at 2:00",
        x: ("hour", 0.0..24.0),
        y: "exchanges in a minute",
        least: NOTHING,
        mark: None,
    }
    .draw(&lines.collect::<Vec<_>>())
}

fn dispersal(herds: &[Outcome]) -> Result<String, Error> {
    let lines = herds.iter().filter(|outcome| outcome.case.gap.as_secs() == 60).map(|Outcome { case, book }| {
        let peaks = dispersal::peaks(case, book);
        let points = zip(1.., peaks).map(|(lifetime, peak)| (f64::from(lifetime), peak)).collect();
        Line { name: format!("jitter {}", case.jitter), points }
    });
    let lines: Vec<_> = lines.collect();
    Chart {
        title: "10,000 instances without a store after a restart of all",
        x: ("lifetimes since the restart", 1.0..46.0),
        y: "peak minute of a lifetime, in mean minutes",
        least: 1.0,
        mark: Some(2.0),
    }
    .draw(&lines)
}

fn provider_away(days: &[Outcome]) -> Result<String, Error> {
    let outages = days_of(days, IN_FULL, |event| matches!(event, Event::ProviderAway(_)));
    let mut lines = Vec::new();
    for outcome in outages.filter(|outcome| outcome.case.jitter > 0.0) {
        let settings = settings(outcome);
        let mut line = |what: &str, minutes: &[u32]| {
            lines.push(Line { name: format!("{what}, {settings}"), ..Line::hourly(outcome, minutes) });
        };
        line("exchanges", &outcome.book.exchanges.minutes());
        line("calls without a token", &outcome.book.without_token.minutes());
    }
    Chart {
        title: "10,000 instances: the provider is away from 2:00 to 2:30",
        x: ("hour", 1.5..4.0),
        y: "in a minute",
        least: NOTHING,
        mark: None,
    }
    .draw(&lines)
}

fn store_away(days: &[Outcome]) -> Result<String, Error> {
    let outages = days_of(days, IN_FULL, |event| matches!(event, Event::StoreAway(_)));
    let lines = outages.map(|outcome| Line::hourly(outcome, &outcome.book.exchanges.minutes()));
    Chart {
        title: "10,000 instances: the store is away from 2:00 to 3:00",
        x: ("hour", 1.0..6.0),
        y: "exchanges in a minute",
        least: NOTHING,
        mark: None,
    }
    .draw(&lines.collect::<Vec<_>>())
}

/// One fleet's days with such an event.
fn days_of(days: &[Outcome], fleet: u32, is_it: fn(Event) -> bool) -> impl Iterator<Item = &Outcome> {
    days.iter().filter(move |Outcome { case, .. }| case.fleet == fleet && is_it(case.event))
}

fn settings(Outcome { case, .. }: &Outcome) -> String {
    let store = if case.store { "with the store" } else { "without a store" };
    format!("{store}, jitter {}", case.jitter)
}

/// What is drawn, and what it is.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Line {
    fn hourly(outcome: &Outcome, minutes: &[u32]) -> Self {
        let hours = (0..).map(|minute: u32| f64::from(minute) * 60.0 / LIFETIME.as_secs_f64());
        let points = zip(hours, minutes).map(|(hour, count)| (hour, f64::from(*count).max(NOTHING))).collect();
        Self { name: settings(outcome), points }
    }
}

/// Lines over a linear and a logarithmic axis.
struct Chart {
    title: &'static str,
    x: (&'static str, Range<f64>),
    y: &'static str,
    least: f64,
    /// A line across.
    mark: Option<f64>,
}

impl Chart {
    fn draw(&self, lines: &[Line]) -> Result<String, Error> {
        let Self { title, x: (x, range), y, least, mark } = self;
        let inside = |(x, _): &(f64, f64)| range.contains(x);
        let heights = lines.iter().flat_map(|line| &line.points).filter(|point| inside(point)).map(|(_, y)| *y);
        // Room for what explains the lines.
        let most = heights.fold(*least, f64::max) * 8.0;
        let mut picture = String::new();
        {
            let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
            area.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(title, ("sans-serif", 20))
                .margin(12)
                .x_label_area_size(42)
                .y_label_area_size(72)
                .build_cartesian_2d(range.clone(), (*least..most).log_scale())?;
            chart
                .configure_mesh()
                .light_line_style(WHITE)
                .bold_line_style(RGBColor(225, 225, 225))
                .label_style(("sans-serif", 14))
                .x_desc(*x)
                .y_desc(*y)
                .x_label_formatter(&|x| format!("{x}"))
                .y_label_formatter(&|y| format!("{y}"))
                .draw()?;
            if let Some(mark) = mark {
                chart.draw_series(LineSeries::new([(range.start, *mark), (range.end, *mark)], BLACK))?;
            }
            for (line, colour) in zip(lines, COLOURS) {
                let points = line.points.iter().copied().filter(inside);
                chart
                    .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                    .label(&line.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.9))
                .border_style(RGBColor(200, 200, 200))
                .label_font(("sans-serif", 14))
                .draw()?;
            area.present()?;
        }
        Ok(picture)
    }
}
