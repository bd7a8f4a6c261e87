//! The store itself.

use std::{fmt, sync::Arc, time::Duration};

use access_tokens::store::{StoreAnswer, Stored, Swap, TokenStore};

use crate::{
    script::{self, Call},
    servers::Servers,
};

/// A store on Redis or Valkey. Cheap to clone, each clone a handle of the same store and its connections.
///
/// It connects with the first command, keeps that connection, and connects anew when it is of no use any more: closed, or to a
/// server that doesn't answer, is no longer the master, or is still loading its data. Commands may come from several tokio
/// runtimes.
///
/// Connecting takes at most 1.5 s for each address, and as long to resolve a name. Several servers, and several addresses of one
/// name, are tried beside each other, 0.1 s apart. It goes on when the command that wanted it is given up, so that a later one
/// finds it done.
///
/// A command that finds its connection closed is sent once more, on a new one; otherwise nothing is repeated. In a cluster,
/// commands follow the redirections of its servers, and remember them.
///
/// # Errors
/// Of commands, beside what [`TokenStore`] says:
/// - [`Configuration`](access_tokens::ErrorKind::Configuration): Redis refuses the user name or password, or the user may not
///   run the scripts; the servers are no cluster or no sentinels, or the other way round.
/// - [`Unavailable`](access_tokens::ErrorKind::Unavailable): no connection, no TLS, no memory, no master.
/// - [`Contract`](access_tokens::ErrorKind::Contract): what answers isn't Redis.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    prefix: String,
    servers: Servers,
}

impl RedisStore {
    pub(crate) fn new(prefix: String, servers: Servers) -> Self {
        Self(Arc::new(Inner { prefix, servers }))
    }

    /// The braces have a cluster choose the server by the name alone, so that one can be told for a name whatever the prefix.
    fn key(&self, name: &str) -> String {
        format!("{}:{{{name}}}", self.0.prefix)
    }
}

impl TokenStore for RedisStore {
    fn get<'a>(&'a self, name: &'a str) -> StoreAnswer<'a, Stored> {
        Box::pin(async move {
            let answer = self.0.servers.run(&Call::get(&self.key(name))).await?;
            script::stored(&answer.value)
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
            let key = self.key(name);
            let answer = self.0.servers.run(&Call::compare_and_set(&key, expected, value, ttl)).await?;
            Ok(match script::swap(&answer.value)? {
                // Sent twice: the first had been done, and only its answer was lost.
                Swap::Changed(stored) if answer.repeated && stored.value.as_deref() == Some(value) => Swap::Done,
                swap => swap,
            })
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { prefix, servers } = &*self.0;
        f.debug_struct("RedisStore").field("prefix", prefix).field("servers", servers).finish()
    }
}
