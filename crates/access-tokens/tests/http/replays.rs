//! What is on the wire the first time and the second, and which answers cause a second.

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
};

use access_tokens::http::{BearerLayer, BearerMiddleware, Origins, Replay, ReplayCloned, ReplayEmpty, ReplayNothing};
use http::{Method, Request, Response, Version, header::AUTHORIZATION, request::Parts};
use http_body_util::{Full, Limited};
use tower::{Layer, ServiceExt};

use crate::recorder::{NoBody, Recorder, tokens};

const URL: &str = "https://api.1nce.com/v1/sims?page=2";

#[tokio::test]
async fn the_header_is_the_tokens_own_and_sensitive() {
    let (cache, _) = tokens(["abc"]);
    let recorder = Recorder::default();
    recorder.send(&cache, &origins(), Request::get(URL).body(NoBody::new()).unwrap()).await;
    let token = cache.token().await.unwrap().to_owned();
    let seen = recorder.seen();
    assert_eq!(seen.len(), 2);
    for Parts { headers, .. } in seen {
        assert_eq!(headers.get_all(AUTHORIZATION).iter().count(), 1);
        assert!(headers[AUTHORIZATION].is_sensitive());
        // The same bytes, not a copy of them.
        assert_eq!(headers[AUTHORIZATION].as_bytes().as_ptr(), token.header().as_bytes().as_ptr());
    }
}

#[tokio::test]
async fn a_refusal_is_a_401_or_grpcs_unauthenticated() {
    let with = |status: u16, grpc: Option<&str>| {
        let answer = Response::builder().status(status);
        let answer = grpc.into_iter().fold(answer, |answer, grpc| answer.header("grpc-status", grpc));
        answer.body(()).unwrap()
    };
    let cases = [
        (401, None, true),
        (401, Some("7"), true),
        (200, Some("16"), true),
        (200, Some("0"), false),
        (200, Some("7"), false),
        (200, Some("160"), false),
        (200, None, false),
        (403, None, false),
        (407, None, false),
        (500, Some("16"), false),
    ];
    for (status, grpc, refused) in cases {
        let (cache, endpoint) = tokens(["first", "second"]);
        // Each integration gets one such answer. The second comes when the token can't be invalidated yet again.
        let recorder = Recorder::answering([with(status, grpc)]);
        let got = recorder.send(&cache, &origins(), Request::get(URL).body(NoBody::new()).unwrap()).await;
        assert_eq!(got, if refused { [200, 200] } else { [status, 200] }, "{status} {grpc:?}");
        assert_eq!(endpoint.exchanges(), 1 + u64::from(refused), "{status} {grpc:?}");

        let (cache, endpoint) = tokens(["first", "second"]);
        let recorder = Recorder::answering([with(204, None), with(status, grpc)]);
        let got = recorder.send(&cache, &origins(), Request::get(URL).body(NoBody::new()).unwrap()).await;
        assert_eq!(got, if refused { [204, 200] } else { [204, status] }, "{status} {grpc:?}");
        assert_eq!(endpoint.exchanges(), 1 + u64::from(refused), "{status} {grpc:?}");
    }
}

#[tokio::test]
async fn the_second_request_is_the_first_but_for_the_token() {
    #[derive(Debug, Clone, PartialEq)]
    struct Mark(u32);

    for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
        let refusal = || Response::builder().status(401).body(()).unwrap();
        let (cache, _) = tokens(["first", "second"]);
        let recorder = Recorder::answering([refusal()]);
        let layered = BearerLayer::new(cache, origins()).layer(recorder.clone());
        let request = Request::builder().method(&method).uri(URL).version(Version::HTTP_2).extension(Mark(7));
        let request = request.header("accept", "a").header("accept", "b").body(NoBody::new()).unwrap();
        layered.oneshot(request).await.unwrap();

        let [mut first, mut second] = <[Parts; 2]>::try_from(recorder.seen()).unwrap();
        let tokens = [&mut first, &mut second].map(|parts| parts.headers.remove(AUTHORIZATION).unwrap());
        assert_eq!(tokens, ["Bearer first", "Bearer second"]);
        assert!(tokens.iter().all(|token| token.is_sensitive()));
        for parts in [&first, &second] {
            assert_eq!((&parts.method, parts.version), (&method, Version::HTTP_2));
            assert_eq!((parts.uri.to_string().as_str(), parts.extensions.get()), (URL, Some(&Mark(7))));
        }
        assert_eq!(first.headers, second.headers);
        assert_eq!(first.headers.get_all("accept").iter().count(), 2);
    }
}

#[tokio::test]
async fn the_refusal_is_gone_with_all_it_holds_when_the_request_is_sent_again() {
    let (cache, _) = tokens(["first", "second"]);
    let (held, holders) = (Arc::new(()), Arc::new(Mutex::new(Vec::new())));
    let seen = holders.clone();
    let inner = tower::service_fn(move |_: Request<NoBody>| {
        let mut seen = seen.lock().unwrap();
        seen.push(Arc::strong_count(&held));
        let status = if seen.len() == 1 { 401 } else { 200 };
        ready(Ok::<_, Infallible>(Response::builder().status(status).body(held.clone()).unwrap()))
    });
    let layered = BearerLayer::new(cache, origins()).layer(inner);
    let answer = layered.oneshot(Request::get(URL).body(NoBody::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let holders = holders.lock().unwrap();
    assert!(holders.len() == 2 && holders[0] == holders[1], "{holders:?}");
}

#[tokio::test]
async fn what_is_sent_again_is_what_the_layer_was_told() {
    async fn sent<R: Replay<B> + Clone + Send + 'static, B: Send + 'static>(replay: R, body: B) -> usize {
        let (cache, endpoint) = tokens(["first", "second"]);
        let recorder = Recorder::answering([Response::builder().status(401).body(()).unwrap()]);
        let layered = BearerLayer::new(cache.clone(), origins()).replay(replay).layer(recorder.clone());
        layered.oneshot(Request::post(URL).body(body).unwrap()).await.unwrap();
        // Sent again or not, it has renewed the token.
        assert_eq!(cache.token().await.unwrap().secret(), "second");
        assert_eq!(endpoint.exchanges(), 2);
        recorder.seen().len()
    }

    let full = Full::<bytes::Bytes>::from;
    assert_eq!(sent(ReplayEmpty, full("")).await, 2);
    assert_eq!(sent(ReplayEmpty, full("twelve bytes")).await, 1);
    assert_eq!(sent(ReplayCloned, full("twelve bytes")).await, 2);
    assert_eq!(sent(ReplayNothing, full("")).await, 1);
    // It isn't `Default`.
    assert_eq!(sent(ReplayNothing, Limited::new(full(""), 12)).await, 1);
}

#[tokio::test]
async fn a_copy_that_panics_is_none_and_the_request_goes_out_all_the_same() {
    #[derive(Clone)]
    struct Panics;
    impl<B> Replay<B> for Panics {
        fn again(&self, _: &B) -> Option<B> {
            panic!("on purpose")
        }
    }
    /// What a request carries along may panic too.
    struct Uncloneable;
    impl Clone for Uncloneable {
        fn clone(&self) -> Self {
            panic!("on purpose")
        }
    }
    let refusal = || Response::builder().status(401).body(()).unwrap();
    let request = || Request::get(URL).body(NoBody::new()).unwrap();

    let (cache, _) = tokens(["first", "second"]);
    let recorder = Recorder::answering([refusal()]);
    let layered = BearerLayer::new(cache, origins()).replay(Panics).layer(recorder.clone());
    assert_eq!(layered.oneshot(request()).await.unwrap().status(), 401);
    assert_eq!(recorder.seen().len(), 1);

    let (cache, _) = tokens(["first", "second"]);
    let recorder = Recorder::answering([refusal()]);
    let mut carrying = request();
    carrying.extensions_mut().insert(Uncloneable);
    let layered = BearerLayer::new(cache.clone(), origins()).layer(recorder.clone());
    assert_eq!(layered.oneshot(carrying).await.unwrap().status(), 401);
    assert_eq!(recorder.seen().len(), 1);

    let (cache, _) = tokens(["first", "second"]);
    let recorder = Recorder::answering([refusal()]);
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let client = reqwest_middleware::ClientBuilder::new(client).with(BearerMiddleware::new(cache, origins()));
    let client = client.with(recorder.clone()).build();
    let mut carrying = request().map(|_| reqwest::Body::default());
    carrying.extensions_mut().insert(Uncloneable);
    let carrying = reqwest::Request::try_from(carrying).unwrap();
    assert_eq!(client.execute(carrying).await.unwrap().status(), 401);
    assert_eq!(recorder.seen().len(), 1);
}

fn origins() -> Origins {
    Origins::new(["https://api.1nce.com"]).unwrap()
}
