//! One connection to one server: opened, logged in, and told apart from one that is of no use any more.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use access_tokens::Error;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::{
    address::Address,
    error::{self, configuration},
    first::first_of,
};

/// Shorter than any firewall forgets an idle connection in.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long connecting to one address may take, login and all: longer than a first packet that is lost. As long may it take to
/// find the addresses of a name.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// What is said to a server first.
#[derive(Clone, Default)]
pub(crate) struct Login {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Zeroizing<String>>,
    pub(crate) database: u32,
}

pub(crate) struct Connection {
    pub(crate) address: Address,
    /// Over TLS.
    secure: bool,
    multiplexed: MultiplexedConnection,
    given_up: AtomicBool,
    driver: AbortHandle,
}

impl Connection {
    /// Connects and logs in. The server has answered then: one that only takes connections doesn't count. All addresses of its
    /// name are tried beside each other.
    pub(crate) async fn open(address: Address, tls: Option<&TlsConnector>, login: &Login) -> Result<Self, Error> {
        let finding = timeout(CONNECT_TIMEOUT, lookup_host((address.host.as_str(), address.port))).await;
        let found = finding.map_err(|_| error::not_found(&address, CONNECT_TIMEOUT))?;
        let found = found.map_err(|e| error::unreachable(&address, e))?;
        first_of(found, |at| {
            let (address, tls, login) = (address.clone(), tls.cloned(), login.clone());
            async move {
                let opening = Self::open_at(at, address.clone(), tls.as_ref(), &login);
                let opened = timeout(CONNECT_TIMEOUT, opening).await;
                opened.map_err(|_| error::silent(&address, tls.is_some(), CONNECT_TIMEOUT))?
            }
        })
        .await
    }

    async fn open_at(
        at: SocketAddr,
        address: Address,
        tls: Option<&TlsConnector>,
        login: &Login,
    ) -> Result<Self, Error> {
        let unreachable = |e| error::unreachable(&address, e);
        let tcp = TcpStream::connect(at).await.map_err(unreachable)?;
        // Without them it works too.
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
        match tls {
            None => Self::over(tcp, address, false, login).await,
            Some(connector) => {
                let name = ServerName::try_from(address.host.clone())
                    .map_err(|_| configuration(format!("the host of {address} isn't a name that TLS can check")))?;
                let stream = connector.connect(name, tcp).await.map_err(unreachable)?;
                Self::over(stream, address, true, login).await
            }
        }
    }

    async fn over<S>(stream: S, address: Address, secure: bool, login: &Login) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // We log in ourselves, since its own way loses why it was refused. And it has no time-out: who waits has one.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&nothing, stream, config).await;
        let (multiplexed, driver) = opened.map_err(|e| error::refused(&address, e))?;
        let driver = tokio::spawn(driver).abort_handle();
        let connection = Self { address, secure, multiplexed, given_up: AtomicBool::new(false), driver };
        connection.log_in(login).await?;
        Ok(connection)
    }

    /// Says who we are; if there is nothing to say, it is asked for a sign of life.
    async fn log_in(&self, login: &Login) -> Result<(), Error> {
        if let Some(password) = &login.password {
            let mut command = redis::cmd("AUTH");
            command.arg(login.username.as_ref()).arg(password.as_str());
            self.send(&command).await.map_err(|e| error::login(&self.address, self.secure, e))?;
        }
        if login.database != 0 {
            let mut command = redis::cmd("SELECT");
            command.arg(login.database);
            let selected = self.send(&command).await;
            selected.map_err(|e| error::database(&self.address, self.secure, login.database, e))?;
        }
        if login.password.is_some() || login.database != 0 {
            return Ok(());
        }
        match self.send(&redis::cmd("PING")).await {
            // A user need not be allowed that; it is an answer all the same.
            Err(e) if e.code() != Some("NOPERM") => Err(error::unwelcome(&self.address, self.secure, e)),
            _ => Ok(()),
        }
    }

    /// One command that belongs to connecting.
    pub(crate) async fn first(&self, command: &Cmd) -> Result<RedisResult<Value>, Error> {
        let answer = timeout(CONNECT_TIMEOUT, self.send(command)).await;
        answer.map_err(|_| error::silent(&self.address, self.secure, CONNECT_TIMEOUT))
    }

    pub(crate) fn is_usable(&self) -> bool {
        !self.given_up.load(Ordering::Relaxed)
    }

    /// One command. After one that was dropped before its answer came, or that showed the server to be of no use, the
    /// connection isn't used again; others that wait on it still get their answers.
    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let mut multiplexed = self.multiplexed.clone();
        self.guarded(async move { multiplexed.send_packed_command(command).await }).await
    }

    /// One command to a server of a cluster that is about to own its key.
    pub(crate) async fn send_asking(&self, command: &Cmd) -> RedisResult<Value> {
        let mut multiplexed = self.multiplexed.clone();
        let mut commands = Pipeline::new();
        commands.cmd("ASKING").add_command(command.clone());
        self.guarded(async move {
            let answers = multiplexed.send_packed_commands(&commands, 0, 2).await?;
            Ok(answers.into_iter().find(|answer| *answer != Value::Okay).unwrap_or_default())
        })
        .await
    }

    async fn guarded(&self, command: impl Future<Output = RedisResult<Value>>) -> RedisResult<Value> {
        let mut unanswered = OnDrop::new(|| self.given_up.store(true, Ordering::Relaxed));
        let answer = match command.await? {
            Value::ServerError(e) => Err(RedisError::from(e)),
            value => Ok(value),
        };
        if !answer.as_ref().is_err_and(error::is_of_no_use) {
            unanswered.disarm();
        }
        answer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Does something when dropped, as a future is that nobody waits for any more.
pub(crate) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(act: F) -> Self {
        Self(Some(act))
    }

    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}
