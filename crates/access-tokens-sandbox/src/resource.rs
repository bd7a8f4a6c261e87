//! The protected resource: what a token is good for.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use http_body_util::BodyExt;
use serde_json::json;

use crate::request;
use crate::token::Refusal;

pub(crate) fn routes() -> Router<Arc<crate::State>> {
    Router::new().route("/resource", any(resource)).route("/resource/always-401", any(always_401))
}

async fn resource(State(state): State<Arc<crate::State>>, request: Request) -> Result<Response, StatusCode> {
    let token = request::authorization(request.headers(), "Bearer").map(str::to_owned);
    let body_bytes = length(request.into_body()).await?;
    // Asked when the body is read: a token that ends while a long body comes in is an expired one.
    Ok(match state.tokens.check(token.as_deref()) {
        Ok(grant) => Json(json!({
            "provider": grant.provider,
            "scopes": grant.scopes,
            "expires_in": grant.expires.saturating_duration_since(Instant::now()).as_secs(),
            "body_bytes": body_bytes,
        }))
        .into_response(),
        Err(Refusal::Missing) => refuse(None, None),
        Err(Refusal::Unknown) => refuse(Some("invalid_token"), Some("The token is unknown")),
        Err(Refusal::Expired) => refuse(Some("invalid_token"), Some("The token has expired")),
        Err(Refusal::Revoked) => refuse(Some("invalid_token"), Some("The token was revoked")),
    })
}

async fn always_401(request: Request) -> Result<Response, StatusCode> {
    length(request.into_body()).await?;
    Ok(refuse(Some("invalid_token"), Some("This resource refuses every token")))
}

/// How many bytes came, of which none is kept.
async fn length(mut body: Body) -> Result<u64, StatusCode> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| request::unreadable(&error))?;
        length += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(length)
}

fn refuse(error: Option<&str>, description: Option<&str>) -> Response {
    let mut response = match error {
        Some(error) => {
            let body = json!({ "error": error, "error_description": description });
            (StatusCode::UNAUTHORIZED, Json(body)).into_response()
        }
        None => StatusCode::UNAUTHORIZED.into_response(),
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge(error, description));
    response
}

/// `WWW-Authenticate` as in RFC 6750, section 3. Without a token in the request it says no more than the scheme and realm.
pub(crate) fn challenge(error: Option<&str>, description: Option<&str>) -> HeaderValue {
    let mut text = String::from(r#"Bearer realm="sandbox""#);
    for (name, value) in [("error", error), ("error_description", description)] {
        if let Some(value) = value {
            // A quoted string here has no room for quotes and backslashes (RFC 6750, section 3).
            let value: String = value.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
            text.push_str(&format!(r#", {name}="{value}""#));
        }
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"))
}
