//! Metrics for the recorder of the [`metrics`](https://docs.rs/metrics) crate that your service installs.
//!
//! Each has the label `provider` ([`TokenEndpoint::provider`](crate::TokenEndpoint::provider)). Spans are in seconds. Of several
//! caches of one provider, as in [`TokenCaches`](crate::TokenCaches), a gauge tells of the one that changed last.
//!
//! | name | kind | labels | what |
//! | --- | --- | --- | --- |
//! | [`EXCHANGES`] | counter | `outcome` | exchanges with a token endpoint |
//! | [`DURATION`] | histogram | `outcome` | how long each took |
//! | [`REFRESHES`] | counter | `reason` | why each was begun |
//! | [`AGE`] | histogram | | how old the token was that was to be replaced |
//! | [`REMAINING`] | histogram | | how much life that had left; zeros tell of callers who had to wait |
//! | [`EXPIRES_AT`] | gauge | | when the token in force ends, in seconds since 1970; NaN if the server didn't say |
//! | [`GRANTED_AT`] | gauge | | when its life began: `time() - granted_at` is its age at any moment |
//! | [`SERVED_WHILE_REFRESHING`] | counter | | callers who got the old token while its successor was on the way |
//! | [`STORE_ANSWERS`] | counter | `outcome` | what a [`SharedStore`](crate::store::SharedStore) was good for, each time a token was wanted |
//! | [`STORE_AVAILABLE`] | gauge | | 1 while that store answers, 0 while caches do without it; without the label `provider` |
//! | [`BREAKER_OPEN`] | gauge | | 1 from a failed exchange to the next good one: the pauses of the policy apply |
//!
//! `outcome` is `granted`, `same_token` (the token that is held came again), `stale` (nobody waited any more), `outdated`
//! (it failed with a credential that was replaced meanwhile), or the [`ErrorKind`](crate::ErrorKind): `configuration`,
//! `credentials`, `request`, `throttled`, `unavailable`, `contract`.
//! Of a store `outcome` is `token` (another instance's), `lease` (this one made the exchange for all), `alone` (it made one beside
//! others'), `paused` (another's has just failed) or `unavailable`.
//! `reason` is `first`, `soft` (while the old token was served), `hard` (it had ended) or `invalidated`.

/// Counter `access_tokens_exchanges_total`.
pub const EXCHANGES: &str = "access_tokens_exchanges_total";
/// Histogram `access_tokens_exchange_duration_seconds`.
pub const DURATION: &str = "access_tokens_exchange_duration_seconds";
/// Counter `access_tokens_refreshes_total`.
pub const REFRESHES: &str = "access_tokens_refreshes_total";
/// Histogram `access_tokens_token_age_seconds`.
pub const AGE: &str = "access_tokens_token_age_seconds";
/// Histogram `access_tokens_token_remaining_seconds`.
pub const REMAINING: &str = "access_tokens_token_remaining_seconds";
/// Gauge `access_tokens_token_expires_at_seconds`.
pub const EXPIRES_AT: &str = "access_tokens_token_expires_at_seconds";
/// Gauge `access_tokens_token_granted_at_seconds`.
pub const GRANTED_AT: &str = "access_tokens_token_granted_at_seconds";
/// Counter `access_tokens_served_while_refreshing_total`.
pub const SERVED_WHILE_REFRESHING: &str = "access_tokens_served_while_refreshing_total";
/// Gauge `access_tokens_breaker_open`.
pub const BREAKER_OPEN: &str = "access_tokens_breaker_open";

/// Counter `access_tokens_store_answers_total`.
pub const STORE_ANSWERS: &str = "access_tokens_store_answers_total";
/// Gauge `access_tokens_store_available`.
pub const STORE_AVAILABLE: &str = "access_tokens_store_available";

/// Gives the recorder the unit and description of each. Call it once, when the recorder is installed.
pub fn describe() {
    use metrics::Unit::Seconds;
    metrics::describe_counter!(EXCHANGES, "Exchanges with a token endpoint");
    metrics::describe_histogram!(DURATION, Seconds, "How long an exchange took");
    metrics::describe_counter!(REFRESHES, "Why an exchange was begun");
    metrics::describe_histogram!(AGE, Seconds, "How old the token was that was to be replaced");
    metrics::describe_histogram!(REMAINING, Seconds, "How much life the token had left that was to be replaced");
    metrics::describe_gauge!(EXPIRES_AT, Seconds, "When the token in force ends, since 1970");
    metrics::describe_gauge!(GRANTED_AT, Seconds, "When the life of the token in force began, since 1970");
    metrics::describe_counter!(SERVED_WHILE_REFRESHING, "Callers who got the old token during a refresh");
    metrics::describe_counter!(STORE_ANSWERS, "What the shared store was good for, each time a token was wanted");
    metrics::describe_gauge!(STORE_AVAILABLE, "1 while the shared store answers");
    metrics::describe_gauge!(BREAKER_OPEN, "1 from a failed exchange to the next good one");
}
