//! The two commands, as scripts that Redis runs in one step, and what they answer.

use std::{sync::LazyLock, time::Duration};

use access_tokens::{
    Error, ErrorKind,
    store::{LARGEST, Stored, Swap},
};
use redis::{Cmd, Script, Value};

static GET: LazyLock<Script> = LazyLock::new(|| Script::new(GET_CODE));
static COMPARE_AND_SET: LazyLock<Script> = LazyLock::new(|| Script::new(COMPARE_AND_SET_CODE));
const GET_CODE: &str = include_str!("get.lua");
const COMPARE_AND_SET_CODE: &str = include_str!("compare_and_set.lua");

/// Ten years; of much more, Redis says that it is no time.
const LONGEST: u128 = 10 * 365 * 24 * 3600 * 1000;

/// One run of a script.
pub(crate) struct Call<'a> {
    pub(crate) key: &'a str,
    hash: &'static str,
    code: &'static str,
    arguments: Vec<&'a [u8]>,
    ttl: Option<u128>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(key: &'a str) -> Self {
        Self { key, hash: GET.get_hash(), code: GET_CODE, arguments: Vec::new(), ttl: None }
    }

    pub(crate) fn compare_and_set(key: &'a str, expected: Option<&'a [u8]>, value: &'a [u8], ttl: Duration) -> Self {
        let some: &[u8] = if expected.is_some() { b"1" } else { b"0" };
        let arguments = vec![some, expected.unwrap_or_default(), value];
        let ttl = Some(ttl.as_millis().clamp(1, LONGEST));
        Self { key, hash: COMPARE_AND_SET.get_hash(), code: COMPARE_AND_SET_CODE, arguments, ttl }
    }

    /// By the script's hash, for a server that has it.
    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", self.hash)
    }

    /// With the script itself, for one that has forgotten it, or never had it.
    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", self.code)
    }

    fn command(&self, command: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(command);
        cmd.arg(script).arg(1).arg(self.key).arg(LARGEST).arg(&self.arguments);
        if let Some(ttl) = self.ttl {
            cmd.arg(ttl.to_string());
        }
        cmd
    }
}

/// The answer to [`Call::get`].
pub(crate) fn stored(answer: &Value) -> Result<Stored, Error> {
    match answer {
        Value::Array(parts) => stored_of(parts),
        _ => None,
    }
    .ok_or_else(unexpected)
}

/// The answer to [`Call::compare_and_set`].
pub(crate) fn swap(answer: &Value) -> Result<Swap, Error> {
    match answer {
        Value::Array(parts) => match parts.split_first() {
            Some((Value::Int(1), [])) => Some(Swap::Done),
            Some((Value::Int(0), parts)) => stored_of(parts).map(Swap::Changed),
            _ => None,
        },
        _ => None,
    }
    .ok_or_else(unexpected)
}

fn stored_of(parts: &[Value]) -> Option<Stored> {
    let [value, seconds, micros] = parts else { return None };
    let value = match value {
        Value::Nil => None,
        Value::BulkString(bytes) => Some(bytes.clone()),
        _ => return None,
    };
    let now = Duration::from_secs(number(seconds)?).checked_add(Duration::from_micros(number(micros)?))?;
    Some(Stored { value, now })
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Contract, "the server didn't answer as Redis does; is it Redis or Valkey, 5 or newer?")
}
