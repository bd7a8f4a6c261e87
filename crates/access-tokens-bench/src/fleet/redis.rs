//! The store as all instances see it: one memory behind a short way, which is away at times.

use std::{future::pending, time::Duration};

use access_tokens::{
    Error, ErrorKind,
    store::{StoreAnswer, Stored, Swap, TokenStore},
    testing::MemoryStore,
};

use super::world::World;

/// How long a command takes, any time between as likely. Timers know milliseconds, and round up.
const WAY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_micros(1800));

/// What its clock shows when a simulation begins.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

#[derive(Debug, Clone)]
pub(super) struct Redis {
    pub(super) world: World,
    pub(super) memory: MemoryStore,
}

impl Redis {
    /// The way there and back. While the store is away one half of the connections is refused, and the other hangs.
    async fn way(&self) -> Result<(), Error> {
        self.world.write(|book, at| book.commands.add(at));
        let is_away = self.world.case().store_is_away(self.world.now());
        self.world.way(WAY.0, WAY.1).await;
        match is_away {
            true if self.world.coin() => pending().await,
            true => Err(Error::new(ErrorKind::Unavailable, "the store refuses connections")),
            false => Ok(()),
        }
    }

    /// The memory's own clock begins anywhere within a millisecond, which would make no two runs the same.
    fn by_our_clock(&self, stored: Stored) -> Stored {
        Stored { now: EPOCH + self.world.now(), ..stored }
    }
}

impl TokenStore for Redis {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move {
            self.way().await?;
            Ok(self.by_our_clock(self.memory.get(name).await?))
        })
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl: Duration,
    ) -> StoreAnswer<'a, Swap> {
        Box::pin(async move {
            self.way().await?;
            match self.memory.compare_and_set(name, expected, value, ttl).await? {
                Swap::Done => Ok(Swap::Done),
                Swap::Changed(stored) => Ok(Swap::Changed(self.by_our_clock(stored))),
            }
        })
    }
}
