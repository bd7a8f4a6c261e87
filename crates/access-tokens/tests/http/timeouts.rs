//! Waiting for a token is part of a request, and counts towards its time-out. In tokio's paused time.

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use access_tokens::{
    AccessToken, Clock, ErrorKind, TokenCache,
    http::{BearerLayer, BearerMiddleware, Origins},
    testing::ScriptedEndpoint,
};
use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use http::{Extensions, Request, Response, StatusCode};
use reqwest::ResponseBuilderExt;
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

use crate::{
    clients::{cache, ours, reqwest_client},
    recorder::NoBody,
};

const URL: &str = "https://api.1nce.com/v1/sims";
const EXCHANGE: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_millis(100);

/// Answers 401 the first time if so told, and 200 then, and notes what is left of the time-out of each request.
#[derive(Clone, Default)]
struct Resource {
    refuses: bool,
    left: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl Resource {
    fn note(&self, left: Option<Duration>) -> StatusCode {
        let mut all = self.left.lock().unwrap();
        all.push(left);
        if self.refuses && all.len() == 1 { StatusCode::UNAUTHORIZED } else { StatusCode::OK }
    }
}

#[async_trait::async_trait]
impl Middleware for Resource {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let status = self.note(request.timeout().copied());
        sleep(ANSWER).await;
        let answer = Response::builder().status(status).url(request.url().clone()).body("").unwrap();
        Ok(answer.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Reqwest,
    Grpc,
}

/// Gives the status of the answer, or the error's text; and how long that took.
async fn send(
    way: Way,
    cache: &TokenCache,
    resource: &Resource,
    timeout: Option<Duration>,
    token_timeout: Option<Duration>,
) -> (Result<StatusCode, ErrorKind>, Duration) {
    let (begun, origins) = (Instant::now(), Origins::new(["https://api.1nce.com"]).unwrap());
    let kind = |error: &(dyn std::error::Error + Send + Sync + 'static)| ours(error).kind();
    let outcome = match way {
        Way::Reqwest => {
            let mut bearer = BearerMiddleware::new(cache.clone(), origins);
            if let Some(timeout) = token_timeout {
                bearer = bearer.token_timeout(timeout);
            }
            let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
            let client = ClientBuilder::new(client).with(bearer).with(resource.clone()).build();
            let mut request = client.get(URL);
            if let Some(timeout) = timeout {
                request = request.timeout(timeout);
            }
            request.send().await.map(|answer| answer.status()).map_err(|error| kind(&error))
        }
        Way::Grpc => {
            let resource = resource.clone();
            let inner = tower::service_fn(move |request: Request<NoBody>| {
                let left = request.headers().get("grpc-timeout").map(|left| {
                    let left = left.to_str().unwrap().strip_suffix('u').expect("microseconds will do");
                    Duration::from_micros(left.parse().unwrap())
                });
                let status = resource.note(left);
                async move {
                    sleep(ANSWER).await;
                    Ok::<_, Infallible>(Response::builder().status(status).body(()).unwrap())
                }
            });
            let mut bearer = BearerLayer::new(cache.clone(), origins);
            if let Some(timeout) = token_timeout {
                bearer = bearer.token_timeout(timeout);
            }
            let mut request = Request::get(URL);
            if let Some(timeout) = timeout {
                request = request.header("grpc-timeout", format!("{}m", timeout.as_millis()));
            }
            let answer = bearer.layer(inner).oneshot(request.body(NoBody::new()).unwrap()).await;
            answer.map(|answer| answer.status()).map_err(|error| kind(&*error))
        }
    };
    (outcome, begun.elapsed())
}

/// Of tokens whose exchange takes that long, each.
fn slow<const N: usize>(exchanges: [Duration; N]) -> TokenCache {
    let script = exchanges.into_iter().enumerate().fold(ScriptedEndpoint::new(), |script, (n, latency)| {
        let token = AccessToken::new(format!("token-{n}")).unwrap().with_expires_in(Duration::from_secs(3600));
        script.then_after(latency, token)
    });
    TokenCache::builder(script).clock(Clock::tokio()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_token_as_long_as_its_time_out_and_is_sent_with_the_rest() {
    let seconds = |seconds: f64| Some(Duration::from_secs_f64(seconds));
    let kind = ErrorKind::Unavailable;
    // The time-outs of the request and for a token; what comes of it, after how many seconds, and what was left of the
    // time-out when it was sent.
    let cases = [
        (None, None, Ok(StatusCode::OK), 10.1, vec![None]),
        (seconds(1.0), None, Err(kind), 1.0, vec![]),
        (seconds(12.0), None, Ok(StatusCode::OK), 10.1, vec![seconds(2.0)]),
        (None, seconds(2.0), Err(kind), 2.0, vec![]),
        (None, seconds(12.0), Ok(StatusCode::OK), 10.1, vec![None]),
        (seconds(1.0), seconds(2.0), Err(kind), 1.0, vec![]),
        (seconds(12.0), seconds(2.0), Err(kind), 2.0, vec![]),
    ];
    for way in [Way::Reqwest, Way::Grpc] {
        for (timeout, token_timeout, expected, took, left) in cases.clone() {
            let case = format!("{way:?}, {timeout:?}, {token_timeout:?}");
            let (cache, resource) = (slow([EXCHANGE]), Resource::default());
            let (outcome, elapsed) = send(way, &cache, &resource, timeout, token_timeout).await;
            assert_eq!(outcome, expected, "{case}");
            assert!((elapsed.as_secs_f64() - took).abs() < 0.05, "{case}: {elapsed:?}");
            let seen = resource.left.lock().unwrap().clone();
            let near = |one: Option<Duration>, other: Option<Duration>| match (one, other) {
                (Some(one), Some(other)) => one.abs_diff(other) < Duration::from_millis(10),
                (one, other) => one == other,
            };
            assert!(
                seen.len() == left.len() && seen.iter().zip(&left).all(|(one, other)| near(*one, *other)),
                "{case}: {seen:?}"
            );
            // The exchange went on, and the next request has its token.
            sleep(EXCHANGE).await;
            let (outcome, elapsed) = send(way, &cache, &resource, seconds(1.0), None).await;
            assert_eq!((outcome, elapsed.as_millis() / 10), (Ok(StatusCode::OK), 10), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_what_is_left_and_where_that_does_not_do_the_refusal_comes_back() {
    let second = Duration::from_secs(1);
    // How long the second exchange takes; the status, after how many milliseconds, and what was left each time.
    let cases = [(300, StatusCode::OK, 500, vec![1000, 600]), (5000, StatusCode::UNAUTHORIZED, 1000, vec![1000])];
    for way in [Way::Reqwest, Way::Grpc] {
        for (exchange, status, took, left) in cases.clone() {
            let cache = slow([Duration::ZERO, Duration::from_millis(exchange)]);
            cache.token().await.unwrap();
            let resource = Resource { refuses: true, ..Resource::default() };
            let (outcome, elapsed) = send(way, &cache, &resource, Some(second), None).await;
            assert_eq!(outcome, Ok(status), "{way:?}, {exchange} ms");
            assert!(elapsed.abs_diff(Duration::from_millis(took)) < Duration::from_millis(20), "{way:?}: {elapsed:?}");
            let seen = resource.left.lock().unwrap().clone();
            let seen: Vec<_> =
                seen.iter().map(|left| (left.unwrap().as_secs_f64() * 100.0).round() as u64 * 10).collect();
            assert_eq!(seen, left, "{way:?}, {exchange} ms");
        }
    }
}

/// On real sockets.
#[tokio::test]
async fn a_request_whose_token_comes_late_is_not_sent() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Onence, Fault::latency(Duration::from_secs(3)).until_cleared()).unwrap();
    let client = reqwest_client(&cache(&sandbox, "sandbox-password"), &sandbox);
    let asked = std::time::Instant::now();
    let error = client.get(sandbox.resource_url()).timeout(Duration::from_millis(300)).send().await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Unavailable);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!((sandbox.requests(Endpoint::Onence), sandbox.requests(Endpoint::Resource)), (1, 0));
}

/// The time of the first answer doesn't count towards that for the second token.
#[tokio::test(start_paused = true)]
async fn each_token_has_the_time_out_for_tokens() {
    for way in [Way::Reqwest, Way::Grpc] {
        for (exchange, status) in [(80, StatusCode::OK), (110, StatusCode::UNAUTHORIZED)] {
            let cache = slow([Duration::ZERO, Duration::from_millis(exchange)]);
            cache.token().await.unwrap();
            let resource = Resource { refuses: true, ..Resource::default() };
            let (outcome, _) = send(way, &cache, &resource, None, Some(ANSWER)).await;
            assert_eq!(outcome, Ok(status), "{way:?}, {exchange} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_timeout_is_read_in_each_unit_and_what_is_none_is_left_alone() {
    // What is in the header, and what is sent where nothing was waited for.
    let cases = [
        ("1H", "3600000m"),
        ("2M", "120000m"),
        ("20S", "20000000u"),
        ("50m", "50000000n"),
        ("50000u", "50000000n"),
        ("50000000n", "50000000n"),
        ("99999999H", "99999999H"),
        ("", ""),
        ("S", "S"),
        ("5", "5"),
        ("5s", "5s"),
        ("-5S", "-5S"),
        ("+5S", "+5S"),
        ("5.5S", "5.5S"),
        ("123456789S", "123456789S"),
    ];
    for (given, expected) in cases {
        let cache = slow([Duration::ZERO]);
        cache.token().await.unwrap();
        let inner = tower::service_fn(move |request: Request<NoBody>| {
            let sent = request.headers()["grpc-timeout"].to_str().unwrap().to_owned();
            ready(Ok::<_, Infallible>(Response::new(sent)))
        });
        let layer = BearerLayer::new(cache, Origins::new(["https://api.1nce.com"]).unwrap());
        let request = Request::get(URL).header("grpc-timeout", given).body(NoBody::new()).unwrap();
        let sent = layer.layer(inner).oneshot(request).await.unwrap().into_body();
        assert_eq!(sent, expected, "{given:?}");
    }
}
