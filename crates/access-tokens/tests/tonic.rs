//! gRPC through the tower layer, as `examples/tonic.rs` has it.
#![cfg(test)]

#[allow(dead_code, reason = "its main")]
#[path = "../examples/tonic.rs"]
mod example;

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use access_tokens::{
    Error, ErrorKind, TokenCache,
    http::{BearerLayer, Origins},
    onence,
};
use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::Layer;

#[tokio::test]
async fn the_example_runs() {
    example::run().await.unwrap();
}

#[tokio::test]
async fn unauthenticated_renews_the_token_for_the_next_call() {
    let sandbox = Arc::new(Sandbox::start().await.unwrap());
    let url = example::serve(sandbox.clone()).unwrap();
    let health = example::client(&url, cache(&sandbox)).unwrap();
    let check = || {
        let mut health = health.clone();
        tokio::spawn(async move { health.check(HealthCheckRequest::default()).await })
    };
    check().await.unwrap().unwrap();
    sandbox.revoke_all();
    let refused = check().await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refused.message(), "a live token of the sandbox's is needed");
    let calls: Vec<_> = (0..10).map(|_| check()).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(sandbox.requests(Endpoint::Onence), 2);
}

#[tokio::test]
async fn a_client_without_its_origin_has_no_token() {
    let sandbox = Arc::new(Sandbox::start().await.unwrap());
    let url = example::serve(sandbox.clone()).unwrap();
    let bearer = BearerLayer::new(cache(&sandbox), Origins::new([&url]).unwrap());
    let channel = Channel::from_shared(url).unwrap().connect_lazy();
    let refused = HealthClient::new(bearer.layer(channel)).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(sandbox.requests(Endpoint::Onence), 0);
}

#[tokio::test]
async fn a_token_that_cant_be_had_is_the_source_of_the_status() {
    let sandbox = Arc::new(Sandbox::start().await.unwrap());
    let url = example::serve(sandbox.clone()).unwrap();
    sandbox.fault(Endpoint::Onence, Fault::status(503)).unwrap();
    let mut health = example::client(&url, cache(&sandbox)).unwrap();
    let status = health.check(HealthCheckRequest::default()).await.unwrap_err();
    let error = status.source().and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_call_waits_for_its_token_as_long_as_its_time_out() {
    let sandbox = Arc::new(Sandbox::start().await.unwrap());
    let url = example::serve(sandbox.clone()).unwrap();
    sandbox.fault(Endpoint::Onence, Fault::latency(Duration::from_secs(3)).until_cleared()).unwrap();
    let mut health = example::client(&url, cache(&sandbox)).unwrap();
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(Duration::from_millis(300));
    let asked = Instant::now();
    let status = health.check(request).await.unwrap_err();
    let error = status.source().and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert_eq!(error.to_string(), "no token came within the request's time-out; it wasn't sent");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

fn cache(sandbox: &Sandbox) -> TokenCache {
    let credentials = onence::Credentials::new("sandbox@1nce.example", "sandbox-password");
    TokenCache::new(onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap())
}
