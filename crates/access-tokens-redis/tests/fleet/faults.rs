//! What can befall a store, each under load.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use access_tokens::store::SharedStore;
use access_tokens_redis::RedisStore;
use access_tokens_sandbox::{Endpoint, Sandbox};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

use crate::{
    instance::{self, CROWD, Exchanges, KEY, ring},
    load::{Load, Met},
    support::{RedisServer, redis_or_skip},
    worker::{Settings, Worker},
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// None, to compare with.
    None,
    /// SIGKILL.
    Killed,
    /// SIGSTOP, then SIGCONT.
    Stopped,
    /// FLUSHALL, again and again.
    Flushed,
    /// Out of memory.
    Full,
    /// The user has another password, and the connections of the old one are cut.
    WrongPassword,
    /// Each key is overwritten, again and again, by random bytes or by a value of another type.
    Garbage,
    /// Others write under the same names with another key.
    ForeignKey,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Killed,
        Self::Stopped,
        Self::Flushed,
        Self::Full,
        Self::WrongPassword,
        Self::Garbage,
        Self::ForeignKey,
    ];

    /// The store is away, rather than confused.
    fn is_outage(self) -> bool {
        matches!(self, Self::Killed | Self::Stopped | Self::Full | Self::WrongPassword)
    }
}

/// How many handles the instances of this process have.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Handles {
    /// One, as a service has it.
    One,
    /// Each its own.
    Each,
}

const ATTEMPTS: usize = 3;
const INSTANCES: usize = 12;
const LIFETIME: Duration = Duration::from_secs(4);
const LATENCY: Duration = Duration::from_millis(50);
/// Longer than a token lives, so that each instance needs a new one meanwhile.
const SPAN: Duration = Duration::from_millis(4500);
/// No caller waits longer for a store.
const BOUND: Duration = Duration::from_millis(250);
/// What an exchange takes in this build beside the latency, and the pause until who waits for another's looks again. The waits
/// of a fleet that nothing befell, at the same time, come on top, and what processors are short of is told apart.
const SLACK: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lives through several tokens in real time"]
async fn nothing_that_befalls_a_store_is_noticed_by_a_caller() {
    if !redis_or_skip("what befalls a store under load") {
        return;
    }
    let _crowd = CROWD.lock().await;
    // A machine that is too busy shows by the fleets that nothing befell; nothing can be told of the others then.
    for attempt in 1..=ATTEMPTS {
        let outcomes = all().await;
        let nothing = outcomes.iter().filter(|(fault, ..)| *fault == Fault::None);
        let (calm, longest) = nothing.fold((true, Duration::ZERO), |(calm, longest), (.., outcome)| {
            (calm && outcome.is_calm(), longest.max(outcome.met.longest_awake))
        });
        for (fault, handles, outcome) in &outcomes {
            println!("{fault:?}, {handles:?}: {outcome}");
        }
        if calm || attempt == ATTEMPTS {
            assert!(calm, "that isn't calm without a fault either");
            let complaints = outcomes.iter().flat_map(|(fault, handles, outcome)| {
                let complaints = outcome.complaints(*fault, BOUND + longest + SLACK);
                complaints.into_iter().map(move |what| format!("{fault:?}, {handles:?}: {what}"))
            });
            assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
            return;
        }
        println!("the machine is too busy; once more");
    }
}

async fn all() -> Vec<(Fault, Handles, Outcome)> {
    let mut fleets = JoinSet::new();
    for handles in [Handles::One, Handles::Each] {
        for fault in Fault::ALL {
            let start = Duration::from_millis(500) + fleets.len() as u32 * Duration::from_millis(100);
            fleets.spawn(async move { (fault, handles, suffer(fault, handles, start).await) });
        }
    }
    fleets.join_all().await
}

/// What a fleet met, from before the fault until it was over for long.
struct Outcome {
    met: Met,
    before: usize,
    during: usize,
    noticed: bool,
    back_after: Option<Duration>,
    gaps_afterwards: Vec<f64>,
}

impl Outcome {
    /// Of a fleet that nothing befell.
    fn is_calm(&self) -> bool {
        let few = self.before == 1 && self.during <= 2 && !self.noticed;
        few && self.met.longest_awake <= LATENCY + SLACK
    }

    fn complaints(&self, fault: Fault, longest: Duration) -> Vec<String> {
        let Self { met, during, noticed, back_after, gaps_afterwards: gaps, .. } = self;
        let back_in_time = back_after.is_some_and(|after| after <= Duration::from_secs(5));
        let expected = match fault {
            Fault::None => 1..=2,
            // Each instance for itself, once or twice.
            _ if fault.is_outage() => INSTANCES..=4 * INSTANCES,
            _ => 3..=20 * INSTANCES,
        };
        [
            (met.calls < 3000, format!("that was no load: {} calls", met.calls)),
            (!met.errors.is_empty(), format!("{} errors, such as {:?}", met.errors.len(), met.errors.first())),
            (met.refused > 0, format!("{} tokens were of no use", met.refused)),
            (met.longest_awake > longest, format!("a caller waited for {:?}", met.longest_awake)),
            (fault.is_outage() && !noticed, "that was no outage".to_owned()),
            (!expected.contains(during), format!("{during} exchanges in it, not {expected:?}")),
            (!back_in_time, format!("in use again after {back_after:?}")),
            // One in each life, at the first soft refresh that is due.
            (gaps.len() < 2 || gaps.iter().any(|gap| *gap < 0.6), format!("gaps afterwards: {gaps:.2?}")),
        ]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
        .collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { met, before, during, back_after, gaps_afterwards, .. } = self;
        write!(
            f,
            "{} calls, longest wait {:?} ({:?} awake); {before} exchange before, {during} in it; in use again after \
             {back_after:?}, gaps in lives {gaps_afterwards:.2?}",
            met.calls, met.longest, met.longest_awake
        )
    }
}

async fn suffer(fault: Fault, handles: Handles, start: Duration) -> Outcome {
    let sandbox = instance::sandbox(LIFETIME).await;
    instance::slow(&sandbox, LATENCY);
    let redis = block_in_place(|| RedisServer::start_with(&["--user", "tokens", "on", ">right", "~*", "+@all"]));
    let url = redis.url();
    let store = || {
        let store = RedisStore::builder([&url]).username("tokens").password("right").build().unwrap();
        SharedStore::new(store, ring(&[KEY]))
    };
    let one = store();
    let next = || if handles == Handles::One { one.clone() } else { store() };
    let shared: Vec<_> = (0..INSTANCES).map(|_| next()).collect();
    let exchanges = Exchanges::of(&sandbox, Endpoint::Onence);
    let client = instance::client(&sandbox);
    let caches: Vec<_> = shared.iter().map(|store| instance::cache(&client, store)).collect();
    // Not all fleets at the same moment.
    sleep(start).await;
    let mut load = Load::on(&sandbox, &caches);
    sleep(LIFETIME / 2).await;
    let before = exchanges.count();

    let foreigner = match fault {
        Fault::ForeignKey => Some(foreigner(&sandbox, &url).await),
        _ => None,
    };
    let harm = block_in_place(|| Harm::begin(fault, redis));
    let begun = Instant::now();
    let mut noticed = false;
    while begun.elapsed() < SPAN {
        // Those with a handle of their own meet it first.
        load.newcomer(instance::cache(&client, &next()));
        sleep(Duration::from_millis(300)).await;
        noticed |= shared.iter().all(|store| !store.is_available());
    }
    let during = exchanges.count() - before;
    drop(foreigner);
    let redis = block_in_place(|| harm.end());

    let over = Instant::now();
    let all_available = async {
        while !shared.iter().all(SharedStore::is_available) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let back_after = timeout(Duration::from_secs(10), all_available).await.ok().map(|()| over.elapsed());
    // By then each has taken what another has stored.
    sleep(LIFETIME).await;
    let settled = Instant::now();
    sleep(LIFETIME.mul_f64(2.6)).await;
    let gaps_afterwards = exchanges.gaps(settled, LIFETIME);
    let met = load.end().await;
    drop(redis);
    Outcome { met, before, during, noticed, back_after, gaps_afterwards }
}

/// Instances of the same client with another key, under load.
async fn foreigner(sandbox: &Sandbox, redis: &str) -> Worker {
    let mut worker = Worker::start(&Settings::new(sandbox, redis).caches(3).keys(&[[9; 32]])).await;
    worker.load().await;
    worker
}

/// A fault that goes on until it's ended.
struct Harm {
    fault: Fault,
    redis: Arc<Mutex<RedisServer>>,
    going_on: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Harm {
    fn begin(fault: Fault, mut redis: RedisServer) -> Self {
        match fault {
            Fault::Killed => redis.kill(),
            Fault::Stopped => redis.stop(),
            Fault::Full => _ = redis.command(&["CONFIG", "SET", "maxmemory", "1"]),
            Fault::WrongPassword => {
                redis.command(&["ACL", "SETUSER", "tokens", "resetpass", ">wrong"]);
                redis.command(&["CLIENT", "KILL", "USER", "tokens"]);
            }
            Fault::None | Fault::Flushed | Fault::Garbage | Fault::ForeignKey => {}
        }
        let (redis, going_on) = (Arc::new(Mutex::new(redis)), Arc::new(AtomicBool::new(true)));
        let (harmed, goes_on) = (redis.clone(), going_on.clone());
        let thread = thread::spawn(move || {
            for round in 0.. {
                if !goes_on.load(Ordering::Relaxed) {
                    return;
                }
                match fault {
                    Fault::Flushed => _ = harmed.lock().unwrap().command(&["FLUSHALL"]),
                    Fault::Garbage => overwrite(&harmed.lock().unwrap(), round),
                    _ => {}
                }
                thread::sleep(Duration::from_millis(60));
            }
        });
        Self { fault, redis, going_on, thread }
    }

    fn end(self) -> RedisServer {
        self.going_on.store(false, Ordering::Relaxed);
        self.thread.join().unwrap();
        let mut redis = Arc::into_inner(self.redis).unwrap().into_inner().unwrap();
        match self.fault {
            Fault::Killed => redis.restart(),
            Fault::Stopped => redis.cont(),
            Fault::Full => _ = redis.command(&["CONFIG", "SET", "maxmemory", "0"]),
            Fault::WrongPassword => _ = redis.command(&["ACL", "SETUSER", "tokens", "resetpass", ">right"]),
            Fault::None | Fault::Flushed | Fault::Garbage | Fault::ForeignKey => {}
        }
        redis
    }
}

/// Puts what isn't ours under each key: bytes of any length, or another type.
fn overwrite(redis: &RedisServer, round: usize) {
    for key in instance::keys(redis) {
        redis.command(&["DEL", &key]);
        match round % 4 {
            0 => redis.command(&["LPUSH", &key, "a list"]),
            1 => redis.command(&["HSET", &key, "a", "hash"]),
            _ => {
                let bytes: Vec<u8> = (0..[0, 1, 5000, 200_000][round / 4 % 4]).map(|_| fastrand::u8(..)).collect();
                redis.command_bytes(&[b"SET", key.as_bytes(), &bytes])
            }
        };
    }
}
