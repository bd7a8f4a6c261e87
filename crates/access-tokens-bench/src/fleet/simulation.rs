//! One simulation: every instance has a real [`TokenCache`], and all of them one runtime whose time is paused, so that it
//! goes on from one timer to the next.

use std::time::Duration;

use access_tokens::{
    Clock, Policy, TokenCache,
    store::{KeyRing, SharedStore},
    testing::MemoryStore,
};
use fastrand::Rng;
use tokio::{
    runtime,
    time::{sleep, sleep_until, timeout_at},
};

use super::{
    book::Book,
    case::{Case, LIFETIME, STARTING},
    provider::Provider,
    redis::Redis,
    world::World,
};
use crate::library::Error;

/// Makes all chances the same each time.
const SEED: u64 = 0x5eed;

/// What comes of it. The facade draws from the thread's own source of chances, so a thread runs one at a time.
pub(super) fn run(case: Case) -> Result<Book, Error> {
    Policy::new().jitter(case.jitter).check()?;
    let seed = SEED ^ u64::from(case.fleet);
    fastrand::seed(seed);
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let world = World::new(case, seed);
        let redis = Redis { world: world.clone(), memory: MemoryStore::new() };
        let keys = KeyRing::new(&[1; 32], [[2; 32]])?;
        for instance in 0..world.case().instances {
            let instance =
                Instance { number: instance, world: world.clone(), redis: redis.clone(), keys: keys.clone() };
            tokio::spawn(instance.live());
        }
        if let Some(restart) = world.case().restart() {
            sleep_until(world.instant(restart)).await;
            redis.memory.clear();
            world.all_forget();
        }
        sleep_until(world.instant(world.case().counted().end)).await;
        Ok(world.close())
    })
}

struct Instance {
    number: u32,
    world: World,
    redis: Redis,
    keys: KeyRing,
}

impl Instance {
    /// From its start to the end of the simulation, or to the restart and from there.
    async fn live(self) {
        let case = self.world.case();
        let mut chances = Rng::with_seed(SEED ^ u64::from(case.fleet) ^ (u64::from(self.number) << 32));
        let starts = case.starts();
        sleep((starts.end - starts.start).mul_f64(chances.f64())).await;
        if let Some(restart) = case.restart() {
            let _ = timeout_at(self.world.instant(restart), self.call(&mut chances, restart)).await;
            sleep(STARTING.mul_f64(chances.f64())).await;
        }
        self.call(&mut chances, case.counted().end).await;
    }

    /// Asks for a token at once, and then at random moments up to `until`, as callers do who know nothing of each other.
    async fn call(&self, chances: &mut Rng, until: Duration) {
        // The policy was checked, and the provider's tokens have a name: there is nothing to refuse.
        let Some(cache) = self.cache() else { return };
        let case = self.world.case();
        loop {
            let asked = self.world.now();
            let served = cache.token().await.ok().map(|token| token.remaining().unwrap_or_default());
            let now = self.world.now();
            self.world.write(|book, at| {
                book.calls += 1;
                book.longest_wait = book.longest_wait.max(now - asked);
                match served {
                    Some(_) => book.waited += u64::from(now > asked),
                    None => book.without_token.add(at),
                }
            });
            // Until its refresh can be due, a token is served at once; making those calls too changes nothing but the time
            // that it takes. A second for the margin that a token's end has, and one for the coarse clock.
            let left_then = LIFETIME - case.quiet() + Duration::from_secs(2);
            let quiet = match served {
                Some(left) if !case.every_call => now + left.saturating_sub(left_then),
                _ => now,
            };
            let (mut next, mut left_out) = (now, 0);
            loop {
                // Exponential gaps, in the milliseconds that timers know: so a call that is left out is no other than one made.
                let gap = case.gap.mul_f64(-(1.0 - chances.f64()).ln());
                next += Duration::from_millis(gap.as_millis() as u64 + 1);
                if next >= quiet || next >= until {
                    break;
                }
                left_out += u64::from(next >= case.counted().start);
            }
            if left_out > 0 {
                self.world.count_calls(left_out);
            }
            sleep_until(self.world.instant(next)).await;
        }
    }

    fn cache(&self) -> Option<TokenCache> {
        let case = self.world.case();
        let provider = Provider { world: self.world.clone(), instance: self.number };
        let policy = Policy::new().jitter(case.jitter);
        let cache = TokenCache::builder(provider).policy(policy).clock(Clock::tokio());
        let cache =
            if case.store { cache.store(SharedStore::new(self.redis.clone(), self.keys.clone())) } else { cache };
        cache.build().ok()
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::{
        super::{
            case::{Event, JITTER},
            dispersal,
        },
        *,
    };

    const FLEET: u32 = 1_000;

    #[test]
    fn with_the_store_a_token_has_one_successor() {
        for jitter in [JITTER, 0.0] {
            let book = simulated(Case { jitter, lifetimes: 6, ..Case::new(FLEET, true, Event::Undisturbed) });
            // A fleet's earliest draw comes close to the least there is, and then comes the next call.
            let period = 3600.0 * (0.8 - jitter);
            let most = (6.0 * 3600.0 / period).ceil();
            assert!((most - 1.0..=most).contains(&(book.exchanges.in_all() as f64)), "{}", book.exchanges.in_all());
            assert_eq!((book.surplus, book.without_token.in_all(), book.waited), (0, 0, 0), "jitter {jitter}");
            // One look for each instance and token, one or two commands of who makes the exchange, and hardly any waiting.
            assert!(book.commands.in_all() < 11 * FLEET as u64, "{}", book.commands.in_all());
        }
    }

    #[test]
    fn with_the_store_a_restart_is_one_exchange() {
        let case = Case { lifetimes: 4, ..Case::new(FLEET, true, Event::Restart) };
        let restart = case.happens() - case.counted().start;
        let book = simulated(case);
        assert_eq!(book.exchanges.between(restart, restart + LIFETIME / 2), 1);
        assert_eq!((book.surplus, book.without_token.in_all()), (0, 0));
        assert!(book.longest_wait < Duration::from_secs(1), "{:?}", book.longest_wait);
    }

    #[test]
    fn an_outage_of_the_store_costs_nobody_a_token() {
        // Longer than any token lives that was shared before it.
        let (fleet, away) = (60, LIFETIME + LIFETIME / 10);
        let case = Case { lifetimes: 5, ..Case::new(fleet, true, Event::StoreAway(away)) };
        let begins = case.happens() - case.counted().start;
        let ends = begins + away;
        let book = simulated(case);
        assert_eq!(book.without_token.in_all(), 0);
        assert!(book.longest_wait <= Duration::from_millis(500), "{:?}", book.longest_wait);
        // Alone, nobody makes more exchanges than without a store at all; and afterwards they come together again.
        let alone = book.exchanges.between(begins, ends);
        assert!((fleet.into()..=2 * u64::from(fleet)).contains(&alone), "{alone}");
        let later = book.exchanges.between(ends + Duration::from_secs(5), ends + LIFETIME);
        assert!((1..=3).contains(&later), "{later}");
    }

    #[test]
    fn an_outage_of_the_provider_that_a_token_bridges_costs_nobody_one() {
        // A fifth of a life is left when the last refresh is due.
        for store in [true, false] {
            let away = Event::ProviderAway(LIFETIME.mul_f64(0.17));
            let book = simulated(Case { lifetimes: 4, ..Case::new(FLEET, store, away) });
            assert_eq!(book.without_token.in_all(), 0, "store: {store}");
        }
    }

    #[test]
    fn without_a_store_random_moments_stay_random() {
        let book = simulated(Case { lifetimes: 6, ..Case::new(FLEET, false, Event::Undisturbed) });
        let (peak, mean) = (f64::from(book.exchanges.peak_minute()), book.exchanges.mean_minute());
        // Of 22 in a minute on average, chance alone makes 40 once in a while; a herd would make hundreds.
        assert!((20.0..25.0).contains(&mean), "{mean}");
        assert!(peak <= 2.0 * mean, "{peak} / {mean}");
    }

    #[test]
    fn without_a_store_a_herd_disperses_as_expected() {
        let restart = |fleet, jitter| Case { jitter, lifetimes: 20, ..Case::new(fleet, false, Event::Restart) };
        // Enough that chance doesn't make twice the mean of what has dispersed.
        let (case, still) = (restart(5 * FLEET, JITTER), restart(FLEET, 0.0));
        let measured = dispersal::measured(&case, &simulated(case.clone())).expect("it disperses");
        assert!((dispersal::expected(&case) - measured).abs() < 2.5, "{measured}");
        assert_eq!(dispersal::measured(&still, &simulated(still.clone())), None);
    }

    #[test]
    fn calls_that_are_left_out_change_nothing() {
        for (store, event) in [(true, Event::Restart), (false, Event::Restart)] {
            let case = Case { lifetimes: 4, ..Case::new(FLEET / 10, store, event) };
            let every_call = Case { every_call: true, ..case.clone() };
            assert!(simulated(case) == simulated(every_call), "store: {store}");
        }
    }

    #[test]
    fn each_run_is_the_same() {
        let case = Case { lifetimes: 3, ..Case::new(FLEET / 4, true, Event::Restart) };
        assert!(simulated(case.clone()) == simulated(case));
    }

    fn simulated(case: Case) -> Book {
        run(case).expect("it runs")
    }
}
