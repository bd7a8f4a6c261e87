//! The faults that wait, and which of them a request meets.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::{Effect, Endpoint, EndpointFault, Fault, FaultError, Outcome, Span};

/// What one request meets.
#[derive(Default)]
pub(crate) struct Met {
    pub(crate) latency_ms: Option<u64>,
    pub(crate) clock_skew_s: Option<i64>,
    pub(crate) outcome: Option<Outcome>,
}

/// A fault that waits, and can be served.
pub(crate) struct Queued {
    order: EndpointFault,
    /// With the times that are left.
    span: Span,
    since: Instant,
}

impl Queued {
    pub(crate) fn new(order: EndpointFault) -> Result<Queued, FaultError> {
        order.fault.check()?;
        let span = order.fault.span.unwrap_or(Span::Times(1));
        Ok(Queued { order, span, since: Instant::now() })
    }

    /// The fault as it would have to be queued now.
    fn remaining(&self) -> EndpointFault {
        let span = match self.span {
            Span::LastingMs(ms) => Span::LastingMs(ms.saturating_sub(self.since.elapsed().as_millis() as u64)),
            span => span,
        };
        let fault = Fault { span: Some(span), ..self.order.fault.clone() };
        EndpointFault { endpoint: self.order.endpoint, fault }
    }

    fn has_ended(&self) -> bool {
        match self.span {
            Span::Times(left) => left == 0,
            Span::LastingMs(ms) => self.since.elapsed() >= Duration::from_millis(ms),
            Span::UntilCleared => false,
        }
    }
}

/// The faults that wait, in the order in which they were queued.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Queued>>);

impl Faults {
    pub(crate) fn queue(&self, faults: impl IntoIterator<Item = Queued>) {
        self.lasting().extend(faults);
    }

    pub(crate) fn clear(&self) -> usize {
        self.lasting().drain(..).count()
    }

    pub(crate) fn queued(&self) -> Vec<EndpointFault> {
        self.lasting().iter().map(Queued::remaining).collect()
    }

    /// What a request that arrives now meets; the faults it meets are used once.
    pub(crate) fn meet(&self, endpoint: Endpoint) -> Met {
        let mut met = Met::default();
        for queued in self.lasting().iter_mut().filter(|queued| queued.order.endpoint == endpoint) {
            let used = match &queued.order.fault.effect {
                Effect::LatencyMs(ms) => fill(&mut met.latency_ms, ms),
                Effect::ClockSkewS(seconds) => fill(&mut met.clock_skew_s, seconds),
                Effect::Outcome(outcome) => fill(&mut met.outcome, outcome),
            };
            if let (true, Span::Times(left)) = (used, &mut queued.span) {
                *left -= 1;
            }
        }
        met
    }

    /// Those that haven't ended.
    fn lasting(&self) -> MutexGuard<'_, Vec<Queued>> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|fault| !fault.has_ended());
        faults
    }
}

/// Puts `found` into a place that is free; false when it isn't.
fn fill<T: Clone>(place: &mut Option<T>, found: &T) -> bool {
    let free = place.is_none();
    place.get_or_insert_with(|| found.clone());
    free
}
