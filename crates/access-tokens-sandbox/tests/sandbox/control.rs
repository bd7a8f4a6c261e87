//! The control endpoint.

use access_tokens_sandbox::{Endpoint, EndpointFault, Fault, Sandbox};
use serde_json::{Value, json};

use crate::clients::{ask_onence, ask_worldline, http, json_of, token, visit};

async fn post(sandbox: &Sandbox, path: &str, body: &str) -> (u16, Value) {
    let request = http().post(format!("{}/_sandbox/{path}", sandbox.url())).body(body.to_owned());
    let request = request.header("content-type", "application/json");
    let (status, answer) = json_of(request.send().await.unwrap()).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn the_state_shows_counters_and_faults_and_no_secret() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Worldline, Fault::status(503).times(2)).unwrap();
    let token = token(ask_onence(&sandbox)).await;
    ask_worldline(&sandbox).send().await.unwrap();
    visit(&sandbox, &token).await;
    visit(&sandbox, "nonsense").await;

    let text = http().get(format!("{}/_sandbox", sandbox.url())).send().await.unwrap();
    let text = text.text().await.unwrap();
    let mut state: Value = serde_json::from_str(&text).unwrap();
    assert!(state["connections"].take().as_u64().unwrap() >= 1);
    let expected = json!({
        "requests": { "onence": 1, "worldline": 1, "resource": 2 },
        "tokens_issued": 1,
        "refused": { "missing": 0, "unknown": 1, "expired": 0, "revoked": 0 },
        "connections": null,
        "faults": [{ "endpoint": "worldline", "status": 503, "times": 1 }],
    });
    assert_eq!(state, expected);
    for secret in [token.as_str(), "sandbox-password", "sandbox-secret", "PRIVATE KEY"] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test]
async fn faults_are_queued_one_by_one_or_as_a_list() {
    let sandbox = Sandbox::start().await.unwrap();
    let one = r#"{"endpoint":"onence","status":503,"retry_after":5,"times":3}"#;
    assert_eq!(post(&sandbox, "faults", one).await, (200, json!({ "queued": 1 })));
    let list = r#"[{"endpoint":"worldline","latency_ms":500,"lasting_ms":10000},{"endpoint":"resource","reset":true}]"#;
    assert_eq!(post(&sandbox, "faults", list).await, (200, json!({ "queued": 2 })));
    let queued = sandbox.faults();
    let endpoints: Vec<Endpoint> = queued.iter().map(|queued| queued.endpoint).collect();
    assert_eq!(endpoints, [Endpoint::Onence, Endpoint::Worldline, Endpoint::Resource]);
    assert_eq!(queued[0].fault, Fault::status(503).retry_after(5).times(3));
    assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), 503);

    let delete = http().delete(format!("{}/_sandbox/faults", sandbox.url()));
    assert_eq!(json_of(delete.send().await.unwrap()).await.1, json!({ "cleared": 3 }));
    assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    let cases = [
        ("faults", "", "not JSON: "),
        ("faults", "status=503", "not JSON: "),
        ("faults", "5", "invalid type: integer `5`, expected a map"),
        ("faults", r#"{"status":503}"#, "missing field `endpoint`"),
        ("faults", r#"{"endpoint":"x","status":503}"#, "unknown variant `x`, expected one of `onence`"),
        ("faults", r#"{"endpoint":"onence"}"#, "a fault needs one effect"),
        ("faults", r#"{"endpoint":"onence","stauts":503}"#, "unknown field `stauts`, expected one of `status`"),
        ("faults", r#"{"endpoint":"onence","status":"503"}"#, "invalid type: string \"503\", expected u16"),
        ("faults", r#"{"endpoint":"onence","status":503,"retry_after":-1}"#, "seconds, or text"),
        ("faults", r#"{"endpoint":"onence","latency_ms":-5}"#, "invalid value: integer `-5`, expected u64"),
        (
            "faults",
            r#"[{"endpoint":"onence","status":503},{"endpoint":"onence","status":1}]"#,
            "fault 2: `status` must be from 200 to 599",
        ),
        ("revoke", "{}", "give either"),
        ("revoke", r#"{"token":"x","all":true}"#, "give either"),
        ("revoke", r#"{"tokens":"x"}"#, "unknown field `tokens`, expected `token` or `all`"),
        ("revoke", "x", "not JSON: "),
    ];
    let huge = " ".repeat(64 * 1024 + 1);
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_onence(&sandbox)).await;
    for (path, body, error) in cases {
        let (status, answer) = post(&sandbox, path, body).await;
        assert_eq!(status, 400, "{body}");
        let message = answer["error"].as_str().unwrap();
        assert!(message.starts_with(error), "{body}: {message}");
    }
    let (status, answer) = post(&sandbox, "faults", &huge).await;
    assert_eq!((status, answer["error"].as_str().unwrap().contains("at most 64 KiB")), (413, true), "{answer}");
    assert!(sandbox.faults().is_empty());
    assert_eq!(visit(&sandbox, &token).await, 200);
}

#[tokio::test]
async fn tokens_are_revoked_one_by_one_or_all() {
    let sandbox = Sandbox::start().await.unwrap();
    let (one, other) = (token(ask_onence(&sandbox)).await, token(ask_worldline(&sandbox)).await);
    let body = json!({ "token": one }).to_string();
    assert_eq!(post(&sandbox, "revoke", &body).await, (200, json!({ "revoked": 1 })));
    assert_eq!(post(&sandbox, "revoke", &body).await, (200, json!({ "revoked": 0 })));
    assert_eq!(
        (visit(&sandbox, &one).await, visit(&sandbox, &other).await),
        (401.try_into().unwrap(), 200.try_into().unwrap())
    );
    assert_eq!(post(&sandbox, "revoke", r#"{"all":true}"#).await, (200, json!({ "revoked": 1 })));
    assert_eq!(visit(&sandbox, &other).await, 401);
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_what_there_is() {
    let sandbox = Sandbox::start().await.unwrap();
    let response = http().get(format!("{}/nothing", sandbox.url())).send().await.unwrap();
    let (status, answer) = json_of(response).await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().contains("/_sandbox"));
}

#[tokio::test]
async fn another_method_is_answered_with_what_is_allowed() {
    let sandbox = Sandbox::start().await.unwrap();
    let response = http().put(format!("{}/_sandbox/faults", sandbox.url())).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "POST,DELETE");
    let (status, answer) = json_of(response).await;
    assert_eq!((status.as_u16(), answer), (405, json!({ "error": "this path doesn't take the method; see Allow" })));
}

#[test]
fn an_order_survives_json() {
    let order = EndpointFault { endpoint: Endpoint::Resource, fault: Fault::reset().times(2) };
    let json = serde_json::to_string(&order).unwrap();
    assert_eq!(json, r#"{"endpoint":"resource","reset":true,"times":2}"#);
    assert_eq!(serde_json::from_str::<EndpointFault>(&json).unwrap(), order);
}
