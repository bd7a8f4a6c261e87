//! What stands beneath both integrations where no server is needed: it keeps what comes, and answers as it was told to.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use access_tokens::{
    AccessToken, TokenCache,
    http::{BearerLayer, BearerMiddleware, Origins},
    testing::ScriptedEndpoint,
};
use http::{Extensions, Request, Response, request::Parts};
use http_body_util::Empty;
use reqwest::ResponseBuilderExt;
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tower::{Layer, Service, ServiceExt};

pub(crate) type NoBody = Empty<bytes::Bytes>;

/// A clone keeps and answers together with the original, and isn't ready.
#[derive(Default)]
pub(crate) struct Recorder {
    shared: Arc<Mutex<Shared>>,
    /// Of this instance: whether it was found ready.
    ready: bool,
}

#[derive(Default)]
struct Shared {
    answers: VecDeque<Response<()>>,
    seen: Vec<Parts>,
}

impl Clone for Recorder {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), ready: false }
    }
}

/// A cache that gets these tokens, one with each exchange.
pub(crate) fn tokens<const N: usize>(secrets: [&str; N]) -> (TokenCache, ScriptedEndpoint) {
    let endpoint = secrets.into_iter().fold(ScriptedEndpoint::new(), |script, secret| {
        script.then(AccessToken::new(secret).map(|token| token.with_expires_in(std::time::Duration::from_secs(60))))
    });
    (TokenCache::new(endpoint.clone()), endpoint)
}

impl Recorder {
    /// Answers with these, then with 200.
    pub(crate) fn answering<const N: usize>(answers: [Response<()>; N]) -> Self {
        let recorder = Self::default();
        recorder.shared.lock().unwrap().answers = answers.into();
        recorder
    }

    /// Sends a request through each integration in turn; gives the statuses of the answers.
    pub(crate) async fn send(&self, cache: &TokenCache, origins: &Origins, request: Request<NoBody>) -> [u16; 2] {
        let layered = BearerLayer::new(cache.clone(), origins.clone()).layer(self.clone());
        let by_tower = layered.oneshot(request.clone()).await.unwrap().status();
        let middleware = BearerMiddleware::new(cache.clone(), origins.clone());
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let client = ClientBuilder::new(client).with(middleware).with(self.clone()).build();
        let request = request.map(|_| reqwest::Body::default()).try_into().unwrap();
        let by_reqwest = client.execute(request).await.unwrap().status();
        [by_tower.as_u16(), by_reqwest.as_u16()]
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Parts> {
        std::mem::take(&mut self.shared.lock().unwrap().seen)
    }

    fn answer(&self, seen: Parts) -> Response<()> {
        let mut shared = self.shared.lock().unwrap();
        shared.seen.push(seen);
        shared.answers.pop_front().unwrap_or_default()
    }
}

impl<B> Service<Request<B>> for Recorder {
    type Response = Response<()>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Response<()>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been found ready");
        ready(Ok(self.answer(request.into_parts().0)))
    }
}

#[async_trait::async_trait]
impl Middleware for Recorder {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let url = request.url().clone();
        let request: Request<reqwest::Body> = request.try_into().unwrap();
        let (parts, ()) = self.answer(request.into_parts().0).into_parts();
        let mut answer = Response::builder().status(parts.status).url(url).body("").unwrap();
        answer.headers_mut().extend(parts.headers);
        Ok(answer.into())
    }
}
