//! The clients that the rules are tried with, each with a sandbox of its own.

use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use access_tokens::{
    Error, TokenCache,
    http::{Bearer, BearerLayer, BearerMiddleware, Origins, ReplayCloned},
    onence,
};
use access_tokens_sandbox::{Endpoint, Onence, Sandbox};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version, header::AUTHORIZATION};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::Value;
use tower::{Layer, ServiceExt};

/// A client whose requests get tokens, and what it talks to.
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) sandbox: Sandbox,
    pub(crate) cache: TokenCache,
    client: Client,
}

#[derive(Clone)]
enum Client {
    Reqwest(ClientWithMiddleware),
    Hyper(Box<Hyper>),
}

#[derive(Clone)]
struct Hyper {
    version: Version,
    streams: Bearer<legacy::Client<HttpConnector, BoxBody<Bytes, Infallible>>>,
    bytes: Bearer<legacy::Client<HttpConnector, Full<Bytes>>, ReplayCloned>,
}

/// What is sent. By default a GET without a body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) url: String,
    pub(crate) authorization: Option<&'static str>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Body {
    #[default]
    None,
    Bytes(Vec<u8>),
    Stream(Vec<u8>),
}

/// What came, as far as it was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

/// Runs a test with each client.
pub(crate) async fn each(test: impl AsyncFn(Setup)) {
    each_with(Onence::default(), test).await;
}

/// The same with these settings of the token endpoint.
pub(crate) async fn each_with(onence: Onence, test: impl AsyncFn(Setup)) {
    for (name, version) in [("reqwest", None), ("HTTP/1", Some(Version::HTTP_11)), ("HTTP/2", Some(Version::HTTP_2))] {
        let sandbox = Sandbox::builder().onence(onence.clone()).start().await.unwrap();
        let cache = cache(&sandbox, "sandbox-password");
        let client = client(version, &cache, &sandbox);
        test(Setup { name, sandbox, cache, client }).await;
    }
}

/// A cache of the sandbox's tokens, if the password is right.
pub(crate) fn cache(sandbox: &Sandbox, password: &str) -> TokenCache {
    let credentials = onence::Credentials::new("sandbox@1nce.example", password);
    TokenCache::new(onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap())
}

pub(crate) fn reqwest_client(cache: &TokenCache, sandbox: &Sandbox) -> ClientWithMiddleware {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(20));
    let bearer = BearerMiddleware::new(cache.clone(), Origins::new([sandbox.url()]).unwrap());
    ClientBuilder::new(client.build().unwrap()).with(bearer).build()
}

fn client(version: Option<Version>, cache: &TokenCache, sandbox: &Sandbox) -> Client {
    let Some(version) = version else { return Client::Reqwest(reqwest_client(cache, sandbox)) };
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    let builder = builder.http2_only(version == Version::HTTP_2);
    let layer = BearerLayer::new(cache.clone(), Origins::new([sandbox.url()]).unwrap());
    let streams = layer.layer(builder.build_http());
    let bytes = layer.replay(ReplayCloned).layer(builder.build_http());
    Client::Hyper(Box::new(Hyper { version, streams, bytes }))
}

impl Setup {
    /// The same client with another cache.
    pub(crate) fn with_cache(self, cache: TokenCache) -> Self {
        let version = match &self.client {
            Client::Reqwest(_) => None,
            Client::Hyper(hyper) => Some(hyper.version),
        };
        let client = client(version, &cache, &self.sandbox);
        Self { cache, client, ..self }
    }

    /// A request to the resource.
    pub(crate) fn visit(&self) -> Call {
        Call { url: self.sandbox.resource_url(), ..Call::default() }
    }

    /// Requests that the resource and the token endpoint got.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sandbox.requests(Endpoint::Resource), self.sandbox.requests(Endpoint::Onence))
    }

    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Box<dyn StdError + Send + Sync>> {
        self.sender().send(call).await
    }

    /// What can be moved to a task.
    pub(crate) fn sender(&self) -> Sender {
        Sender(self.client.clone())
    }
}

pub(crate) struct Sender(Client);

impl Sender {
    /// Sends it and reads the answer; of one without an end only the beginning.
    pub(crate) async fn send(self, call: Call) -> Result<Answer, Box<dyn StdError + Send + Sync>> {
        match self.0 {
            Client::Reqwest(client) => {
                let mut request = match call.body {
                    Body::None => client.get(&call.url),
                    Body::Bytes(bytes) => client.post(&call.url).body(bytes),
                    Body::Stream(bytes) => client.post(&call.url).body(reqwest::Body::wrap(Chunks::of(&bytes))),
                };
                if let Some(authorization) = call.authorization {
                    request = request.header(AUTHORIZATION, authorization);
                }
                let response = http::Response::from(request.send().await?);
                Answer::read(response).await
            }
            Client::Hyper(hyper) => {
                let Hyper { version, streams, bytes } = *hyper;
                let mut request = Request::builder().uri(&call.url).version(version);
                if let Some(authorization) = call.authorization {
                    request = request.header(AUTHORIZATION, authorization);
                }
                let response = match call.body {
                    Body::None => streams.oneshot(request.body(BoxBody::new(Empty::new()))?).await?,
                    Body::Stream(bytes) => {
                        let request = request.method(Method::POST).body(BoxBody::new(Chunks::of(&bytes)))?;
                        streams.oneshot(request).await?
                    }
                    Body::Bytes(body) => bytes.oneshot(request.method(Method::POST).body(Full::from(body))?).await?,
                };
                assert_eq!(response.version(), version);
                Answer::read(response).await
            }
        }
    }
}

impl Answer {
    async fn read<B>(response: http::Response<B>) -> Result<Self, Box<dyn StdError + Send + Sync>>
    where
        B: http_body::Body<Data = Bytes, Error: StdError + Send + Sync + 'static> + Unpin,
    {
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            bytes.extend_from_slice(&frame?.into_data().unwrap_or_default());
            if bytes.len() > 1 << 20 {
                break;
            }
        }
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, json })
    }
}

/// Our error in what a client gave.
pub(crate) fn ours<'a>(error: &'a (dyn StdError + Send + Sync + 'static)) -> &'a Error {
    let error: &(dyn StdError + 'static) = error;
    match error.downcast_ref::<reqwest_middleware::Error>() {
        Some(reqwest_middleware::Error::Middleware(error)) => error.downcast_ref(),
        _ => error.downcast_ref(),
    }
    .unwrap_or_else(|| panic!("not ours: {error:?}"))
}

/// A body that comes in pieces, and whose length isn't told.
struct Chunks(VecDeque<Bytes>);

impl Chunks {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.chunks(1000).map(Bytes::copy_from_slice).collect())
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
