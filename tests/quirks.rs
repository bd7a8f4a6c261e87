//! One test for each way in which the specs are wrong and we are right: each goes red when the handling is taken out.
#![cfg(test)]

mod support;

use std::time::Duration;

use access_tokens::{ErrorKind, TokenEndpoint, Transport, onence, reqwest::Configure, worldline};
use access_tokens_codegen::generate;
use serde_json::{Value, json as value};
use support::{Server, answer, json, token_response, upstream};

#[tokio::test]
async fn either_spelling_gives_the_user_and_the_scopes() {
    let cases = [
        (value!({ "userId": "u", "scope": "all" }), Some("u"), "all"),
        (value!({ "user_id": "u", "score": "all" }), Some("u"), "all"),
        (value!({ "userId": 4711, "scope": "a b" }), Some("4711"), "a b"),
        (value!({ "user_id": 4711, "score": ["a", "b"] }), Some("4711"), "a b"),
        (value!({ "userId": null, "user_id": "u", "scope": null }), Some("u"), ""),
        (value!({}), None, ""),
    ];
    for (members, user_id, scopes) in cases {
        let token = Server::answering(token_response(members.clone())).await.onence().exchange().await.unwrap();
        assert_eq!((token.user_id(), token.scopes().to_string().as_str()), (user_id, scopes), "{members}");
    }
}

#[tokio::test]
async fn a_member_that_is_missing_stays_missing() {
    let members = value!({ "expires_in": null });
    let token = Server::answering(token_response(members)).await.onence().exchange().await.unwrap();
    assert_eq!((token.expires_in(), token.expires_at(), token.remaining()), (None, None, None));
    assert_eq!((token.user_id(), token.scopes().len()), (None, 0));
}

#[tokio::test]
async fn members_that_nobody_reads_may_have_any_type() {
    for odd in [value!(201), value!("200"), value!(0.0), value!(null), value!([{}])] {
        let members = value!({ "status_code": odd, "refresh_expires_in": odd, "not-before-policy": odd });
        let server = Server::answering(token_response(members)).await;
        server.onence().exchange().await.unwrap();
        server.worldline().exchange().await.unwrap();
    }
}

#[tokio::test]
async fn expires_in_may_be_an_integer_a_float_or_text() {
    const DAY: u64 = 24 * 60 * 60;
    let cases = [
        (value!(3599), Some(3599.0)),
        (value!(3599.5), Some(3599.5)),
        (value!("3599"), Some(3599.0)),
        (value!(" 3599.5 "), Some(3599.5)),
        (value!(31 * DAY), Some((30 * DAY) as f64)),
        (value!(1e300), Some((30 * DAY) as f64)),
        (value!(0), None),
        (value!(1e-300), None),
        (value!(-1), None),
        (value!("0"), None),
        (value!("soon"), None),
        (value!(""), None),
        (value!("NaN"), None),
        (value!("inf"), None),
        (value!(true), None),
        (value!([3600]), None),
    ];
    for (sent, seconds) in cases {
        let server = Server::answering(token_response(value!({ "expires_in": sent }))).await;
        for outcome in [server.onence().exchange().await, server.worldline().exchange().await] {
            match seconds {
                Some(seconds) => {
                    assert_eq!(outcome.unwrap().expires_in(), Some(Duration::from_secs_f64(seconds)), "{sent}");
                }
                None => assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Contract, "{sent}"),
            }
        }
    }
}

#[tokio::test]
async fn an_answer_without_what_rfc_6749_requires_breaks_the_contract() {
    let cases = [
        (value!({ "access_token": null }), "access_token"),
        (value!({ "access_token": "" }), "empty"),
        (value!({ "access_token": "two words" }), "header"),
        (value!({ "access_token": "line\nbreak" }), "header"),
        (value!({ "access_token": "é" }), "header"),
        (value!({ "access_token": 17 }), "token response"),
        (value!({ "token_type": null }), "token_type"),
        (value!({ "token_type": "mac" }), "bearer"),
        (value!({ "token_type": "" }), "bearer"),
    ];
    for (members, message) in cases {
        let server = Server::answering(token_response(members.clone())).await;
        for error in [server.onence().exchange().await, server.worldline().exchange().await].map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Contract, "{members}");
            assert!(error.to_string().contains(message), "{members}: {error}");
        }
    }
    for (body, kind) in
        [("<html>", "text/html"), ("", "application/json"), ("[]", "application/json"), ("null", "application/json")]
    {
        let content_type = format!("content-type: {kind}");
        let server = Server::answering(answer(200, &[&content_type], body)).await;
        assert_eq!(server.onence().exchange().await.unwrap_err().kind(), ErrorKind::Contract, "{body:?}");
    }
}

#[tokio::test]
async fn members_that_rfc_6749_doesnt_require_may_be_missing() {
    let server = Server::answering(json(200, r#"{"access_token":"eyJ.a.b","token_type":"BEARER"}"#)).await;
    server.onence().exchange().await.unwrap();
    let token = server.worldline().exchange().await.unwrap();
    // RFC 6749 section 5.1: without `scope`, what was asked for.
    assert_eq!(token.scopes().to_string(), "VOP WERO");
    assert!(token.missing_scopes().is_empty());
}

#[tokio::test]
async fn members_that_the_server_adds_dont_matter() {
    let members =
        value!({ "id_token": "eyJ", "session_state": "s", "not-before-policy": 1781615413, "x": { "y": [1] } });
    let server = Server::answering(token_response(members)).await;
    server.worldline().exchange().await.unwrap();
    server.onence().exchange().await.unwrap();
}

#[tokio::test]
async fn scopes_are_a_set_whatever_their_order() {
    for scope in [value!("WERO  VOP WERO"), value!(["WERO", "VOP"])] {
        let server = Server::answering(token_response(value!({ "scope": scope }))).await;
        let token = server.worldline().exchange().await.unwrap();
        assert_eq!(token.scopes(), &"VOP WERO".parse().unwrap());
        assert!(token.missing_scopes().is_empty());
    }
}

#[tokio::test]
async fn scopes_that_werent_granted_are_told() {
    let server = Server::answering(token_response(value!({ "scope": "VOP" }))).await;
    let token = server.worldline().exchange().await.unwrap();
    assert_eq!((token.scopes().to_string(), token.missing_scopes().to_string()), ("VOP".to_owned(), "WERO".to_owned()));
}

#[tokio::test]
async fn an_unknown_error_code_is_kept() {
    let body = r#"{"statusCode":400,"errorCode":"AccountLocked","message":"Call us."}"#;
    let error = Server::answering(json(400, body)).await.onence().exchange().await.unwrap_err();
    assert_eq!(onence::ErrorCode::of(&error), Some(onence::ErrorCode::Unknown("AccountLocked".to_owned())));
    assert_eq!((error.kind(), error.description()), (ErrorKind::Request, Some("Call us.")));
    assert_eq!(worldline::ErrorCode::of(&error), None);
}

#[tokio::test]
async fn a_member_of_another_type_loses_no_code() {
    let cases = [
        (
            r#"{"statusCode":"400","errorCode":"BadCredentials","message":["x"]}"#,
            "BadCredentials",
            ErrorKind::Credentials,
        ),
        (r#"{"error":"invalid_client","error_description":{"x":1}}"#, "invalid_client", ErrorKind::Credentials),
        (r#"{"errorCode":"not a code","error":"invalid_client"}"#, "invalid_client", ErrorKind::Credentials),
        (r#"{"errorCode":17,"error":"invalid_scope"}"#, "invalid_scope", ErrorKind::Request),
    ];
    for (body, code, kind) in cases {
        let server = Server::answering(json(400, body)).await;
        for error in [server.onence().exchange().await, server.worldline().exchange().await].map(Result::unwrap_err) {
            assert_eq!((error.code(), error.kind()), (Some(code), kind), "{body}");
        }
    }
    // Even where the secret is as weak as a part of the code.
    let server = Server::answering(json(400, r#"{"error":"invalid_client"}"#)).await;
    let error = server.worldline_with(worldline::ClientSecret::new("id", "client")).exchange().await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_client"));
    // Or is nothing but white space.
    let body = r#"{"error":"new_code","error_description":"a b"}"#;
    let server = Server::answering(json(400, body)).await;
    let error = server.worldline_with(worldline::ClientSecret::new("id", " ")).exchange().await.unwrap_err();
    assert_eq!((error.code(), error.description()), (Some("new_code"), Some("a b")));
}

/// A 400 says by its code whose fault it is; with the code lost, it isn't the caller's.
#[tokio::test]
async fn an_error_answer_that_cant_be_read_to_its_end_blames_nobody() {
    let cut = |status| format!("HTTP/1.1 {status} Bad\r\ncontent-length: 99\r\n\r\n{{\"errorCode\":\"BadCr");
    let long = |status| answer(status, &[], &"x".repeat(64 * 1024 + 1));
    let cases = [
        (cut(400).into_bytes(), 400, ErrorKind::Unavailable),
        (cut(401).into_bytes(), 401, ErrorKind::Credentials),
        (cut(503).into_bytes(), 503, ErrorKind::Unavailable),
        (long(400), 400, ErrorKind::Contract),
        (long(429), 429, ErrorKind::Throttled),
    ];
    for (bytes, status, kind) in cases {
        let error = Server::answering(bytes).await.onence().exchange().await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
    }
}

#[tokio::test]
async fn what_could_steer_a_terminal_is_taken_out() {
    let members = value!({ "scope": "VOP a\u{1b}[2J", "userId": "u\u{1b}[31m\n" });
    let server = Server::answering(token_response(members)).await;
    let token = server.onence().exchange().await.unwrap();
    assert_eq!((token.scopes().to_string().as_str(), token.user_id()), ("VOP [2J a", Some("u[31m")));
    let server = Server::answering(json(400, "{\"error\":\"x\",\"error_description\":\"a\\u001b[2J\\nb\"}")).await;
    assert_eq!(server.onence().exchange().await.unwrap_err().description(), Some("a [2J b"));
}

#[test]
fn outside_of_a_runtime_an_exchange_is_an_error() {
    let client = onence::Client::builder(onence::Credentials::new("u", "p")).base_url("http://127.0.0.1:1").build();
    let client = client.unwrap();
    let mut exchange = client.exchange();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match exchange.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Configuration),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_error_that_isnt_json_keeps_its_status() {
    for body in ["", "<html>Not Found</html>", "{", "[]", "17", r#"{"error":17}"#] {
        let server = Server::answering(answer(404, &["content-type: text/html"], body)).await;
        for error in [server.onence().exchange().await, server.worldline().exchange().await].map(Result::unwrap_err) {
            assert_eq!((error.kind(), error.status(), error.code()), (ErrorKind::Request, Some(404), None), "{body:?}");
        }
    }
}

#[tokio::test]
async fn the_code_decides_and_then_the_status() {
    use ErrorKind::{Contract, Credentials, Request, Throttled, Unavailable};
    let oauth = |code: &str| format!(r#"{{"error":"{code}","error_description":"d"}}"#);
    let onence = |code: &str| format!(r#"{{"statusCode":0,"errorCode":"{code}","message":"m"}}"#);
    let cases: Vec<(u16, &[&str], String, ErrorKind)> = vec![
        (400, &[], oauth("invalid_client"), Credentials),
        (401, &[], oauth("invalid_client"), Credentials),
        (401, &[], oauth("unauthorized_client"), Credentials),
        (403, &[], oauth("access_denied"), Credentials),
        (400, &[], oauth("invalid_scope"), Request),
        (401, &[], oauth("invalid_request"), Request),
        (400, &[], oauth("unsupported_grant_type"), Request),
        (400, &[], onence("BadCredentials"), Credentials),
        (400, &[], onence("AuthValidationError"), Credentials),
        (400, &[], onence("BodyValidationError"), Request),
        (500, &[], onence("BadCredentials"), Unavailable),
        (400, &[], oauth("new_code"), Request),
        (401, &[], oauth("new_code"), Credentials),
        (401, &[], String::new(), Credentials),
        (403, &[], String::new(), Request),
        (404, &[], String::new(), Request),
        (408, &[], String::new(), Unavailable),
        (415, &[], String::new(), Request),
        (429, &[], String::new(), Throttled),
        (429, &["retry-after: 7"], String::new(), Throttled),
        (500, &[], String::new(), Unavailable),
        (503, &[], String::new(), Unavailable),
        (503, &["retry-after: 7"], String::new(), Throttled),
        (503, &["retry-after: soon"], String::new(), Unavailable),
        (204, &[], String::new(), Contract),
        (302, &["location: /"], String::new(), Contract),
    ];
    for (status, headers, body, kind) in cases {
        let server = Server::answering(answer(status, headers, &body)).await;
        // Each provider's client understands the other's shape: a gateway before the server may speak it.
        for error in [server.onence().exchange().await, server.worldline().exchange().await].map(Result::unwrap_err) {
            assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{status} {headers:?} {body}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_seconds_or_a_date_and_capped() {
    let date = "date: Sat, 21 Nov 2026 12:00:00 GMT";
    let cases = [
        (vec!["retry-after: 7"], Some(7)),
        (vec!["retry-after: 0"], Some(0)),
        (vec![date, "retry-after: Sat, 21 Nov 2026 12:01:30 GMT"], Some(90)),
        (vec![date, "retry-after: Sat, 21 Nov 2026 11:00:00 GMT"], Some(0)),
        (vec!["retry-after: 86400"], Some(3600)),
        (vec!["retry-after: 99999999999999999999999"], Some(3600)),
        (vec![date, "retry-after: Sat, 28 Nov 2026 12:00:00 GMT"], Some(3600)),
        (vec!["retry-after: -1"], None),
        (vec!["retry-after: soon"], None),
        (vec![], None),
    ];
    for (headers, seconds) in cases {
        let error = Server::answering(answer(429, &headers, "")).await.onence().exchange().await.unwrap_err();
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{headers:?}");
    }
}

#[test]
fn the_specs_as_published_are_refused_by_preflight() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("specs/onence.openapi.yaml", folder.path().join("onence.openapi.yaml")).unwrap();
    let error = generate(folder.path()).unwrap_err().to_string();
    assert!(error.contains("onence.openapi.yaml"), "{error}");
    assert!(
        error.contains(
            "more than one kind of error response (400: JSON #/components/schemas/Bearer_Token_400; 404: no body)"
        ),
        "{error}"
    );
}

#[test]
fn onences_base_url_is_the_specs_server() {
    assert_eq!(upstream("onence").pointer("/servers/0/url").unwrap(), onence::BASE_URL);
}

#[test]
fn a_relative_base_url_is_refused() {
    let relative = upstream("worldline").pointer("/servers/0/url").unwrap().as_str().unwrap().to_owned();
    let cases = [
        (relative.as_str(), "isn't a URL; write it in full"),
        ("", "is empty"),
        ("http://api.example/auth", "must be https"),
        ("http://127.0.0.1.example/auth", "must be https"),
        ("http://localhost.example/auth", "must be https"),
        ("ftp://localhost/auth", "must be https"),
        ("file:///auth", "must be https"),
        ("https://user:planted-password@api.example/auth", "user name or password"),
        ("https://api.example/auth?x=1", "query"),
        ("https://api.example/auth#x", "fragment"),
    ];
    for (base_url, message) in cases {
        let credentials = worldline::ClientSecret::new("id", "secret");
        let realm = worldline::Realm::new("r").unwrap();
        let error =
            worldline::Client::builder(base_url, realm, "VOP".parse().unwrap(), credentials).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{base_url}");
        assert!(error.to_string().contains(message) && !error.to_string().contains("planted"), "{base_url}: {error}");
    }
    for base_url in [
        "https://api.example/auth/",
        "http://127.0.0.1:1/auth",
        "http://127.8.8.8/auth",
        "http://[::1]/auth",
        "http://localhost/auth",
    ] {
        // With a root of its own, so that a machine without any will do.
        let root = rcgen::generate_simple_self_signed(["api.example".to_owned()]).unwrap().cert.pem();
        let transport = Transport::new().add_roots_pem(root);
        let client = onence::Client::builder(onence::Credentials::new("u", "p")).base_url(base_url);
        client.transport(transport).build().unwrap();
    }
}

#[tokio::test]
async fn a_slash_at_the_end_of_the_base_url_doesnt_double() {
    let server = Server::answering(token_response(value!({}))).await;
    for base_url in [format!("{}/", server.url), format!("{}/x//", server.url)] {
        let credentials = onence::Credentials::new("u", "p");
        onence::Client::builder(credentials).base_url(base_url).build().unwrap().exchange().await.unwrap();
    }
    let lines: Vec<_> = server.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["POST /oauth/token HTTP/1.1", "POST /x/oauth/token HTTP/1.1"]);
}

#[tokio::test]
async fn a_realm_cant_leave_its_segment() {
    for name in
        ["", ".", "..", "../master", "a/b", "a\\b", "a?b", "a#b", "%2e%2e", "a;b", "a\r\nb", "\u{0}", " a", "a\t"]
    {
        let error = worldline::Realm::new(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name:?}");
    }
    // What may be in a name stays one segment.
    for (name, segment) in [("merchant-clients", "merchant-clients"), ("a b", "a%20b"), ("é", "%C3%A9"), ("...", "...")]
    {
        let server = Server::answering(token_response(value!({}))).await;
        let realm = worldline::Realm::new(name).unwrap();
        let credentials = worldline::ClientSecret::new("id", "secret");
        let client =
            worldline::Client::builder(&server.url, realm, "VOP".parse().unwrap(), credentials).build().unwrap();
        client.exchange().await.unwrap();
        let line = server.requests()[0].lines().next().unwrap().to_owned();
        assert_eq!(line, format!("POST /realms/{segment}/protocol/openid-connect/token HTTP/1.1"), "{name:?}");
    }
}

#[tokio::test]
async fn a_redirect_isnt_followed() {
    let elsewhere = Server::answering(token_response(value!({}))).await;
    let location = format!("location: {}/elsewhere", elsewhere.url);
    for status in [301, 302, 303, 307, 308] {
        let server = Server::answering(answer(status, &[&location], "")).await;
        // Not even where the caller's own settings ask for it.
        let transport = Transport::new().configure(|builder| builder.redirect(reqwest::redirect::Policy::limited(3)));
        let insistent =
            onence::Client::builder(onence::Credentials::new("u", "p")).base_url(&server.url).transport(transport);
        for client in [&server.onence() as &dyn TokenEndpoint, &server.worldline(), &insistent.build().unwrap()] {
            let error = client.exchange().await.unwrap_err();
            assert_eq!((error.kind(), error.status()), (ErrorKind::Contract, Some(status)));
        }
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn an_answer_over_the_limit_breaks_the_contract() {
    let padded = |length: usize| {
        let mut body = token_body();
        body["padding"] = Value::String(String::new());
        let missing = length - body.to_string().len();
        body["padding"] = Value::String("x".repeat(missing));
        json(200, &body.to_string())
    };
    Server::answering(padded(64 * 1024)).await.onence().exchange().await.unwrap();
    let error = Server::answering(padded(64 * 1024 + 1)).await.onence().exchange().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Contract);
    assert!(error.to_string().contains("longer than 64 KiB"), "{error}");
}

#[tokio::test]
async fn a_truncated_answer_can_be_tried_again() {
    let mut whole = token_response(value!({}));
    whole.truncate(whole.len() - 10);
    let error = Server::answering(whole).await.worldline().exchange().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
}

/// The environment's proxy must not get a secret in clear: http is for this machine alone.
#[tokio::test]
async fn plain_http_never_goes_through_a_proxy() {
    let proxy = Server::answering(token_response(value!({}))).await;
    let server = Server::answering(token_response(value!({}))).await;
    let transport = Transport::new().proxy(&proxy.url);
    let client = onence::Client::builder(onence::Credentials::new("u", "p")).base_url(&server.url).transport(transport);
    client.build().unwrap().exchange().await.unwrap();
    assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1));
}

fn token_body() -> Value {
    value!({ "access_token": "eyJ.a.b", "token_type": "bearer", "expires_in": 300 })
}
