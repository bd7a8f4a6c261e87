//! Credentials that change while the sandbox runs.

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Onence, Rounding, Sandbox, StartError, Tokens};
use serde_json::json;

use crate::assertion::{Assertion, fingerprint};
use crate::clients::{ask_onence, ask_worldline, http, onence_url, secret_form_with, token, visit, worldline_url};

fn sha256(secret: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02X}")).collect()
}

fn secret_client(client_id: &str, secret: &str) -> Client {
    Client { client_id: client_id.into(), auth: ClientAuth::Secret(secret.into()) }
}

async fn status_with_password(sandbox: &Sandbox, username: &str, password: &str) -> u16 {
    let request = http().post(onence_url(sandbox)).basic_auth(username, Some(password));
    request.json(&json!({ "grant_type": "client_credentials" })).send().await.unwrap().status().as_u16()
}

async fn status_with_secret(sandbox: &Sandbox, secret: &str) -> u16 {
    let form = secret_form_with("client_secret", Some(secret));
    http().post(worldline_url(sandbox)).form(&form).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_onence_password_changes_while_it_runs() {
    let sandbox = Sandbox::start().await.unwrap();
    assert_eq!(sandbox.last_credential(Endpoint::Onence), None);
    let before = token(ask_onence(&sandbox)).await;
    assert_eq!(sandbox.last_credential(Endpoint::Onence), Some(sha256("sandbox-password")));

    sandbox.set_onence_credentials("new@1nce.example", "new-password");
    let ask = async |username, password| status_with_password(&sandbox, username, password).await;
    assert_eq!(ask("sandbox@1nce.example", "sandbox-password").await, 400);
    assert_eq!(ask("new@1nce.example", "sandbox-password").await, 400);
    assert_eq!(ask("sandbox@1nce.example", "new-password").await, 400);
    assert_eq!(sandbox.last_credential(Endpoint::Onence), Some(sha256("sandbox-password")), "those were refused");
    assert_eq!(ask("new@1nce.example", "new-password").await, 200);
    assert_eq!(sandbox.last_credential(Endpoint::Onence), Some(sha256("new-password")));

    assert_eq!(visit(&sandbox, &before).await, 200);
    assert_eq!(sandbox.onence(), &Onence::default(), "what it started with");
    assert_eq!(sandbox.last_credential(Endpoint::Worldline), None);
    assert_eq!(sandbox.last_credential(Endpoint::Resource), None);
}

#[tokio::test]
async fn a_cached_token_outlives_the_password() {
    let tokens = Tokens::ServerCached { rounding: Rounding::Down };
    let sandbox = Sandbox::builder().onence(Onence { tokens, ..Onence::default() }).start().await.unwrap();
    let before = token(ask_onence(&sandbox)).await;
    sandbox.set_onence_credentials("sandbox@1nce.example", "new-password");
    assert_eq!(status_with_password(&sandbox, "sandbox@1nce.example", "new-password").await, 200);
    assert_eq!(sandbox.tokens_issued(), 1);
    assert_eq!(visit(&sandbox, &before).await, 200);
}

#[tokio::test]
async fn worldline_clients_change_while_it_runs() {
    let sandbox = Sandbox::start().await.unwrap();
    let started_with = sandbox.worldline().clone();
    let before = token(ask_worldline(&sandbox)).await;
    assert_eq!(sandbox.last_credential(Endpoint::Worldline), Some(sha256("sandbox-secret")));
    let assertion = Assertion::right(&sandbox);
    assert_eq!(assertion.send(&sandbox).await.0, 200);
    assert_eq!(sandbox.last_credential(Endpoint::Worldline), Some(fingerprint(sandbox.signing_cert_pem())));

    sandbox.set_worldline_clients(vec![secret_client("sandbox-client", "new-secret")]).unwrap();
    assert_eq!(status_with_secret(&sandbox, "sandbox-secret").await, 401);
    assert_eq!(Assertion::right(&sandbox).send(&sandbox).await.0, 401, "that client is gone");
    assert_eq!(
        sandbox.last_credential(Endpoint::Worldline),
        Some(fingerprint(sandbox.signing_cert_pem())),
        "those were refused"
    );
    assert_eq!(status_with_secret(&sandbox, "new-secret").await, 200);
    assert_eq!(sandbox.last_credential(Endpoint::Worldline), Some(sha256("new-secret")));
    assert_eq!(visit(&sandbox, &before).await, 200);
    assert_eq!(sandbox.worldline(), &started_with, "what it started with");

    // Who is registered again can't use an assertion again.
    sandbox.set_worldline_clients(started_with.clients).unwrap();
    assert_eq!(assertion.send(&sandbox).await.1["error_description"], "Token reuse detected");
    assert_eq!(Assertion::right(&sandbox).send(&sandbox).await.0, 200);
}

#[tokio::test]
async fn a_right_credential_that_gets_no_token_is_not_the_last_one() {
    let sandbox = Sandbox::start().await.unwrap();
    let form = secret_form_with("scope", Some("IDEAL"));
    assert_eq!(http().post(worldline_url(&sandbox)).form(&form).send().await.unwrap().status(), 400);
    assert_eq!(sandbox.last_credential(Endpoint::Worldline), None);
}

#[tokio::test]
async fn clients_that_cannot_be_served_change_nothing() {
    let sandbox = Sandbox::start().await.unwrap();
    let new = || secret_client("sandbox-client", "new-secret");
    let twice = sandbox.set_worldline_clients(vec![new(), new()]).unwrap_err();
    assert!(matches!(&twice, StartError::DuplicateClient(id) if id == "sandbox-client"), "{twice}");
    let unreadable = Client { client_id: "c".into(), auth: ClientAuth::Certificate(vec![]) };
    let unreadable = sandbox.set_worldline_clients(vec![new(), unreadable]).unwrap_err();
    assert!(matches!(&unreadable, StartError::Certificate { client_id, .. } if client_id == "c"), "{unreadable}");
    assert_eq!(status_with_secret(&sandbox, "new-secret").await, 401);
    assert_eq!(status_with_secret(&sandbox, "sandbox-secret").await, 200);
    assert_eq!(Assertion::right(&sandbox).send(&sandbox).await.0, 200);
}
