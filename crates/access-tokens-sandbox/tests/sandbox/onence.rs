//! 1NCE's token endpoint.

use std::time::Duration;

use access_tokens_sandbox::{Onence, Rounding, Sandbox, Spelling, StartError, Tokens, User};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clients::{ask_onence, http, json_of, onence_url, token, visit};

#[tokio::test]
async fn a_right_request_gets_a_token_in_either_spelling() {
    for (spelling, user_id, scope) in [(Spelling::Schema, "userId", "scope"), (Spelling::Example, "user_id", "score")] {
        let settings = Onence {
            spelling,
            lifetime: Duration::from_secs(1234),
            user_id: json!(4711),
            scope: "all more".into(),
            ..Onence::default()
        };
        let sandbox = Sandbox::builder().onence(settings).start().await.unwrap();
        let (status, mut answer) = json_of(ask_onence(&sandbox).send().await.unwrap()).await;
        assert_eq!(status, 200);
        let token = answer["access_token"].take();
        assert_eq!(token.as_str().unwrap().len(), 3000);
        let rest = json!({
            "status_code": 200, "access_token": null, "token_type": "bearer", "expires_in": 1234,
            user_id: 4711, scope: "all more",
        });
        assert_eq!(answer, rest, "{spelling:?}");
    }
}

/// What is wrong with each request, and which of the OpenAPI file's five examples it gets.
#[tokio::test]
async fn a_wrong_request_gets_the_documented_400() {
    const AUTH: &str = "AuthValidationError";
    const USERNAME: &str = "Auth header validation error: Missing attributes 'username'";
    const PASSWORD: &str = "Auth header validation error: Missing attributes 'password'";
    const GRANT_TYPE: &str = "Request body validation error: Missing attributes 'grant_type'";
    const NO_USER: &str = "User does not exist.";
    let basic = |pair: &str| Some(format!("Basic {}", STANDARD.encode(pair)));
    let right = || basic("sandbox@1nce.example:sandbox-password");
    let json_type = Some("application/json");
    let grant = r#"{"grant_type":"client_credentials"}"#;
    let content_type = ("UnsupportedContentTypeError", "Content-Type not supported");
    /// What it's called, `Authorization`, `Content-Type`, body, and the code and message that come back.
    type Case = (&'static str, Option<String>, Option<&'static str>, &'static str, (&'static str, &'static str));
    let cases: Vec<Case> = vec![
        ("no content type", right(), None, grant, content_type),
        ("a form", right(), Some("application/x-www-form-urlencoded"), grant, content_type),
        ("a type that only begins right", right(), Some("application/jsonp"), grant, content_type),
        ("no credentials", None, json_type, grant, (AUTH, USERNAME)),
        ("another scheme", Some("Bearer c2FuZGJveA==".into()), json_type, grant, (AUTH, USERNAME)),
        ("not base64", Some("Basic %%%".into()), json_type, grant, (AUTH, USERNAME)),
        ("no user name", basic(":sandbox-password"), json_type, grant, (AUTH, USERNAME)),
        ("no password", basic("sandbox@1nce.example:"), json_type, grant, (AUTH, PASSWORD)),
        ("no colon", basic("sandbox@1nce.example"), json_type, grant, (AUTH, PASSWORD)),
        ("no grant type", right(), json_type, "{}", ("BodyValidationError", GRANT_TYPE)),
        ("not an object", right(), json_type, "[]", ("BodyValidationError", GRANT_TYPE)),
        ("not JSON", right(), json_type, "grant_type=client_credentials", ("BodyValidationError", GRANT_TYPE)),
        ("another grant", right(), json_type, r#"{"grant_type":"password"}"#, ("BodyValidationError", GRANT_TYPE)),
        ("unknown user", basic("nobody:sandbox-password"), json_type, grant, ("BadCredentials", NO_USER)),
        ("wrong password", basic("sandbox@1nce.example:wrong"), json_type, grant, ("BadCredentials", NO_USER)),
        (
            "a form-encoded user name",
            basic("sandbox%401nce.example:sandbox-password"),
            json_type,
            grant,
            ("BadCredentials", NO_USER),
        ),
    ];
    let sandbox = Sandbox::start().await.unwrap();
    for (what, authorization, content_type, body, (code, message)) in cases {
        let mut request = http().post(onence_url(&sandbox)).body(body);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let (status, answer) = json_of(request.send().await.unwrap()).await;
        assert_eq!(status, 400, "{what}");
        let expected = json!({ "statusCode": 400, "errorCode": code, "message": message });
        assert_eq!(answer, expected, "{what}");
    }
    assert_eq!(sandbox.tokens_issued(), 0);
}

#[tokio::test]
async fn credentials_are_read_raw() {
    for (username, password) in [("a@b.example", "p:a:ss"), ("a%40b.example", "100%+ &="), ("jürgen", "pässwörd€")]
    {
        let settings = Onence { username: username.into(), password: password.into(), ..Onence::default() };
        let sandbox = Sandbox::builder().onence(settings).start().await.unwrap();
        let request = http()
            .post(onence_url(&sandbox))
            .basic_auth(username, Some(password))
            .json(&json!({ "grant_type": "client_credentials" }));
        assert_eq!(request.send().await.unwrap().status(), 200, "{username} {password}");
    }
}

#[tokio::test]
async fn each_user_has_tokens_of_its_own() {
    let user = |username: &str, password: &str| User { username: username.into(), password: password.into() };
    let tokens = Tokens::ServerCached { rounding: Rounding::Up };
    let more_users = vec![user("b@1nce.example", "b-password"), user("c@1nce.example", "c-password")];
    let settings = Onence { tokens, more_users, ..Onence::default() };
    let sandbox = Sandbox::builder().onence(settings).start().await.unwrap();
    let ask = async |username: &str, password: &str| {
        let request = http().post(onence_url(&sandbox)).basic_auth(username, Some(password));
        let request = request.json(&json!({ "grant_type": "client_credentials" }));
        let (status, answer) = json_of(request.send().await.unwrap()).await;
        (status.as_u16(), answer["access_token"].as_str().map(str::to_owned))
    };
    let pairs = [
        ("sandbox@1nce.example", "sandbox-password"),
        ("b@1nce.example", "b-password"),
        ("c@1nce.example", "c-password"),
    ];
    let mut tokens = Vec::new();
    for (username, password) in pairs {
        let (status, token) = ask(username, password).await;
        assert_eq!((status, &ask(username, password).await.1), (200, &token), "{username}: the same token again");
        assert_eq!(visit(&sandbox, token.as_ref().unwrap()).await, 200);
        tokens.push(token);
    }
    assert_eq!(sandbox.tokens_issued(), 3);
    assert_eq!(ask("b@1nce.example", "c-password").await, (400, None), "the password of another");

    // The first one's credentials change; the tokens stay whose they were.
    sandbox.set_onence_credentials("c@1nce.example", "new-password");
    assert_eq!(ask("c@1nce.example", "new-password").await, (200, tokens[0].clone()));
    assert_eq!(ask("b@1nce.example", "b-password").await, (200, tokens[1].clone()));
    for (username, password) in [pairs[0], pairs[2]] {
        assert_eq!(ask(username, password).await, (400, None), "{username}");
    }

    let more_users = vec![user("sandbox@1nce.example", "another-password")];
    let twice = Sandbox::builder().onence(Onence { more_users, ..Onence::default() }).start().await.unwrap_err();
    assert!(matches!(&twice, StartError::DuplicateUser(name) if name == "sandbox@1nce.example"), "{twice}");
}

#[tokio::test]
async fn each_request_makes_a_new_token_and_the_old_one_stays_valid() {
    let sandbox = Sandbox::start().await.unwrap();
    let (first, second) = (token(ask_onence(&sandbox)).await, token(ask_onence(&sandbox)).await);
    assert_ne!(first, second);
    assert_eq!(sandbox.tokens_issued(), 2);
    for token in [first, second] {
        assert_eq!(visit(&sandbox, &token).await, 200);
    }
}

#[tokio::test]
async fn a_cached_token_comes_with_the_time_that_it_has_left_until_it_ends() {
    let ask_thrice = async |rounding| {
        let settings =
            Onence { lifetime: Duration::from_secs(2), tokens: Tokens::ServerCached { rounding }, ..Onence::default() };
        let sandbox = Sandbox::builder().onence(settings).start().await.unwrap();
        let ask = async || {
            let (_, answer) = json_of(ask_onence(&sandbox).send().await.unwrap()).await;
            (answer["access_token"].as_str().unwrap().to_owned(), answer["expires_in"].as_u64().unwrap())
        };
        let first = ask().await;
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let second = ask().await;
        assert_eq!(first.0, second.0, "{rounding:?}: the same token while it lives");
        assert_eq!(sandbox.tokens_issued(), 1);
        tokio::time::sleep(Duration::from_millis(1000)).await;
        assert_eq!(visit(&sandbox, &second.0).await, 401);
        let third = ask().await;
        assert_ne!(second.0, third.0, "{rounding:?}: another when it has ended");
        assert_eq!(visit(&sandbox, &third.0).await, 200);
        [first.1, second.1, third.1]
    };
    let (up, down) = tokio::join!(ask_thrice(Rounding::Up), ask_thrice(Rounding::Down));
    assert_eq!((up, down), ([2, 1, 2], [2, 0, 2]));
}

#[tokio::test]
async fn other_paths_methods_and_huge_bodies_are_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    let elsewhere = format!("{}/oauth/tokens", sandbox.onence_base_url());
    let response = http().post(elsewhere).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (404, ""));
    let get = http().get(onence_url(&sandbox)).send().await.unwrap();
    assert_eq!(get.status(), 405);
    let body = json!({ "grant_type": "client_credentials", "padding": "x".repeat(70_000) });
    assert_eq!(ask_onence(&sandbox).json::<Value>(&body).send().await.unwrap().status(), 413);
}
