//! Worldline's token endpoint, with a client secret. Assertions have a file of their own.

use std::time::Duration;

use access_tokens_sandbox::{Client, ClientAuth, Sandbox, Worldline};
use serde_json::json;

use crate::clients::{SECRET_FORM, ask_worldline, http, json_of, realm_url, secret_form_with, worldline_url};

#[tokio::test]
async fn a_right_request_gets_a_token() {
    let sandbox = Sandbox::start().await.unwrap();
    let response = ask_worldline(&sandbox).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["pragma"], "no-cache");
    let (status, mut answer) = json_of(response).await;
    assert_eq!(status, 200);
    assert_eq!(answer["access_token"].take().as_str().unwrap().len(), 1200);
    let rest = json!({
        "access_token": null, "expires_in": 300, "refresh_expires_in": 0, "token_type": "Bearer",
        "not-before-policy": 0, "scope": "VOP WERO",
    });
    assert_eq!(answer, rest);
}

#[tokio::test]
async fn a_wrong_form_gets_keycloaks_answer() {
    const CREDENTIALS: &str = "Invalid client or Invalid client credentials";
    let cases = [
        ("grant_type", None, 400, "invalid_request", "Missing form parameter: grant_type"),
        ("grant_type", Some("password"), 400, "unsupported_grant_type", "Unsupported grant_type"),
        ("client_id", None, 400, "invalid_client", "Missing client_id parameter"),
        ("client_id", Some("nobody"), 401, "invalid_client", CREDENTIALS),
        ("client_id", Some("sandbox-jwt-client"), 401, "invalid_client", CREDENTIALS),
        ("client_secret", None, 401, "unauthorized_client", CREDENTIALS),
        ("client_secret", Some("wrong"), 401, "unauthorized_client", CREDENTIALS),
        ("scope", Some("IDEAL"), 400, "invalid_scope", "Invalid scopes: IDEAL"),
        ("scope", Some("VOP IDEAL"), 400, "invalid_scope", "Invalid scopes: VOP IDEAL"),
    ];
    let sandbox = Sandbox::start().await.unwrap();
    for (name, value, status, error, description) in cases {
        let form = secret_form_with(name, value);
        let response = http().post(worldline_url(&sandbox)).form(&form).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{name} {value:?}");
        let answer = json_of(response).await;
        let expected = json!({ "error": error, "error_description": description });
        assert_eq!((answer.0.as_u16(), answer.1), (status, expected), "{name} {value:?}");
    }
    assert_eq!(sandbox.tokens_issued(), 0);
}

#[tokio::test]
async fn a_parameter_twice_is_refused_even_with_the_same_value() {
    let sandbox = Sandbox::start().await.unwrap();
    for (name, value) in SECRET_FORM {
        let mut form = SECRET_FORM.to_vec();
        form.push((name, value));
        let response = http().post(worldline_url(&sandbox)).form(&form).send().await.unwrap();
        let expected = json!({ "error": "invalid_request", "error_description": "duplicated parameter" });
        assert_eq!(json_of(response).await, (400.try_into().unwrap(), expected), "{name}");
    }
}

#[tokio::test]
async fn method_realm_and_content_type_come_first() {
    let sandbox = Sandbox::start().await.unwrap();
    let url = worldline_url(&sandbox);

    let get = http().get(&url).send().await.unwrap();
    assert_eq!((get.status().as_u16(), &get.headers()["allow"]), (405, &"POST".parse().unwrap()));

    let elsewhere = url.replace("/realms/sandbox/", "/realms/other/");
    let (status, answer) = json_of(http().post(elsewhere).form(&SECRET_FORM).send().await.unwrap()).await;
    assert_eq!((status.as_u16(), answer), (404, json!({ "error": "Realm does not exist" })));

    let as_json = json!({ "grant_type": "client_credentials" });
    assert_eq!(http().post(&url).json(&as_json).send().await.unwrap().status(), 415);
    assert_eq!(http().post(&url).send().await.unwrap().status(), 415);

    let huge = secret_form_with("scope", Some(&"x".repeat(70_000)));
    assert_eq!(http().post(&url).form(&huge).send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_secret_arrives_as_any_form_decoder_reads_it() {
    let secret = "p@ss w+rd&=%é";
    let settings = Worldline {
        clients: vec![Client { client_id: "Worldline-000021".into(), auth: ClientAuth::Secret(secret.into()) }],
        ..Worldline::default()
    };
    let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
    for body in [
        "grant_type=client_credentials&client_id=Worldline-000021&client_secret=p%40ss+w%2Brd%26%3D%25%C3%A9",
        "grant_type=client_credentials&client_id=Worldline%2D000021&client_secret=p%40ss%20w%2brd%26%3d%25%c3%a9",
    ] {
        let request = http()
            .post(worldline_url(&sandbox))
            .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
            .body(body);
        assert_eq!(request.send().await.unwrap().status(), 200, "{body}");
    }
}

#[tokio::test]
async fn scopes_are_granted_as_set() {
    let scope_of = async |settings: Worldline, asked: Option<&str>| {
        let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
        let form = secret_form_with("scope", asked);
        let (_, answer) = json_of(http().post(worldline_url(&sandbox)).form(&form).send().await.unwrap()).await;
        answer["scope"].as_str().unwrap().to_owned()
    };
    let fewer = Worldline { granted_scopes: Some(vec!["VOP".into()]), ..Worldline::default() };
    assert_eq!(scope_of(Worldline::default(), Some("WERO")).await, "WERO");
    assert_eq!(scope_of(Worldline::default(), Some(" WERO  VOP ")).await, "WERO VOP");
    assert_eq!(scope_of(Worldline::default(), None).await, "VOP WERO");
    assert_eq!(scope_of(fewer, Some("VOP WERO")).await, "VOP");
}

#[tokio::test]
async fn settings_change_the_answer() {
    let extra = json!({ "id_token": "eyJ", "session_state": "s", "expires_in": "45" });
    let settings = Worldline {
        realm: "my realm".into(),
        lifetime: Duration::from_secs(45),
        extra: extra.as_object().unwrap().clone(),
        ..Worldline::default()
    };
    let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
    let url = realm_url(&sandbox).replace("/sandbox", "/my%20realm");
    let url = format!("{url}/protocol/openid-connect/token");
    let (status, answer) = json_of(http().post(url).form(&SECRET_FORM).send().await.unwrap()).await;
    assert_eq!(status, 200);
    for (name, value) in extra.as_object().unwrap() {
        assert_eq!(&answer[name], value, "{name}");
    }
}
