//! A token with every gRPC call: `cargo run -p access-tokens --example tonic --features tower`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc};

use access_tokens::{
    TokenCache,
    http::{Bearer, BearerLayer, Origins},
    onence,
};
use access_tokens_sandbox::Sandbox;
use tonic::{
    Code, Request, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let sandbox = Arc::new(Sandbox::start().await?);
    let url = serve(sandbox.clone())?;

    let credentials = onence::Credentials::new("sandbox@1nce.example", "sandbox-password");
    let endpoint = onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build()?;
    let mut health = client(&url, TokenCache::new(endpoint))?;
    let answer = health.check(HealthCheckRequest::default()).await?.into_inner();
    println!("with a token: {:?}", answer.status());

    // A request of tonic's is a stream, which isn't sent again. But the next one has another token.
    sandbox.revoke_all();
    let refused = health.check(HealthCheckRequest::default()).await.err().map(|status| status.code());
    println!("revoked: {refused:?}");
    let answer = health.check(HealthCheckRequest::default()).await?.into_inner();
    println!("with another: {:?}", answer.status());
    match refused {
        Some(Code::Unauthenticated) => Ok(()),
        other => Err(format!("a revoked token was answered with {other:?}").into()),
    }
}

/// A client whose calls have tokens of `cache`.
pub(crate) fn client(url: &str, cache: TokenCache) -> Result<HealthClient<Bearer<Channel>>, Box<dyn Error>> {
    let channel = Endpoint::new(url.to_owned())?.connect_lazy();
    let bearer = BearerLayer::new(cache, Origins::new([url])?);
    let service = ServiceBuilder::new().layer(bearer).service(channel);
    // With its origin, since the layer goes by the request's URI: a relative one gets no token.
    Ok(HealthClient::with_origin(service, url.parse()?))
}

/// A server that demands a token of the sandbox's, and its URL.
pub(crate) fn serve(sandbox: Arc<Sandbox>) -> Result<String, Box<dyn Error>> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?;
    let url = format!("http://{}", incoming.local_addr()?);
    let (_, health) = tonic_health::server::health_reporter();
    let demand = move |request: Request<()>| {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        match header.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if sandbox.accepts(token) => Ok(request),
            _ => Err(Status::unauthenticated("a live token of the sandbox's is needed")),
        }
    };
    tokio::spawn(Server::builder().add_service(InterceptedService::new(health, demand)).serve_with_incoming(incoming));
    Ok(url)
}
