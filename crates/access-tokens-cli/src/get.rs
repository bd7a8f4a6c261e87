//! `access-tokens get`: a source's token, printed or written to a file.

use std::{
    io::{IsTerminal, stderr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use access_tokens::{AccessToken, Error, ErrorKind, RotatingEndpoint, TokenCache, TokenEndpoint};
use access_tokens_config::Source;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    arguments::GetArguments,
    config,
    failure::{self, Failure, warn},
    output, provider,
};

pub(crate) async fn run(arguments: GetArguments) -> Result<(), Failure> {
    let began = Instant::now();
    let name = arguments.source();
    let mut reader = config::reader(&arguments.config, name);
    for (variable, flag, value) in &arguments.provider.flags {
        reader = reader.flag(variable, flag, value);
    }
    let source = config::one(&reader.read()?, name)?;
    let file = arguments.output.as_deref().map(output::writable).transpose()?;
    let limit = arguments.timeout.map_or(FOREVER, |limit| limit.min(FOREVER));
    let deadline = (began + limit, limit);
    let tokens = Tokens::of(source.clone(), arguments.fresh, deadline).await?;
    let token = tokens.get(&source, arguments.retry, deadline).await;
    if let Tokens::Shared(cache) = tokens {
        // Waits until the store has it.
        cache.shutdown().await;
    }
    let token = token.map_err(|error| Failure::Token { next: failure::next(&error, &source), error })?;
    output::token(source.provider(), &token, arguments.format, file.as_deref())?;
    if !token.missing_scopes().is_empty() {
        let name = provider::name(source.provider());
        warn(&format!("{name} didn't grant {}; check the subscription's scopes", token.missing_scopes()));
    }
    Ok(())
}

/// When to give up, and how long after the start that is.
type Deadline = (Instant, Duration);

/// No limit; what is added to the time of a clock can be too much for it.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Where tokens come from.
enum Tokens {
    /// The provider.
    Endpoint(RotatingEndpoint),
    /// The store that a fleet shares, or else the provider, and then they go there.
    Shared(TokenCache),
}

impl Tokens {
    /// Reads what the settings refer to. On a thread of its own, since a pipe can take its time, and the deadline holds for it.
    async fn of(source: Source, fresh: bool, (deadline, limit): Deadline) -> Result<Self, Failure> {
        let reading = tokio::task::spawn_blocking(move || match source.store() {
            Some(_) if !fresh => source.cache().map(Self::Shared),
            _ => source.endpoint().map(Self::Endpoint),
        });
        let read = timeout_at(deadline, reading).await.map_err(|_| {
            let limit = humantime::format_duration(limit);
            Failure::Local(format!("the files and pipes of the settings weren't read within {limit} (--timeout)"))
        })?;
        Ok(read.map_err(|e| Failure::Local(format!("reading what the settings refer to failed: {e}")))??)
    }

    /// Fetches a token, with so many retries and until the deadline.
    async fn get(&self, source: &Source, retries: u32, (deadline, limit): Deadline) -> Result<Arc<AccessToken>, Error> {
        let (provider, mut retry) = (source.provider(), 0);
        loop {
            let answer = timeout_at(deadline, answer(provider, self.once())).await;
            let outcome = answer.unwrap_or_else(|_| {
                let (name, limit) = (provider::name(provider), humantime::format_duration(limit));
                let message =
                    format!("{name} gave no token within {limit} (--timeout), asked at {}", source.base_url());
                Err(Error::new(ErrorKind::Unavailable, message))
            });
            let error = match outcome {
                Err(error) if error.is_retryable() && retry < retries => error,
                outcome => return outcome,
            };
            retry += 1;
            let pause = pause(&error, retry);
            // Past the deadline nothing would be gained by waiting.
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            if stderr().is_terminal() {
                let shown = humantime::format_duration(Duration::from_millis(pause.as_millis() as u64));
                warn(&format!("{error}; trying again in {shown} ({retry} of {retries})"));
            }
            sleep(pause).await;
        }
    }

    async fn once(&self) -> Result<Arc<AccessToken>, Error> {
        match self {
            Self::Endpoint(endpoint) => endpoint.exchange().await.map(Arc::new),
            Self::Shared(cache) => cache.token().await.map(|token| token.to_owned()),
        }
    }
}

/// How long to wait before a retry: as long as the provider says, or else twice as long each time, from 1 to 30 seconds. A part of
/// it is random, since jobs that began together would come back together.
fn pause(error: &Error, retry: u32) -> Duration {
    let spread = |most: Duration| most.mul_f64(fastrand::f64());
    // Zero names no time.
    if let Some(pause) = error.retry_after().filter(|pause| !pause.is_zero()) {
        return pause + spread(Duration::from_millis(500));
    }
    let most = Duration::from_secs(1 << retry.saturating_sub(1).min(5)).min(Duration::from_secs(30));
    most / 2 + spread(most / 2)
}

/// Waits for the answer of a provider; after two seconds of it, a word to whoever sits and waits, too.
pub(crate) async fn answer<T>(provider: &str, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        () = sleep(Duration::from_secs(2)), if stderr().is_terminal() => {
            warn(&format!("still waiting for {}", provider::name(provider)));
            answer.await
        }
    }
}
