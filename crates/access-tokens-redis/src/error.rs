//! What went wrong, in words that say whose move it is. No text of a server is in a message: it can quote what it was sent. It is
//! the source, but for an answer to a login.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use access_tokens::{Error, ErrorKind};
use redis::{ErrorKind as RedisErrorKind, RedisError, ServerErrorKind};
use rustls::CertificateError;

use crate::address::{Address, HostOf};

/// How the user's permissions are to be, in the words of an ACL.
const PERMISSIONS: &str = "+evalsha +eval +get +set +strlen +time +type, on the keys ~<prefix>:*";

pub(crate) fn configuration(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// Neither TCP nor TLS.
pub(crate) fn unreachable(address: &Address, error: io::Error) -> Error {
    let message = match tls_error(&error) {
        Some(error) => tls_message(address, error),
        None if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("nothing listens at {address}; is Redis running there?")
        }
        None => format!("can't connect to Redis at {address}; check the host, and the network on the way to it"),
    };
    unavailable(message).with_source(error)
}

fn tls_message(address: &Address, error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName)
        | rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) => another_name(address),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the certificate of Redis at {address} has expired; renew it")
        }
        rustls::Error::InvalidCertificate(_) => {
            format!("the certificate of Redis at {address} isn't trusted; add its root with add_roots_pem")
        }
        rustls::Error::InvalidMessage(_) => {
            format!("what listens at {address} doesn't speak TLS; use its TLS port, or redis://")
        }
        rustls::Error::AlertReceived(_) => refuses_tls(address),
        _ => format!("TLS with Redis at {address} fails"),
    }
}

fn another_name(address: &Address) -> String {
    let (announced, advice) = match address.host_of {
        HostOf::Url => ("", "use that name in the URL"),
        HostOf::Sentinel => (
            ", as a sentinel announces it,",
            "set sentinel resolve-hostnames yes and sentinel announce-hostnames yes, and monitor the master by its name; or give the \
             servers certificates that have their addresses",
        ),
        HostOf::Cluster => (
            ", as the cluster announces it,",
            "set cluster-announce-hostname and cluster-preferred-endpoint-type hostname on its servers; or give them certificates \
             that have their addresses",
        ),
    };
    format!("the certificate of Redis at {address}{announced} is for another name; {advice}")
}

fn refuses_tls(address: &Address) -> String {
    format!("Redis at {address} refuses the TLS connection; if it wants a client certificate, set one")
}

/// Nobody said what addresses its name has.
pub(crate) fn not_found(address: &Address, waited: Duration) -> Error {
    let seconds = waited.as_secs_f32();
    unavailable(format!("the name of Redis at {address} isn't resolved within {seconds} s; check this machine's DNS"))
}

/// It took the connection, and then nothing.
pub(crate) fn silent(address: &Address, secure: bool, waited: Duration) -> Error {
    let seconds = waited.as_secs_f32();
    let question = if secure { "is that its TLS port?" } else { "is it there, and can it be reached?" };
    unavailable(format!("Redis at {address} doesn't answer within {seconds} s; {question}"))
}

/// The answer to `AUTH`. Without its text as a source, since a server that doesn't know the command repeats the password.
pub(crate) fn login(address: &Address, secure: bool, error: RedisError) -> Error {
    match (condition_of(&error), error.code()) {
        (Some(Condition::UnknownCommand) | None, Some(_)) => {
            configuration(format!("Redis at {address} refuses the user name or password; compare them with its ACL"))
        }
        (Some(condition), _) => condition.error(address),
        (None, None) if is_lost(&error) => unwelcome(address, secure, error),
        (None, None) => not_redis(address),
    }
}

/// The answer to `SELECT`.
pub(crate) fn database(address: &Address, secure: bool, database: u32, error: RedisError) -> Error {
    if condition_of(&error).is_some() || error.code().is_none() {
        return unwelcome(address, secure, error);
    }
    configuration(format!("Redis at {address} has no database {database}; correct the URL's path")).with_source(error)
}

/// The answer to the first command of a connection.
pub(crate) fn unwelcome(address: &Address, secure: bool, error: RedisError) -> Error {
    if !is_lost(&error) {
        return refused(address, error);
    }
    let message = match io_error(&error).and_then(tls_error) {
        Some(error) => tls_message(address, error),
        // Of TLS 1.3, a server refuses a client only after the client is done.
        None if secure => refuses_tls(address),
        None => format!(
            "Redis at {address} closes the connection at once; does it want TLS (rediss://), or is its maxclients reached?"
        ),
    };
    unavailable(message).with_source(error)
}

/// The answer to anything else.
pub(crate) fn refused(address: &Address, error: RedisError) -> Error {
    let refusal = match (condition_of(&error), error.code()) {
        (Some(condition), _) => condition.error(address),
        (None, Some("MOVED" | "ASK")) => {
            configuration(format!("Redis at {address} is a server of a cluster; call cluster() on the builder"))
        }
        (None, Some(code)) if is_code(code) => {
            unavailable(format!("Redis at {address} answers with an error ({code})"))
        }
        (None, Some(_)) => unavailable(format!("Redis at {address} answers with an error")),
        (None, None) if is_lost(&error) => unavailable(format!("the connection to Redis at {address} is lost")),
        (None, None) => not_redis(address),
    };
    refusal.with_source(error)
}

fn not_redis(address: &Address) -> Error {
    Error::new(ErrorKind::Contract, format!("what listens at {address} doesn't answer as Redis does"))
}

/// The answer of what should be a sentinel.
pub(crate) fn sentinel(address: &Address, error: RedisError) -> Error {
    match condition_of(&error) {
        Some(Condition::NoPermission) => configuration(format!(
            "the user may not ask the sentinel at {address}: allow +sentinel|get-master-addr-by-name"
        ))
        .with_source(error),
        Some(Condition::UnknownCommand) => {
            configuration(format!("Redis at {address} isn't a sentinel; give the URLs of the sentinels"))
                .with_source(error)
        }
        _ => refused(address, error),
    }
}

pub(crate) fn unknown_master(address: &Address, name: &str) -> Error {
    configuration(format!(
        "the sentinel at {address} knows no master {name:?}; compare the name with its configuration"
    ))
}

pub(crate) fn not_master(address: &Address) -> Error {
    unavailable(format!("Redis at {address} isn't the master that sentinels say it is; a failover may be under way"))
}

/// What a server says of itself or of the user, whatever the command.
enum Condition {
    WantsPassword,
    NoPermission,
    UnknownCommand,
    Protected,
    Full,
    OutOfMemory,
    Replica,
    Loading,
    Down,
    Unwritable,
}

impl Condition {
    fn error(&self, address: &Address) -> Error {
        match self {
            Self::WantsPassword => {
                configuration(format!("Redis at {address} wants a password; set it in the URL or with password"))
            }
            Self::NoPermission => configuration(format!(
                "the user may not do on Redis at {address} what a store does; allow {PERMISSIONS}"
            )),
            Self::UnknownCommand => {
                configuration(format!("Redis at {address} doesn't know a command of the store; it needs Lua scripts"))
            }
            Self::Protected => configuration(format!(
                "Redis at {address} is in protected mode and takes no connection from here; give it a password"
            )),
            Self::Full => unavailable(format!("Redis at {address} takes no more connections; see its maxclients")),
            Self::OutOfMemory => unavailable(format!(
                "Redis at {address} is out of memory; raise its maxmemory, or set a maxmemory-policy that evicts"
            )),
            Self::Replica => unavailable(format!("Redis at {address} is a replica; connect to its master")),
            Self::Loading => unavailable(format!("Redis at {address} is still loading its data")),
            Self::Down => unavailable(format!("the Redis cluster or master behind {address} is down")),
            Self::Unwritable => unavailable(format!(
                "Redis at {address} takes no writes, for want of replicas or of a disk to save to; see its log"
            )),
        }
    }
}

fn condition_of(error: &RedisError) -> Option<Condition> {
    condition(error.code()?, error.detail())
}

/// Redis before 7 puts an error within a script behind `ERR`, somewhere in the text.
fn condition(code: &str, text: Option<&str>) -> Option<Condition> {
    let text = text.unwrap_or_default();
    let says = |word: &str| code == word || code == "ERR" && text.split([' ', '-']).any(|one| one == word);
    let table: [(bool, Condition); 12] = [
        (says("NOAUTH"), Condition::WantsPassword),
        (says("NOPERM") || text.contains("can't run this command"), Condition::NoPermission),
        (text.starts_with("unknown command") || text.contains("Unknown Redis command"), Condition::UnknownCommand),
        (says("DENIED"), Condition::Protected),
        (text.starts_with("max number of clients"), Condition::Full),
        (says("OOM"), Condition::OutOfMemory),
        (says("READONLY"), Condition::Replica),
        (says("LOADING"), Condition::Loading),
        (says("MASTERDOWN"), Condition::Down),
        (says("CLUSTERDOWN"), Condition::Down),
        (says("MISCONF"), Condition::Unwritable),
        (says("NOREPLICAS"), Condition::Unwritable),
    ];
    table.into_iter().find_map(|(is, condition)| is.then_some(condition))
}

/// Whether a connection that answers so had better be replaced: it is closed, or leads to the wrong server.
pub(crate) fn is_of_no_use(error: &RedisError) -> bool {
    let wrong = Condition::is_of_no_use as fn(&Condition) -> bool;
    is_lost(error) || error.code().is_none() || condition_of(error).as_ref().is_some_and(wrong)
}

impl Condition {
    fn is_of_no_use(&self) -> bool {
        matches!(self, Self::WantsPassword | Self::Full | Self::Replica | Self::Loading | Self::Down)
    }
}

/// Whether the connection was closed or broke.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.kind() == RedisErrorKind::Io
}

pub(crate) fn is_no_script(error: &RedisError) -> bool {
    error.kind() == RedisErrorKind::Server(ServerErrorKind::NoScript)
}

/// Where in a cluster the key is.
pub(crate) struct Redirection {
    pub(crate) address: Address,
    /// It is on its way there, so that this command alone goes there.
    pub(crate) asking: bool,
}

pub(crate) fn redirection(error: &RedisError, asked: &Address) -> Option<Redirection> {
    let (address, _) = error.redirect_node()?;
    let asking = error.kind() == RedisErrorKind::Server(ServerErrorKind::Ask);
    Some(Redirection { address: Address::parse(address, asked)?, asking })
}

/// Codes are short and in capitals; anything else isn't repeated.
fn is_code(code: &str) -> bool {
    code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn io_error(error: &RedisError) -> Option<&io::Error> {
    error.source()?.downcast_ref::<Arc<dyn StdError + Send + Sync>>()?.downcast_ref()
}
