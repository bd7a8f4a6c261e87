//! The control endpoint, `/_sandbox`: what [`Sandbox`](crate::Sandbox) offers in Rust, for everything else.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cross_site;
use crate::fault::{Endpoint, EndpointFault};
use crate::queue::Queued;
use crate::token::Refusal;

pub(crate) fn routes(state: &Arc<crate::State>) -> Router<Arc<crate::State>> {
    Router::new()
        .route("/_sandbox", get(show))
        .route("/_sandbox/faults", post(queue_faults).delete(clear_faults))
        .route("/_sandbox/revoke", post(revoke))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(axum::middleware::from_fn_with_state(state.clone(), cross_site::refuse))
        .fallback(nothing_here)
}

async fn show(State(state): State<Arc<crate::State>>) -> Json<Value> {
    let requests: Map<String, Value> = Endpoint::ALL
        .into_iter()
        .map(|endpoint| (endpoint.name().to_owned(), state.requests.get(endpoint).into()))
        .collect();
    let refused: Map<String, Value> =
        Refusal::ALL.into_iter().map(|why| (why.name().to_owned(), state.tokens.refused(why).into())).collect();
    Json(json!({
        "requests": requests,
        "tokens_issued": state.tokens.issued(),
        "refused": refused,
        "connections": state.connections.count(),
        "faults": state.faults.queued(),
    }))
}

async fn queue_faults(State(state): State<Arc<crate::State>>, body: Bytes) -> Result<Json<Value>, BadRequest> {
    let (given, listed) = match json_of(&body)? {
        Value::Array(list) => (list, true),
        one => (vec![one], false),
    };
    let mut faults = Vec::with_capacity(given.len());
    for (index, fault) in given.into_iter().enumerate() {
        let fault = EndpointFault::deserialize(fault)
            .map_err(|error| error.to_string())
            .and_then(|fault| Queued::new(fault).map_err(|error| error.to_string()));
        match fault {
            Ok(fault) => faults.push(fault),
            Err(error) if listed => return Err(BadRequest(format!("fault {}: {error}", index + 1))),
            Err(error) => return Err(BadRequest(error)),
        }
    }
    let queued = faults.len();
    state.faults.queue(faults);
    Ok(Json(json!({ "queued": queued })))
}

async fn clear_faults(State(state): State<Arc<crate::State>>) -> Json<Value> {
    Json(json!({ "cleared": state.faults.clear() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    token: Option<String>,
    #[serde(default)]
    all: bool,
}

async fn revoke(State(state): State<Arc<crate::State>>, body: Bytes) -> Result<Json<Value>, BadRequest> {
    let asked = Revoke::deserialize(json_of(&body)?).map_err(|error| BadRequest(error.to_string()))?;
    let revoked = match asked {
        Revoke { token: Some(token), all: false } => usize::from(state.tokens.revoke(&token)),
        Revoke { token: None, all: true } => state.tokens.revoke_all(),
        _ => return Err(BadRequest(r#"give either {"token": "…"} or {"all": true}"#.to_owned())),
    };
    Ok(Json(json!({ "revoked": revoked })))
}

async fn wrong_method() -> Response {
    let error = "this path doesn't take the method; see Allow";
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": error }))).into_response()
}

async fn nothing_here() -> Response {
    let error = "nothing here: the sandbox serves /management-api/oauth/token, \
        /auth/realms/{realm}/protocol/openid-connect/token, /resource and /_sandbox";
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

fn json_of(body: &Bytes) -> Result<Value, BadRequest> {
    serde_json::from_slice(body).map_err(|error| BadRequest(format!("not JSON: {error}")))
}

/// With what is wrong.
struct BadRequest(String);

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}
