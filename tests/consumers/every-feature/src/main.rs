//! Uses something of every feature, and prints what came of it.

use std::{env::var, error::Error};

use access_tokens::{
    Identity, TokenCache, Transport,
    http::{BearerLayer, BearerMiddleware, Origins},
    metrics,
    reqwest::Configure,
    store::{KeyRing, SharedStore},
};
use access_tokens_config::Config;
use access_tokens_redis::RedisStore;
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use reqwest_middleware::{ClientBuilder, reqwest};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (api, redis) = (var("API_URL")?, var("REDIS_URL")?);
    let resource = format!("{api}/resource");
    metrics::describe();

    // access-tokens-config, access-tokens-redis: where nobody listens there, a cache does without.
    let config = Config::from_env()?;
    let source = config.source("sims")?;
    let keys = KeyRing::new(&[1; 32], [[2; 32]])?;
    let store = SharedStore::new(RedisStore::builder([redis]).build()?, keys);
    let cache = TokenCache::builder(source.endpoint()?).store(store).build()?;
    println!("token until {:?}", cache.token().await?.expires_at());

    // encrypted-keys
    let identity = Identity::read(var("IDENTITY")?, None, Some(&var("IDENTITY_PASSPHRASE")?))?;
    println!("identity of {}", identity.subject());

    // reqwest
    let transport = Transport::new().configure(|builder| builder.tcp_nodelay(true));
    println!("answer {}", access_tokens::reqwest::get(&transport, source.base_url()).await?.status());

    // reqwest-middleware
    let bearer = BearerMiddleware::new(cache.clone(), Origins::new([&api])?);
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    println!("middleware {}", client.get(&resource).send().await?.status());

    // tower
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
    let client = ServiceBuilder::new().layer(BearerLayer::new(cache, Origins::new([&api])?)).service(client);
    let answer = client.oneshot(http::Request::get(&resource).body(Empty::new())?).await?;
    println!("layer {}", answer.status());
    Ok(())
}
