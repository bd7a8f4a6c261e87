//! A service that answers with what an API of 1NCE's says.
//!
//! - `GET /sims`: the API's answer; 503 without a token, 502 where the API can't be reached.
//! - `GET /health`: 200 with a valid token at hand, else 503.
//!
//! It is told by variables: `ONENCE_USERNAME`, `ONENCE_PASSWORD`, `ONENCE_BASE_URL`, where the token comes from; `SIMS_URL`, what
//! it asks; `LISTEN`, such as `127.0.0.1:8080`.

use std::{env::var, error::Error};

use access_tokens::{
    TokenCache,
    http::{BearerMiddleware, Origins},
    onence,
};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::get};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, reqwest};
use tokio::{net::TcpListener, signal};

/// What all requests share.
#[derive(Clone)]
struct Service {
    cache: TokenCache,
    client: ClientWithMiddleware,
    sims: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sims = var("SIMS_URL")?;
    let credentials = onence::Credentials::new(var("ONENCE_USERNAME")?, var("ONENCE_PASSWORD")?);
    let endpoint = onence::Client::builder(credentials).base_url(var("ONENCE_BASE_URL")?).build()?;
    let cache = TokenCache::new(endpoint);
    cache.keep_warm()?; // so that not even the first request waits for a token

    // Tokens go to the API and nowhere else.
    let api = reqwest::Url::parse(&sims)?.origin().ascii_serialization();
    let bearer = BearerMiddleware::new(cache.clone(), Origins::new([api])?);
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();

    let service = Service { cache: cache.clone(), client, sims };
    let router = Router::new().route("/health", get(health)).route("/sims", get(list)).with_state(service);
    let listener = TcpListener::bind(var("LISTEN")?).await?;
    println!("http://{}", listener.local_addr()?);
    let ended = async { _ = signal::ctrl_c().await };
    axum::serve(listener, router).with_graceful_shutdown(ended).await?;
    cache.shutdown().await;
    Ok(())
}

async fn health(State(service): State<Service>) -> (StatusCode, String) {
    match service.cache.token().await {
        Ok(token) => (StatusCode::OK, format!("a token until {:?}", token.expires_at())),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

async fn list(State(service): State<Service>) -> Result<(StatusCode, Bytes), (StatusCode, String)> {
    let answer = service.client.get(&service.sims).send().await.map_err(|error| match error {
        // An `access_tokens::Error`: there was no token.
        reqwest_middleware::Error::Middleware(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        reqwest_middleware::Error::Reqwest(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    })?;
    let status = answer.status();
    Ok((status, answer.bytes().await.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?))
}
