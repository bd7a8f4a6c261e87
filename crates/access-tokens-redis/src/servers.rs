//! Which server a command goes to: the only one, the one that the sentinels name, or the one in a cluster that has the key.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use access_tokens::{Error, ErrorKind};
use redis::{RedisResult, Value};
use tokio_rustls::TlsConnector;

use crate::{
    address::{Address, HostOf},
    connection::{Connection, Login, OnDrop},
    error,
    first::first_of,
    link::Link,
    script::Call,
};

/// A cluster whose servers agree needs one redirection, or two while a slot is on its way.
const REDIRECTIONS: usize = 5;

pub(crate) struct Servers {
    reach: Arc<Reach>,
    /// To the server, the master, or in a cluster to any server: it says which one has a key.
    entry: Link,
    cluster: Mutex<Cluster>,
}

/// What was learnt of a cluster, from its redirections alone: so a user needs no permission to ask for its layout.
#[derive(Default)]
struct Cluster {
    owners: HashMap<u16, Address>,
    links: HashMap<Address, Arc<Link>>,
}

/// All that connecting takes.
pub(crate) struct Reach {
    pub(crate) layout: Layout,
    /// At least one.
    pub(crate) addresses: Vec<Address>,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) login: Login,
}

/// What the addresses are.
pub(crate) enum Layout {
    Single,
    Cluster,
    Sentinel { master: String, login: Login },
}

/// The answer to a command.
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// It was sent twice, and may have been done twice.
    pub(crate) repeated: bool,
}

impl Servers {
    pub(crate) fn new(reach: Reach) -> Self {
        Self { reach: Arc::new(reach), entry: Link::default(), cluster: Mutex::default() }
    }

    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let slot = slot(call.key);
        let mut owner = self.cluster().owners.get(&slot).cloned();
        let mut asking = false;
        let mut repeated = false;
        for _ in 0..=REDIRECTIONS {
            // A server that doesn't answer may have lost its keys to another: the next command asks anew.
            let mut forget = OnDrop::new(|| self.cluster().forget(owner.as_ref()));
            let (asked, answer) = self.run_at(owner.as_ref(), call, asking, &mut repeated).await?;
            let redirection = match (&answer, &self.reach.layout) {
                (Err(e), Layout::Cluster) => error::redirection(e, &asked),
                _ => None,
            };
            if redirection.is_some() || !answer.as_ref().is_err_and(error::is_of_no_use) {
                forget.disarm();
            }
            drop(forget);
            match redirection {
                None => {
                    let value = answer.map_err(|e| error::refused(&asked, e))?;
                    return Ok(Answer { value, repeated });
                }
                Some(redirection) => {
                    asking = redirection.asking;
                    if !asking {
                        self.cluster().owners.insert(slot, redirection.address.clone());
                    }
                    owner = Some(redirection.address);
                }
            }
        }
        let message = "the servers of the Redis cluster don't agree on which of them has a key; look at CLUSTER SLOTS";
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// At one server; and once more, on a new connection, if that one was closed while it waited for something to do.
    async fn run_at(
        &self,
        owner: Option<&Address>,
        call: &Call<'_>,
        asking: bool,
        repeated: &mut bool,
    ) -> Result<(Address, RedisResult<Value>), Error> {
        let (connection, reused) = self.connection(owner).await?;
        let answer = run_on(&connection, call, asking).await;
        if !reused || !answer.as_ref().is_err_and(error::is_lost) {
            return Ok((connection.address.clone(), answer));
        }
        *repeated = true;
        let (connection, _) = self.connection(owner).await?;
        let answer = run_on(&connection, call, asking).await;
        Ok((connection.address.clone(), answer))
    }

    async fn connection(&self, owner: Option<&Address>) -> Result<(Arc<Connection>, bool), Error> {
        let reach = Arc::clone(&self.reach);
        match owner {
            None => self.entry.connection(|| reach.enter()).await,
            Some(address) => {
                let link = Arc::clone(self.cluster().links.entry(address.clone()).or_default());
                let address = address.clone();
                link.connection(|| async move { reach.open(address).await }).await
            }
        }
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    fn forget(&mut self, address: Option<&Address>) {
        if let Some(address) = address {
            self.links.remove(address);
            self.owners.retain(|_, owner| owner != address);
        }
    }
}

/// By the script's hash, and with the script itself where Redis doesn't have it: after a restart, say.
async fn run_on(connection: &Connection, call: &Call<'_>, asking: bool) -> RedisResult<Value> {
    let send = async |command| {
        if asking { connection.send_asking(&command).await } else { connection.send(&command).await }
    };
    match send(call.by_hash()).await {
        Err(e) if error::is_no_script(&e) => send(call.in_full()).await,
        answer => answer,
    }
}

impl Reach {
    /// Connects to the first that answers.
    async fn enter(self: Arc<Self>) -> Result<Connection, Error> {
        let addresses = self.addresses.clone();
        first_of(addresses, move |address| {
            let reach = Arc::clone(&self);
            async move {
                match &reach.layout {
                    Layout::Single | Layout::Cluster => reach.open(address).await,
                    Layout::Sentinel { master, login } => reach.open_master(address, master, login).await,
                }
            }
        })
        .await
    }

    async fn open(&self, address: Address) -> Result<Connection, Error> {
        Connection::open(address, self.tls.as_ref(), &self.login).await
    }

    /// What this sentinel takes for the master, if that one agrees.
    async fn open_master(&self, sentinel: Address, name: &str, login: &Login) -> Result<Connection, Error> {
        let connection = Connection::open(sentinel.clone(), self.tls.as_ref(), login).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let answer = connection.first(&command).await?.map_err(|e| error::sentinel(&sentinel, e))?;
        let address = master_of(&answer).ok_or_else(|| error::unknown_master(&sentinel, name))?;
        let connection = Connection::open(address.clone(), self.tls.as_ref(), &self.login).await?;
        match connection.first(&redis::cmd("ROLE")).await? {
            Ok(Value::Array(parts)) if parts.first() != Some(&Value::BulkString(b"master".to_vec())) => {
                Err(error::not_master(&address))
            }
            // A user need not be allowed to ask; Redis itself refuses what only a master can do.
            _ => Ok(connection),
        }
    }
}

fn master_of(answer: &Value) -> Option<Address> {
    let Value::Array(parts) = answer else { return None };
    let [Value::BulkString(host), Value::BulkString(port)] = parts.as_slice() else { return None };
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(Address { host: text(host)?, port: text(port)?.parse().ok()?, host_of: HostOf::Sentinel })
}

/// The slot of a key in a cluster: CRC-16 (XMODEM) of what is in its first pair of braces, of which ours have one.
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(key, |(tag, _)| tag);
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % 16384
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reach { layout, addresses, tls, login } = &*self.reach;
        let mut debug = f.debug_struct("Servers");
        debug.field("addresses", addresses).field("tls", &tls.is_some());
        match layout {
            Layout::Single => {}
            Layout::Cluster => _ = debug.field("cluster", &true),
            Layout::Sentinel { master, .. } => _ = debug.field("master", master),
        }
        debug.field("username", &login.username).field("database", &login.database).finish_non_exhaustive()
    }
}
