//! The protected resource, and revocation.

use std::time::Duration;

use access_tokens_sandbox::{Onence, Refusal, Rounding, Sandbox, Tokens};
use serde_json::json;

use crate::clients::{ask_onence, ask_worldline, http, json_of, token, visit};

#[tokio::test]
async fn a_live_token_of_either_provider_opens_it_with_any_method() {
    let sandbox = Sandbox::start().await.unwrap();
    for (token, provider, scopes, lifetime) in [
        (token(ask_onence(&sandbox)).await, "onence", json!(["all"]), 3600),
        (token(ask_worldline(&sandbox)).await, "worldline", json!(["VOP", "WERO"]), 300),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let request = http()
                .request(method.parse().unwrap(), sandbox.resource_url())
                .bearer_auth(&token)
                .body("twelve bytes");
            let (status, mut answer) = json_of(request.send().await.unwrap()).await;
            let left = answer["expires_in"].take().as_u64().unwrap();
            assert!((lifetime - 5..=lifetime).contains(&left), "{left}");
            let expected = json!({
                "provider": provider, "scopes": scopes, "expires_in": null, "body_bytes": 12,
            });
            assert_eq!((status.as_u16(), answer), (200, expected), "{method}");
        }
    }
}

#[tokio::test]
async fn a_body_larger_than_any_token_request_is_counted_whole() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_onence(&sandbox)).await;
    let request = http().post(sandbox.resource_url()).bearer_auth(token).body(vec![b'x'; 5_000_000]);
    let (_, answer) = json_of(request.send().await.unwrap()).await;
    assert_eq!(answer["body_bytes"], 5_000_000);
}

#[tokio::test]
async fn a_dead_token_is_refused_and_counted_by_reason() {
    let onence = Onence { lifetime: Duration::from_secs(1), ..Onence::default() };
    let sandbox = Sandbox::builder().onence(onence).start().await.unwrap();
    let expired = token(ask_onence(&sandbox)).await;
    assert_eq!(visit(&sandbox, &expired).await, 200);
    let revoked = token(ask_worldline(&sandbox)).await;
    assert!(sandbox.revoke(&revoked));
    assert!(!sandbox.revoke(&revoked), "it was revoked before");
    assert!(!sandbox.revoke("nonsense"));
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert!(!sandbox.revoke(&expired), "it had ended before");

    let bearer = |token: &str| format!("Bearer {token}");
    let with_error =
        |what: &str| format!(r#"Bearer realm="sandbox", error="invalid_token", error_description="{what}""#);
    let cases = [
        (None, Refusal::Missing, r#"Bearer realm="sandbox""#.to_owned()),
        (Some("Basic eDp5".to_owned()), Refusal::Missing, r#"Bearer realm="sandbox""#.to_owned()),
        (Some(bearer("nonsense")), Refusal::Unknown, with_error("The token is unknown")),
        (Some(bearer(&expired)), Refusal::Expired, with_error("The token has expired")),
        (Some(bearer(&revoked)), Refusal::Revoked, with_error("The token was revoked")),
    ];
    for (authorization, why, challenge) in cases {
        let before = sandbox.refused(why);
        let mut request = http().get(sandbox.resource_url());
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{why:?}");
        assert_eq!(response.headers()["www-authenticate"], challenge, "{why:?}");
        assert_eq!(sandbox.refused(why), before + 1, "{why:?}");
    }
}

/// However many there were: the memory that they take has a limit.
#[tokio::test]
async fn the_last_thousand_expired_tokens_are_told_from_unknown_ones() {
    let onence = Onence { lifetime: Duration::from_millis(1), ..Onence::default() };
    let sandbox = Sandbox::builder().onence(onence).start().await.unwrap();
    let first = token(ask_onence(&sandbox)).await;
    let living = token(ask_worldline(&sandbox)).await;
    let (client, request) = (http(), ask_onence(&sandbox).build().unwrap());
    let issue = async |count| {
        for _ in 0..count {
            let answer = client.execute(request.try_clone().unwrap()).await.unwrap();
            assert_eq!(answer.bytes().await.unwrap().len() / 1000, 3, "with a token");
        }
    };
    issue(998).await;
    visit(&sandbox, &first).await;
    assert_eq!((sandbox.refused(Refusal::Expired), sandbox.refused(Refusal::Unknown)), (1, 0));
    let last = token(ask_onence(&sandbox)).await;
    issue(500).await;
    visit(&sandbox, &first).await;
    assert_eq!((sandbox.refused(Refusal::Expired), sandbox.refused(Refusal::Unknown)), (1, 1), "forgotten");
    visit(&sandbox, &last).await;
    assert_eq!((sandbox.refused(Refusal::Expired), sandbox.refused(Refusal::Unknown)), (2, 1), "remembered");
    assert_eq!(visit(&sandbox, &living).await, 200);
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_worldline(&sandbox)).await;
    let request = http().get(sandbox.resource_url()).header("authorization", format!("bEARER {token}"));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn always_401_refuses_a_live_token() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_onence(&sandbox)).await;
    let url = format!("{}/always-401", sandbox.resource_url());
    let response = http().post(url).bearer_auth(&token).body("x").send().await.unwrap();
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    assert_eq!(visit(&sandbox, &token).await, 200, "the token is as good as before");
}

#[tokio::test]
async fn revoking_all_ends_what_was_issued_and_nothing_later() {
    let sandbox = Sandbox::start().await.unwrap();
    let before = [token(ask_onence(&sandbox)).await, token(ask_worldline(&sandbox)).await];
    assert_eq!(sandbox.revoke_all(), 2);
    assert_eq!(sandbox.revoke_all(), 0);
    let after = token(ask_onence(&sandbox)).await;
    for token in before {
        assert_eq!(visit(&sandbox, &token).await, 401);
    }
    assert_eq!(visit(&sandbox, &after).await, 200);
}

#[tokio::test]
async fn accepting_is_what_the_resource_does_without_counting() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_onence(&sandbox)).await;
    assert!(sandbox.accepts(&token) && !sandbox.accepts("nonsense"));
    sandbox.revoke(&token);
    assert!(!sandbox.accepts(&token));
    assert_eq!((sandbox.refused(Refusal::Unknown), sandbox.refused(Refusal::Revoked)), (0, 0));
}

#[tokio::test]
async fn a_server_side_cache_hands_a_revoked_token_out_again() {
    let tokens = Tokens::ServerCached { rounding: Rounding::Up };
    let onence = Onence { tokens, ..Onence::default() };
    let sandbox = Sandbox::builder().onence(onence).start().await.unwrap();
    let first = token(ask_onence(&sandbox)).await;
    sandbox.revoke(&first);
    assert_eq!(token(ask_onence(&sandbox)).await, first);
    assert_eq!(visit(&sandbox, &first).await, 401);
}
