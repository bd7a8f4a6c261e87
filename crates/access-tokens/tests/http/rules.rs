//! What both integrations do.

use std::time::{Duration, Instant};

use access_tokens::ErrorKind;
use access_tokens_sandbox::{Endpoint, Fault, Onence, Refusal, Rounding, Sandbox, Tokens};
use serde_json::json;

use crate::clients::{Body, Call, cache, each, each_with, ours};

#[tokio::test]
async fn a_token_is_put_on_and_kept_for_the_next_request() {
    each(async |setup| {
        for n in 1..=3 {
            let answer = setup.send(setup.visit()).await.unwrap();
            assert_eq!((answer.status, &answer.json["provider"]), (200, &json!("onence")), "{}", setup.name);
            assert_eq!(setup.counts(), (n, 1), "{}", setup.name);
        }
    })
    .await;
}

#[tokio::test]
async fn an_authorization_of_its_own_goes_out_and_its_answer_comes_back_as_they_are() {
    each(async |setup| {
        // The resource knows no such token; were it replaced by ours, the answer would be another.
        let authorization = Some("Bearer of-its-own");
        let answer = setup.send(Call { authorization, ..setup.visit() }).await.unwrap();
        assert_eq!(answer.status, 401, "{}", setup.name);
        assert_eq!(setup.sandbox.refused(Refusal::Unknown), 1, "{}", setup.name);
        assert_eq!(setup.counts(), (1, 0), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn another_origin_gets_no_token() {
    each(async |setup| {
        setup.send(setup.visit()).await.unwrap();
        let other = Sandbox::start().await.unwrap();
        // The same host and another port; the same port and another name of the same host.
        let other_name = setup.sandbox.resource_url().replace("127.0.0.1", "localhost");
        for (url, sandbox) in [(other.resource_url(), &other), (other_name, &setup.sandbox)] {
            let answer = setup.send(Call { url: url.clone(), ..Call::default() }).await.unwrap();
            assert_eq!(answer.status, 401, "{} {url}", setup.name);
            assert_eq!(sandbox.refused(Refusal::Missing), 1, "{} {url}", setup.name);
        }
        // What others answer says nothing of the token.
        assert_eq!(setup.send(setup.visit()).await.unwrap().status, 200, "{}", setup.name);
        assert_eq!(setup.counts(), (3, 1), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_token_costs_one_replay() {
    each(async |setup| {
        setup.send(setup.visit()).await.unwrap();
        setup.sandbox.revoke_all();
        assert_eq!(setup.send(setup.visit()).await.unwrap().status, 200, "{}", setup.name);
        assert_eq!((setup.counts(), setup.sandbox.refused(Refusal::Revoked)), ((3, 2), 1), "{}", setup.name);
        assert_eq!(setup.send(setup.visit()).await.unwrap().status, 200, "{}", setup.name);
        assert_eq!(setup.counts(), (4, 2), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn a_body_in_memory_arrives_whole_the_second_time_too() {
    each(async |setup| {
        setup.send(setup.visit()).await.unwrap();
        setup.sandbox.revoke_all();
        let body = Body::Bytes(vec![b'x'; 1_000_000]);
        let answer = setup.send(Call { body, ..setup.visit() }).await.unwrap();
        assert_eq!((answer.status, &answer.json["body_bytes"]), (200, &json!(1_000_000)), "{}", setup.name);
        assert_eq!((setup.counts(), setup.sandbox.refused(Refusal::Revoked)), ((3, 2), 1), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_sent_once_and_its_401_renews_the_token_for_the_next() {
    each(async |setup| {
        let stream = || Call { body: Body::Stream(vec![b'x'; 100_000]), ..setup.visit() };
        let answer = setup.send(stream()).await.unwrap();
        assert_eq!((answer.status, &answer.json["body_bytes"]), (200, &json!(100_000)), "{}", setup.name);

        setup.sandbox.revoke_all();
        let answer = setup.send(stream()).await.unwrap();
        assert_eq!((answer.status, &answer.json["error"]), (401, &json!("invalid_token")), "{}", setup.name);
        assert_eq!(setup.counts(), (2, 1), "{}", setup.name);

        assert_eq!(setup.send(stream()).await.unwrap().status, 200, "{}", setup.name);
        assert_eq!(setup.counts(), (3, 2), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_error_is_ours() {
    let cases = [
        ("sandbox-password", Some(Fault::status(503).into()), ErrorKind::Unavailable),
        ("sandbox-password", Some(Fault::status(429).retry_after(7).into()), ErrorKind::Throttled),
        ("sandbox-password", Some(Fault::garbage()), ErrorKind::Contract),
        ("wrong", None, ErrorKind::Credentials),
    ];
    for (password, fault, kind) in cases {
        each(async |setup| {
            let cache = cache(&setup.sandbox, password);
            let setup = setup.with_cache(cache);
            if let Some(fault) = &fault {
                setup.sandbox.fault(Endpoint::Onence, fault.clone()).unwrap();
            }
            let error = setup.send(setup.visit()).await.unwrap_err();
            let error = ours(&*error);
            assert_eq!((error.kind(), error.provider()), (kind, Some("onence")), "{}", setup.name);
            let retry_after = (kind == ErrorKind::Throttled).then_some(Duration::from_secs(7));
            assert_eq!(error.retry_after(), retry_after, "{}", setup.name);
            assert_eq!(setup.counts(), (0, 1), "{}", setup.name);
        })
        .await;
    }
}

#[tokio::test]
async fn where_no_other_token_can_be_had_the_401_comes_back_untouched() {
    each(async |setup| {
        setup.send(setup.visit()).await.unwrap();
        setup.sandbox.revoke_all();
        setup.sandbox.fault(Endpoint::Onence, Fault::status(503).until_cleared()).unwrap();
        let answer = setup.send(setup.visit()).await.unwrap();
        assert_eq!(answer.status, 401, "{}", setup.name);
        assert_eq!(answer.json["error_description"], "The token was revoked", "{}", setup.name);
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(r#"error="invalid_token""#), "{}: {challenge}", setup.name);
        assert_eq!(setup.counts(), (2, 2), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn the_same_token_again_is_not_sent_again() {
    let tokens = Tokens::ServerCached { rounding: Rounding::Up };
    each_with(Onence { tokens, ..Onence::default() }, async |setup| {
        setup.send(setup.visit()).await.unwrap();
        setup.sandbox.revoke_all();
        for n in 2..=10 {
            assert_eq!(setup.send(setup.visit()).await.unwrap().status, 401, "{}", setup.name);
            assert_eq!(setup.counts(), (n, 2), "{}", setup.name);
        }
    })
    .await;
}

#[tokio::test]
async fn a_hundred_401s_at_once_cost_one_exchange() {
    each(async |setup| {
        setup.send(setup.visit()).await.unwrap();
        setup.sandbox.revoke_all();
        // They are on their way, with the old token, before the first of them is answered.
        setup.sandbox.fault(Endpoint::Resource, Fault::latency(Duration::from_secs(1)).times(100)).unwrap();
        let calls: Vec<_> = (0..100).map(|_| tokio::spawn(setup.sender().send(setup.visit()))).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().status, 200, "{}", setup.name);
        }
        // A machine that is busy may start the last of them late.
        let refused = setup.sandbox.refused(Refusal::Revoked);
        assert!((50..=100).contains(&refused), "{}: {refused}", setup.name);
        assert_eq!(setup.counts(), (1 + 100 + refused, 2), "{}", setup.name);
    })
    .await;
}

#[tokio::test]
async fn a_resource_that_refuses_every_token_is_not_hammered_and_nor_is_the_token_endpoint() {
    each(async |setup| {
        let begun = Instant::now();
        for _ in 0..50 {
            let url = format!("{}/always-401", setup.sandbox.resource_url());
            let answer = setup.send(Call { url, ..Call::default() }).await.unwrap();
            assert_eq!(answer.status, 401, "{}", setup.name);
        }
        let (resource, onence) = setup.counts();
        // One to begin with, one for the first refusal, then one after a pause of 1 s, 2 s, 4 s and so on.
        let most = 2 + u64::from((begun.elapsed().as_secs() + 1).ilog2());
        assert!((2..=most).contains(&onence), "{}: {onence} exchanges", setup.name);
        assert_eq!(resource, 50 + onence - 1, "{}: each new token is tried once", setup.name);
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_passed_on_while_it_still_comes() {
    each(async |setup| {
        setup.send(setup.visit()).await.unwrap();
        for path in ["", "/always-401"] {
            setup.sandbox.fault(Endpoint::Resource, Fault::endless()).unwrap();
            setup.sandbox.fault(Endpoint::Resource, Fault::endless()).unwrap();
            let url = format!("{}{path}", setup.sandbox.resource_url());
            let answer = tokio::time::timeout(Duration::from_secs(10), setup.send(Call { url, ..Call::default() }));
            let status = answer.await.expect("nobody waits for its end").unwrap().status;
            assert_eq!(status, if path.is_empty() { 200 } else { 401 }, "{}", setup.name);
            setup.sandbox.clear_faults();
        }
    })
    .await;
}
