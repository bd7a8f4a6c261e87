//! A model checker drives slot and flights through the orders in which threads can come to them, thousands for each test.
//! It also notices who waits for ever.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing should say so and stop"
)]

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use fastrand::Rng;
use shuttle::{
    future::block_on,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::{
    flight::{Flights, Step, Ticket},
    policy::Policy,
    sync::{Arc, LOSE_UPDATES, Mutex},
};
use crate::{AccessToken, Error, ErrorKind, clock::Moment};

const ORDERS: usize = 3000;

/// In both ways of choosing an order: at random, and with few switches at the places that matter.
fn in_many_orders(test: fn()) {
    shuttle::check_random(test, ORDERS);
    shuttle::check_pct(test, ORDERS, 3);
}

/// What an exchange comes to; `None` is a runtime that goes down midway.
type Answer = Option<Result<&'static str, ErrorKind>>;

/// Callers, and the endpoint that their flights ask.
#[derive(Clone)]
struct World {
    flights: Arc<Flights>,
    now: Moment,
    /// When those who waited look again: they may be woken late.
    later: Moment,
    /// The first answer last.
    script: Arc<Mutex<Vec<Answer>>>,
    begun: Arc<AtomicU32>,
    under_way: Arc<AtomicU32>,
}

impl World {
    fn new<const N: usize>(script: [Answer; N]) -> Self {
        Self {
            flights: Arc::new(Flights::new(Policy::new(), Rng::with_seed(1))),
            now: Moment::now(),
            later: Moment::now().plus(Duration::from_secs(10)),
            script: Arc::new(Mutex::new(script.into_iter().rev().collect())),
            begun: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// What [`TokenCache::token`](crate::TokenCache::token) does, with threads for tasks.
    fn token(&self) -> Result<String, Error> {
        let mut now = self.now;
        loop {
            if let Some(guard) = self.flights.slot.quiet(now) {
                return Ok(guard.secret().to_owned());
            }
            let flight = match self.flights.ask(now, None) {
                Step::Serve(guard) => return Ok(guard.secret().to_owned()),
                Step::Fail(error) => return Err(error),
                Step::Wait(flight) => flight,
                Step::Begin(ticket, serve) => {
                    let flight = ticket.id;
                    let world = self.clone();
                    thread::spawn(move || world.exchange(ticket));
                    if let Some(guard) = serve {
                        return Ok(guard.secret().to_owned());
                    }
                    flight
                }
            };
            block_on(self.flights.ended(flight))?;
            now = self.later;
        }
    }

    fn exchange(&self, ticket: Ticket) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0, "two flights at once");
        thread::yield_now();
        let answer = self.script.lock().unwrap().pop().expect("an exchange that nothing called for");
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if let Some(answer) = answer {
            let answer = answer.map_err(|kind| Error::new(kind, "scripted"));
            ticket.settle(self.now, self.now, answer.and_then(token));
        }
    }

    fn callers<const N: usize>(&self, call: impl Fn(&Self) + Clone + Send + 'static) -> [thread::JoinHandle<()>; N] {
        [(); N].map(|()| {
            let (world, call) = (self.clone(), call.clone());
            thread::spawn(move || call(&world))
        })
    }

    /// What readers see is what was done last.
    fn assert_published(&self, secret: &str) {
        assert_eq!(self.flights.slot.load().secret(), secret, "an update was lost");
        assert_eq!(self.flights.slot.load().generation(), self.flights.generation(), "an update was lost");
        assert!(self.flights.slot.quiet(self.now).is_some(), "a valid token isn't served at once");
    }
}

fn token(secret: &str) -> Result<AccessToken, Error> {
    Ok(AccessToken::new(secret)?.with_expires_in(Duration::from_secs(3600)))
}

fn join<const N: usize>(threads: [thread::JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn callers_of_a_cold_slot_share_one_flight() {
    in_many_orders(|| {
        let world = World::new([Some(Ok("one"))]);
        join::<3>(world.callers(|world| assert_eq!(world.token().unwrap(), "one")));
        assert_eq!(world.begun.load(Ordering::SeqCst), 1);
        world.assert_published("one");
    });
}

#[test]
fn a_failed_flight_is_one_request_and_everybodys_error() {
    in_many_orders(|| {
        let world = World::new([Some(Err(ErrorKind::Unavailable))]);
        join::<3>(world.callers(|world| assert_eq!(world.token().unwrap_err().kind(), ErrorKind::Unavailable)));
        assert_eq!(world.begun.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_flight_that_is_given_up_is_followed_by_another() {
    in_many_orders(|| {
        let world = World::new([None, Some(Ok("one"))]);
        join::<3>(world.callers(|world| assert_eq!(world.token().unwrap(), "one")));
        assert_eq!(world.begun.load(Ordering::SeqCst), 2);
        world.assert_published("one");
    });
}

#[test]
fn a_caller_that_goes_away_while_it_waits_stops_nobody() {
    in_many_orders(|| {
        let world = World::new([Some(Ok("one"))]);
        let impatient = world.callers::<1>(|world| {
            if let Step::Wait(flight) = world.flights.ask(world.now, None) {
                block_on(async {
                    let mut waiting = pin!(world.flights.ended(flight));
                    poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await;
                });
            }
        });
        let callers = world.callers::<2>(|world| assert_eq!(world.token().unwrap(), "one"));
        join(impatient);
        join(callers);
        world.assert_published("one");
    });
}

fn invalidated_by_two_and_refreshed_once() {
    let world = World::new([Some(Ok("one")), Some(Ok("two"))]);
    assert_eq!(world.token().unwrap(), "one");
    let refused = world.callers::<2>(|world| {
        world.flights.invalidate(&token("one").unwrap(), world.now);
        assert_eq!(world.token().unwrap(), "two", "a token that was refused is served again");
    });
    let reader = world.callers::<1>(|world| {
        world.token().unwrap();
    });
    join(refused);
    join(reader);
    assert_eq!(world.begun.load(Ordering::SeqCst), 2);
    world.assert_published("two");
}

#[test]
fn two_refusals_of_a_token_are_one_refresh() {
    in_many_orders(invalidated_by_two_and_refreshed_once);
}

#[test]
fn a_lost_update_is_found() {
    LOSE_UPDATES.set(true);
    let found = std::panic::catch_unwind(|| in_many_orders(invalidated_by_two_and_refreshed_once));
    LOSE_UPDATES.set(false);
    let panic = found.expect_err("the model checker doesn't see an update that is lost");
    let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    let losses = ["an update was lost", "is served again", "isn't served at once"];
    assert!(losses.iter().any(|loss| said.contains(loss)), "something else was found: {said}");
}

#[test]
fn nobody_waits_for_a_cache_that_is_dropped() {
    in_many_orders(|| {
        let world = World::new([None; 100]);
        let callers = world.callers::<2>(|world| {
            assert_eq!(world.token().unwrap_err().kind(), ErrorKind::Configuration);
        });
        let subscriber = world.callers::<1>(|world| {
            assert!(block_on(world.flights.newer(0)).is_none());
        });
        world.flights.close();
        join(callers);
        join(subscriber);
    });
}

/// Who shuts a cache down may come between the beginning of a flight and the moment from which it can be aborted.
#[test]
fn a_flight_is_waited_for_when_a_cache_is_shut_down_and_ended_when_it_is_dropped() {
    fn check(is_dropped: bool) {
        let world = World::new([Some(Ok("one"))]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let task = runtime.spawn(std::future::pending::<()>());
        let Step::Begin(ticket, None) = world.flights.ask(world.now, None) else { panic!("a cold slot begins one") };
        let (flights, id, abort) = (world.flights.clone(), ticket.id, task.abort_handle());
        let beginning = thread::spawn(move || flights.set_abort(id, abort));
        world.flights.close();
        let waiting = if is_dropped {
            world.flights.abort();
            None
        } else {
            Some(world.callers::<1>(|world| block_on(world.flights.idle())))
        };
        beginning.join().unwrap();
        // It is under way until here.
        world.exchange(ticket);
        waiting.into_iter().for_each(join);
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(task.is_finished(), is_dropped, "aborted, or not, against what was promised");
    }
    in_many_orders(|| check(false));
    in_many_orders(|| check(true));
}

#[test]
fn a_subscriber_sees_the_last_token() {
    in_many_orders(|| {
        let world = World::new([Some(Ok("one")), Some(Ok("two"))]);
        let subscriber = world.callers::<1>(|world| {
            let mut seen = 0;
            while let Some(guard) = block_on(world.flights.newer(seen)) {
                seen = guard.generation();
                if guard.secret() == "two" {
                    return;
                }
            }
            panic!("closed without it");
        });
        assert_eq!(world.token().unwrap(), "one");
        world.flights.invalidate(&token("one").unwrap(), world.now);
        assert_eq!(world.token().unwrap(), "two");
        join(subscriber);
    });
}
