//! Faults read from JSON: one flat object, with the keys of the table in the crate's docs. What excludes each other is refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Answer, Change, Content, Effect, Endpoint, EndpointFault, Fault, Outcome, RetryAfter, Span};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Fault")]
struct Flat {
    status: Option<u16>,
    retry_after: Option<RetryAfter>,
    location: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    body: Option<String>,
    content_type: Option<String>,
    latency_ms: Option<u64>,
    reset: bool,
    garbage: bool,
    truncated: bool,
    oversized_bytes: Option<u64>,
    endless: bool,
    without_token: bool,
    token_type: Option<String>,
    clock_skew_s: Option<i64>,
    times: Option<u32>,
    lasting_ms: Option<u64>,
    until_cleared: bool,
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fault, D::Error> {
        Flat::deserialize(deserializer)?.fault().map_err(Error::custom)
    }
}

impl Flat {
    /// What it stands for, or what is wrong with it.
    fn fault(self) -> Result<Fault, String> {
        detail("retry_after", &self.retry_after, "status", &self.status)?;
        detail("location", &self.location, "status", &self.status)?;
        detail("error", &self.error, "status", &self.status)?;
        detail("body", &self.body, "status", &self.status)?;
        detail("error_description", &self.error_description, "error", &self.error)?;
        detail("content_type", &self.content_type, "body", &self.body)?;

        let description = self.error_description;
        let error = self.error.map(|code| Content::Error { code, description });
        let content_type = self.content_type;
        let literal = self.body.map(|body| Content::Literal { content_type, body });
        let content = at_most_one([("error", error), ("body", literal)])?.unwrap_or(Content::Nothing);
        let (retry_after, location) = (self.retry_after, self.location);
        let answer = self.status.map(|status| Answer { status, retry_after, location, content });

        let effects = [
            ("status", answer.map(|answer| Outcome::Answer(answer).into())),
            ("latency_ms", self.latency_ms.map(Effect::LatencyMs)),
            ("reset", self.reset.then_some(Outcome::Reset.into())),
            ("garbage", self.garbage.then_some(Outcome::Garbage.into())),
            ("truncated", self.truncated.then_some(Change::Truncated.into())),
            ("oversized_bytes", self.oversized_bytes.map(|bytes| Change::OversizedBytes(bytes).into())),
            ("endless", self.endless.then_some(Change::Endless.into())),
            ("without_token", self.without_token.then_some(Change::WithoutToken.into())),
            ("token_type", self.token_type.map(|token_type| Change::TokenType(token_type).into())),
            ("clock_skew_s", self.clock_skew_s.map(Effect::ClockSkewS)),
        ];
        let keys = effects.each_ref().map(|(key, _)| *key).join(", ");
        let effect = at_most_one(effects)?.ok_or_else(|| format!("a fault needs one effect: {keys}"))?;
        let span = at_most_one([
            ("times", self.times.map(Span::Times)),
            ("lasting_ms", self.lasting_ms.map(Span::LastingMs)),
            ("until_cleared", self.until_cleared.then_some(Span::UntilCleared)),
        ])?;
        Ok(Fault { effect, span })
    }
}

/// Refuses a detail without what it belongs to.
fn detail<D, O>(key: &str, detail: &Option<D>, owner_key: &str, owner: &Option<O>) -> Result<(), String> {
    if detail.is_some() && owner.is_none() { Err(format!("`{key}` goes with `{owner_key}` only")) } else { Ok(()) }
}

/// Two faults in the queue do what one can't.
fn at_most_one<T, const N: usize>(choices: [(&str, Option<T>); N]) -> Result<Option<T>, String> {
    let mut given = choices.into_iter().filter_map(|(key, choice)| Some((key, choice?)));
    match (given.next(), given.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(format!("`{first}` and `{second}` don't go together in one fault"))
        }
        (choice, _) => Ok(choice.map(|(_, choice)| choice)),
    }
}

// By hand, because serde's `flatten` doesn't go with `deny_unknown_fields`, and a typing error must not be dropped in silence.
impl<'de> Deserialize<'de> for EndpointFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let endpoint = members.remove("endpoint").ok_or_else(|| Error::missing_field("endpoint"))?;
        Ok(EndpointFault {
            endpoint: Endpoint::deserialize(endpoint).map_err(Error::custom)?,
            fault: Fault::deserialize(Value::Object(members)).map_err(Error::custom)?,
        })
    }
}
