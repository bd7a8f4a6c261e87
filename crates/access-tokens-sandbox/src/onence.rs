//! 1NCE: `POST /management-api/oauth/token`, as in 1NCE's OpenAPI file "Authorization" v2.1.1 and its documentation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, iter, mem};

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::error::Unspecified;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::StartError;
use crate::credential::fingerprint;
use crate::fault::Endpoint;
use crate::request;

/// How the 1NCE side behaves.
///
/// It reads Basic credentials as RFC 7617 has them, in UTF-8 and without decoding anything, so that a client which sends
/// `%40` for the `@` of its user name is refused. The body is JSON. Its errors are 400 with
/// `{statusCode, errorCode, message}`, with the five messages of the OpenAPI file:
///
/// | what was sent | `errorCode` |
/// | --- | --- |
/// | a content type other than `application/json` | `UnsupportedContentTypeError` |
/// | no Basic credentials, garbled ones, or no user name or password in them | `AuthValidationError` |
/// | a body without `grant_type`, or with another than `client_credentials` | `BodyValidationError` |
/// | a user or a password that is wrong | `BadCredentials` |
///
/// They're checked in that order. Other paths under `/management-api/` are 404 without a body.
#[derive(Clone, PartialEq)]
pub struct Onence {
    /// The first user. Default `sandbox@1nce.example`.
    pub username: String,
    /// The first user's password. Default `sandbox-password`.
    pub password: String,
    /// Further users, of other names. Each user has tokens of its own. Default none.
    pub more_users: Vec<User>,
    /// How long a token lives. Default one hour.
    pub lifetime: Duration,
    /// How two members of the answer are spelled. Default [`Spelling::Schema`].
    pub spelling: Spelling,
    /// What a second request gets. Default [`Tokens::New`].
    pub tokens: Tokens,
    /// The value of `userId` or `user_id`; a JSON value, because numbers have been seen. Default `"user"`.
    pub user_id: Value,
    /// The value of `scope` or `score`, separated by spaces. Default `all`.
    pub scope: String,
}

impl Default for Onence {
    fn default() -> Self {
        Onence {
            username: "sandbox@1nce.example".into(),
            password: "sandbox-password".into(),
            more_users: Vec::new(),
            lifetime: Duration::from_secs(3600),
            spelling: Spelling::Schema,
            tokens: Tokens::New,
            user_id: "user".into(),
            scope: "all".into(),
        }
    }
}

impl fmt::Debug for Onence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onence")
            .field("username", &self.username)
            .field("password", &"[redacted]")
            .field("more_users", &self.more_users)
            .field("lifetime", &self.lifetime)
            .field("spelling", &self.spelling)
            .field("tokens", &self.tokens)
            .field("user_id", &self.user_id)
            .field("scope", &self.scope)
            .finish()
    }
}

/// A further user of 1NCE.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("username", &self.username).field("password", &"[redacted]").finish()
    }
}

/// The two spellings in 1NCE's OpenAPI file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `userId` and `scope`, as in the schema.
    Schema,
    /// `user_id` and `score`, as in the example.
    Example,
}

/// What 1NCE says of a second request, in two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Each request makes a new token; older ones stay valid until they end.
    New,
    /// Each request of a user gets the same token with the time that it has left, until it ends.
    ServerCached {
        /// How that time becomes whole seconds.
        rounding: Rounding,
    },
}

/// How the remaining life of a server-cached token becomes `expires_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Overstates it by up to a second.
    Up,
    /// Understates it by up to a second: in its last second a token comes with `"expires_in": 0`.
    Down,
}

/// Tokens of 1NCE have about 3,000 characters.
const TOKEN_LENGTH: usize = 3000;

/// The settings that it started with, and the users in force.
pub(crate) struct Accounts {
    pub(crate) settings: Onence,
    users: Mutex<Vec<Account>>,
}

struct Account {
    user: User,
    /// The token that the server caches for it.
    cached: Option<Cached>,
}

struct Cached {
    token: String,
    expires: Instant,
}

impl Accounts {
    pub(crate) fn open(settings: Onence) -> Result<Accounts, StartError> {
        let first = User { username: settings.username.clone(), password: settings.password.clone() };
        let mut users: Vec<Account> = Vec::new();
        for user in iter::once(&first).chain(&settings.more_users) {
            if users.iter().any(|account| account.user.username == user.username) {
                return Err(StartError::DuplicateUser(user.username.clone()));
            }
            users.push(Account { user: user.clone(), cached: None });
        }
        Ok(Accounts { settings, users: Mutex::new(users) })
    }

    /// Replaces the first user, which keeps the token that is cached for it.
    pub(crate) fn set_credentials(&self, username: String, password: String) {
        let mut users = self.users();
        let mut accounts = mem::take(&mut *users).into_iter();
        let cached = accounts.next().and_then(|first| first.cached);
        let others = accounts.filter(|account| account.user.username != username).collect::<Vec<_>>();
        *users = vec![Account { user: User { username, password }, cached }];
        users.extend(others);
    }

    fn users(&self) -> MutexGuard<'_, Vec<Account>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn routes() -> Router<Arc<crate::State>> {
    Router::new()
        .route("/management-api/oauth/token", post(token))
        .route("/management-api/{*other}", any(async || StatusCode::NOT_FOUND))
}

async fn token(
    State(state): State<Arc<crate::State>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let body = request::body(request).await.map_err(Problem::Other)?;
    let mut users = state.onence.users();
    let account = authenticate(&mut users, &headers, &body)?;
    let answer = issue(&state, account).map_err(|_| Problem::Other(StatusCode::INTERNAL_SERVER_ERROR))?;
    let credential = fingerprint(&SHA256, account.user.password.as_bytes());
    state.last_credentials.set(Endpoint::Onence, credential);
    Ok(Json(answer))
}

/// Whose request it is, if all is right.
fn authenticate<'a>(users: &'a mut [Account], headers: &HeaderMap, body: &[u8]) -> Result<&'a mut Account, Problem> {
    if !request::is_content_type(headers, "application/json") {
        return Err(Problem::ContentType);
    }
    let (username, password) = basic(headers)?;
    let body: Value = serde_json::from_slice(body).map_err(|_| Problem::NoGrantType)?;
    if body.get("grant_type").and_then(Value::as_str) != Some("client_credentials") {
        return Err(Problem::NoGrantType);
    }
    users
        .iter_mut()
        .find(|Account { user, .. }| username == user.username.as_bytes() && password == user.password.as_bytes())
        .ok_or(Problem::BadCredentials)
}

/// User name and password as RFC 7617 has them: all up to the first colon, and all behind it. Neither is decoded further.
fn basic(headers: &HeaderMap) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let pair = request::authorization(headers, "Basic")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .ok_or(Problem::NoUsername)?;
    let mut halves = pair.splitn(2, |byte| *byte == b':');
    let (username, password) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    if username.is_empty() {
        Err(Problem::NoUsername)
    } else if password.is_empty() {
        Err(Problem::NoPassword)
    } else {
        Ok((username.to_vec(), password.to_vec()))
    }
}

fn issue(state: &crate::State, account: &mut Account) -> Result<Value, Unspecified> {
    let settings = &state.onence.settings;
    let (token, expires_in) = match settings.tokens {
        Tokens::New => (fresh(state)?.token, settings.lifetime.as_secs()),
        Tokens::ServerCached { rounding } => {
            let now = Instant::now();
            let alive = match account.cached.take_if(|cached| cached.expires > now) {
                Some(alive) => alive,
                None => fresh(state)?,
            };
            let alive = account.cached.insert(alive);
            let left = alive.expires.saturating_duration_since(now);
            let left = match rounding {
                // A token made a moment ago has a little more than its lifetime before it, seen from `now`.
                Rounding::Up => left.min(settings.lifetime).as_millis().div_ceil(1000) as u64,
                Rounding::Down => left.as_secs(),
            };
            (alive.token.clone(), left)
        }
    };
    let (user_id, scope) = match settings.spelling {
        Spelling::Schema => ("userId", "scope"),
        Spelling::Example => ("user_id", "score"),
    };
    Ok(json!({
        "status_code": 200,
        "access_token": token,
        "token_type": "bearer",
        "expires_in": expires_in,
        user_id: settings.user_id,
        scope: settings.scope,
    }))
}

fn fresh(state: &crate::State) -> Result<Cached, Unspecified> {
    let settings = &state.onence.settings;
    let scopes = settings.scope.split_whitespace().map(str::to_owned).collect();
    let (token, expires) = state.tokens.issue(Endpoint::Onence, scopes, settings.lifetime, TOKEN_LENGTH)?;
    Ok(Cached { token, expires })
}

/// The five 400s of the OpenAPI file, and what any server may answer.
enum Problem {
    ContentType,
    NoUsername,
    NoPassword,
    NoGrantType,
    BadCredentials,
    Other(StatusCode),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, message) = match self {
            Problem::ContentType => ("UnsupportedContentTypeError", "Content-Type not supported"),
            Problem::NoUsername => {
                ("AuthValidationError", "Auth header validation error: Missing attributes 'username'")
            }
            Problem::NoPassword => {
                ("AuthValidationError", "Auth header validation error: Missing attributes 'password'")
            }
            Problem::NoGrantType => {
                ("BodyValidationError", "Request body validation error: Missing attributes 'grant_type'")
            }
            Problem::BadCredentials => ("BadCredentials", "User does not exist."),
            Problem::Other(status) => return status.into_response(),
        };
        let body = json!({ "statusCode": 400, "errorCode": code, "message": message });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    }
}
