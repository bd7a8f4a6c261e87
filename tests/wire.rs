//! The three requests as they go out: method, path, headers and exact body.
#![cfg(test)]

mod support;

use access_tokens::{Identity, TokenEndpoint, assertion::ClientAssertion};
use access_tokens_sandbox::Sandbox;
use support::{Server, decoded, token_response};

#[tokio::test]
async fn onence_basic() {
    let server = Server::answering(token_response(serde_json::json!({}))).await;
    server.onence().exchange().await.unwrap();
    let request = sent(&server);
    // printf '%s' 'a@b.example:open sesame: planted-password' | base64
    assert!(request.contains("authorization: Basic YUBiLmV4YW1wbGU6b3BlbiBzZXNhbWU6IHBsYW50ZWQtcGFzc3dvcmQ=\n"));
    insta::assert_snapshot!("onence_basic", request);
}

#[tokio::test]
async fn worldline_client_secret() {
    let server = Server::answering(token_response(serde_json::json!({}))).await;
    server.worldline().exchange().await.unwrap();
    insta::assert_snapshot!("worldline_client_secret", sent(&server));
}

#[tokio::test]
async fn worldline_client_assertion() {
    let keys = Sandbox::start().await.unwrap();
    let identity = Identity::new(keys.signing_key_pem(), Some(keys.signing_cert_pem().as_ref()), None).unwrap();
    let credentials = ClientAssertion::new("Worldline-000021", identity).unwrap();
    let server = Server::answering(token_response(serde_json::json!({}))).await;
    server.worldline_with(credentials).exchange().await.unwrap();

    let request = sent(&server);
    let (before, assertion) =
        request.split_once("&client_assertion=").or(request.split_once("client_assertion=")).unwrap();
    let assertion = assertion.split('&').next().unwrap();
    assert!(assertion.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{assertion}");
    assert!(before.contains("POST"));
    let length = request.split_once("\n\n").unwrap().1.len().to_string();
    insta::assert_snapshot!(
        "worldline_client_assertion",
        request.replace(assertion, "[JWT]").replace(&length, "[LENGTH]")
    );

    let (header, claims) = decoded(assertion);
    let mut shown = format!("header {header}\nclaims {claims}\n").replace(&server.url, "http://[HOST]");
    for (changing, place) in
        [(&header["kid"], "[KID]"), (&claims["jti"], "[JTI]"), (&claims["iat"], "[IAT]"), (&claims["exp"], "[EXP]")]
    {
        shown = shown.replace(changing.to_string().trim_matches('"'), place);
    }
    insta::assert_snapshot!("worldline_client_assertion_jwt", shown);
}

/// The one request, line breaks as people read them, the port taken out.
fn sent(server: &Server) -> String {
    let [request] = &server.requests()[..] else { panic!("one request") };
    request.replace(server.url.trim_start_matches("http://"), "[HOST]").replace("\r\n", "\n")
}
