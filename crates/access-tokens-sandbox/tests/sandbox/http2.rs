//! HTTP/2 with prior knowledge, on the port that serves HTTP/1 too.

use std::time::{Duration, Instant};

use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use axum::body::Bytes;
use axum::http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::clients::{SECRET_FORM, ask_worldline, soon, token, visit, worldline_url};

#[tokio::test]
async fn all_that_is_served_is_served_over_http2_too() {
    let sandbox = Sandbox::start().await.unwrap();
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(SECRET_FORM).finish();
    let request = Request::post(worldline_url(&sandbox)).header("content-type", "application/x-www-form-urlencoded");
    let answer = http2().request(request.body(form.into()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    let answer: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(visit(&sandbox, answer["access_token"].as_str().unwrap()).await, 200, "HTTP/1, on the same port");
}

#[tokio::test]
async fn requests_share_a_connection() {
    let sandbox = Sandbox::start().await.unwrap();
    let (client, token) = (http2(), token(ask_worldline(&sandbox)).await);
    soon("the end of that connection", async || sandbox.connections() == 0).await;
    let latency = Duration::from_millis(300);
    sandbox.fault(Endpoint::Resource, Fault::latency(latency).times(20)).unwrap();
    let begun = Instant::now();
    let visits: Vec<_> =
        (0..20).map(|_| tokio::spawn(client.request(resource(&sandbox, &token, "twelve bytes")))).collect();
    soon("all requests", async || sandbox.requests(Endpoint::Resource) == 20).await;
    assert_eq!(sandbox.connections(), 1);
    for visit in visits {
        let answer = visit.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(r#""body_bytes":12"#), "{body:?}");
    }
    assert!(begun.elapsed() < 10 * latency, "one didn't wait for another");
}

#[tokio::test]
async fn a_reset_ends_the_connection_with_all_that_is_on_it() {
    let sandbox = Sandbox::start().await.unwrap();
    let (client, token) = (http2(), token(ask_worldline(&sandbox)).await);
    sandbox.fault(Endpoint::Resource, Fault::latency(Duration::from_secs(60))).unwrap();
    let other = tokio::spawn(client.request(resource(&sandbox, &token, "")));
    soon("the request", async || sandbox.requests(Endpoint::Resource) == 1).await;
    sandbox.fault(Endpoint::Resource, Fault::reset()).unwrap();
    let error = client.request(resource(&sandbox, &token, "")).await.unwrap_err();
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    other.await.unwrap().unwrap_err();
    assert_eq!(client.request(resource(&sandbox, &token, "")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn stopping_lets_an_answer_finish_and_dropping_does_not() {
    for orderly in [true, false] {
        let sandbox = Sandbox::start().await.unwrap();
        let (client, token) = (http2(), token(ask_worldline(&sandbox)).await);
        soon("the end of that connection", async || sandbox.connections() == 0).await;
        let latency = Duration::from_millis(if orderly { 300 } else { 60_000 });
        sandbox.fault(Endpoint::Resource, Fault::latency(latency)).unwrap();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let under_way = tokio::spawn(client.request(resource(&sandbox, &token, "")));
        soon("the request", async || sandbox.requests(Endpoint::Resource) == 1).await;
        assert!(tasks() > before);
        let begun = Instant::now();
        if orderly {
            sandbox.stop().await;
        } else {
            drop(sandbox);
        }
        let outcome = under_way.await.unwrap();
        assert_eq!(outcome.is_ok(), orderly, "{outcome:?}");
        assert!(orderly || begun.elapsed() < Duration::from_millis(900), "cut at once, not after the grace of a stop");
        drop((client, outcome));
        soon("the end of all tasks, the server's among them", async || tasks() < before).await;
    }
}

fn http2() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

fn resource(sandbox: &Sandbox, token: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post(sandbox.resource_url()).header("authorization", format!("Bearer {token}"));
    request.body(body.into()).unwrap()
}
