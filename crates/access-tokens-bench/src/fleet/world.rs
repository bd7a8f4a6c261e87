//! What all parts of one simulation share: its time, its chances, and the book that everything is written down in.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use super::{book::Book, case::Case};

#[derive(Debug, Clone)]
pub(super) struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    case: Case,
    began: Instant,
    changing: Mutex<Changing>,
}

#[derive(Debug)]
struct Changing {
    book: Book,
    chances: Rng,
    /// Requests to the provider so far.
    asked: u64,
    /// When the life of the newest token began that somebody has.
    newest: Option<Duration>,
}

impl World {
    pub(super) fn new(case: Case, seed: u64) -> Self {
        let counted = case.counted();
        let book = Book::new(case.instances, counted.end - counted.start);
        let changing = Changing { book, chances: Rng::with_seed(seed), asked: 0, newest: None };
        Self(Arc::new(Inner { case, began: Instant::now(), changing: Mutex::new(changing) }))
    }

    pub(super) fn case(&self) -> &Case {
        &self.0.case
    }

    /// Since the beginning of the simulation.
    pub(super) fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// When that is for the runtime's timers.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.0.began + at
    }

    /// Waits for a time of `least` to `most`, any of it as likely.
    pub(super) async fn way(&self, least: Duration, most: Duration) {
        let chance = self.change(|changing| changing.chances.f64());
        sleep(least + (most - least).mul_f64(chance)).await;
    }

    /// One of two.
    pub(super) fn coin(&self) -> bool {
        self.change(|changing| changing.chances.bool())
    }

    /// Writes something down, unless counting hasn't begun.
    pub(super) fn write(&self, write: impl FnOnce(&mut Book, Duration)) {
        if let Some(at) = self.now().checked_sub(self.0.case.counted().start) {
            self.change(|changing| write(&mut changing.book, at));
        }
    }

    /// Calls at moments that are counted, of which there is no more to tell.
    pub(super) fn count_calls(&self, calls: u64) {
        self.change(|changing| changing.book.calls += calls);
    }

    /// A request to the provider is sent; its number.
    pub(super) fn asks(&self, instance: u32) -> u64 {
        let (now, quiet) = (self.now(), self.0.case.quiet());
        let newest = self.change(|changing| changing.newest);
        self.write(|book, at| {
            book.exchange(at, instance);
            book.surplus += u64::from(newest.is_some_and(|newest| now < newest + quiet));
        });
        self.change(|changing| {
            changing.asked += 1;
            changing.asked
        })
    }

    /// The provider answered with a token to what was `asked` then.
    pub(super) fn issued(&self, asked: Duration) {
        self.change(|changing| changing.newest = changing.newest.max(Some(asked)));
    }

    /// Nobody has a token any more.
    pub(super) fn all_forget(&self) {
        self.change(|changing| changing.newest = None);
    }

    /// What was written down, which ends it.
    pub(super) fn close(&self) -> Book {
        self.change(|changing| std::mem::replace(&mut changing.book, Book::new(0, Duration::ZERO)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Changing) -> T) -> T {
        change(&mut self.0.changing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
