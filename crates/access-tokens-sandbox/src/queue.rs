//! The faults that wait, and which of them a request meets.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::{Effect, Endpoint, EndpointFault, FaultError, Outcome, Span};

/// What one request meets.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) latency: Option<Duration>,
    pub(crate) clock_skew_s: Option<i64>,
    pub(crate) outcome: Option<Outcome>,
}

/// The faults that wait, in the order in which they were queued.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Queued>>);

#[derive(Debug)]
struct Queued {
    order: EndpointFault,
    effect: Effect,
    span: Span,
}

impl Faults {
    /// Queues all of them or, when one is unfit, none.
    pub(crate) fn queue(&self, orders: Vec<EndpointFault>) -> Result<(), FaultError> {
        let mut checked = Vec::with_capacity(orders.len());
        for order in orders {
            let (effect, span) = (order.fault.effect()?, order.fault.span()?);
            checked.push(Queued { order, effect, span });
        }
        self.lock().append(&mut checked);
        Ok(())
    }

    pub(crate) fn clear(&self) -> usize {
        let mut queue = self.lock();
        drop_ended(&mut queue);
        queue.drain(..).count()
    }

    pub(crate) fn queued(&self) -> Vec<EndpointFault> {
        let mut queue = self.lock();
        drop_ended(&mut queue);
        queue.iter().map(Queued::remaining).collect()
    }

    /// What a request that arrives now meets; the faults it meets are used once.
    pub(crate) fn meet(&self, endpoint: Endpoint) -> Met {
        let mut queue = self.lock();
        drop_ended(&mut queue);
        let mut met = Met::default();
        for queued in queue.iter_mut().filter(|queued| queued.order.endpoint == endpoint) {
            let used = match &queued.effect {
                Effect::Latency(latency) => fill(&mut met.latency, *latency),
                Effect::ClockSkew(seconds) => fill(&mut met.clock_skew_s, *seconds),
                Effect::Outcome(outcome) => fill(&mut met.outcome, outcome.clone()),
            };
            if let (true, Span::Times(left)) = (used, &mut queued.span) {
                *left -= 1;
            }
        }
        drop_ended(&mut queue);
        met
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Queued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queued {
    /// The fault as it would have to be queued now.
    fn remaining(&self) -> EndpointFault {
        let fault = self.order.fault.clone();
        let fault = match self.span {
            Span::Times(left) => fault.times(left),
            Span::Until(end) => fault.lasting(end.saturating_duration_since(Instant::now())),
            Span::UntilCleared => fault.until_cleared(),
        };
        EndpointFault { endpoint: self.order.endpoint, fault }
    }
}

/// Puts `found` into a place that is free; false when it isn't.
fn fill<T>(place: &mut Option<T>, found: T) -> bool {
    let free = place.is_none();
    place.get_or_insert(found);
    free
}

fn drop_ended(queue: &mut Vec<Queued>) {
    let now = Instant::now();
    queue.retain(|queued| match queued.span {
        Span::Times(left) => left > 0,
        Span::Until(end) => now < end,
        Span::UntilCleared => true,
    });
}
