//! The clients that the tests use: the right request of each kind, to be sent as it is or with a change.

use std::time::Duration;

use access_tokens_sandbox::Sandbox;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One that follows no redirect, as a token client must be.
pub(crate) fn http() -> Client {
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(10)).no_proxy().build().unwrap()
}

pub(crate) fn onence_url(sandbox: &Sandbox) -> String {
    format!("{}/oauth/token", sandbox.onence_base_url())
}

pub(crate) fn worldline_url(sandbox: &Sandbox) -> String {
    format!("{}/protocol/openid-connect/token", realm_url(sandbox))
}

pub(crate) fn realm_url(sandbox: &Sandbox) -> String {
    format!("{}/realms/sandbox", sandbox.worldline_base_url())
}

/// The right 1NCE request.
pub(crate) fn ask_onence(sandbox: &Sandbox) -> RequestBuilder {
    http()
        .post(onence_url(sandbox))
        .basic_auth("sandbox@1nce.example", Some("sandbox-password"))
        .json(&json!({ "grant_type": "client_credentials" }))
}

/// The right Worldline form with a secret.
pub(crate) const SECRET_FORM: [(&str, &str); 4] = [
    ("grant_type", "client_credentials"),
    ("scope", "VOP WERO"),
    ("client_id", "sandbox-client"),
    ("client_secret", "sandbox-secret"),
];

/// The right Worldline request with a secret.
pub(crate) fn ask_worldline(sandbox: &Sandbox) -> RequestBuilder {
    http().post(worldline_url(sandbox)).form(&SECRET_FORM)
}

/// `SECRET_FORM` with one parameter set, or left out.
pub(crate) fn secret_form_with(name: &str, value: Option<&str>) -> Vec<(String, String)> {
    let mut form: Vec<(String, String)> =
        SECRET_FORM.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    form.retain(|(given, _)| given != name);
    form.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    form
}

pub(crate) async fn json_of(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    (status, response.json().await.unwrap())
}

/// A token of either endpoint, from its right request.
pub(crate) async fn token(ask: RequestBuilder) -> String {
    let (status, answer) = json_of(ask.send().await.unwrap()).await;
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The resource's status for a token.
pub(crate) async fn visit(sandbox: &Sandbox, token: &str) -> StatusCode {
    http().get(sandbox.resource_url()).bearer_auth(token).send().await.unwrap().status()
}

/// Sends bytes to the sandbox and gives the connection, for what an HTTP client would hide.
pub(crate) async fn raw(sandbox: &Sandbox, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sandbox.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The right Worldline request, byte by byte.
pub(crate) fn raw_worldline_request() -> String {
    let body = "grant_type=client_credentials&scope=VOP+WERO&client_id=sandbox-client&client_secret=sandbox-secret";
    format!(
        "POST /auth/realms/sandbox/protocol/openid-connect/token HTTP/1.1\r\nHost: sandbox\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads until the connection ends, for at most ten seconds.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, std::io::Result<()>) {
    let mut read = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut read))
        .await
        .expect("the connection ends");
    (read, end.map(|_| ()))
}

/// Waits up to ten seconds for something that happens soon.
pub(crate) async fn soon(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} didn't happen within ten seconds");
}
