//! The facade against the sandbox: all three ways to authenticate, and what goes wrong on the way.
#![cfg(test)]

use std::time::Duration;

use access_tokens::{
    AccessToken, ErrorKind, Identity, TokenEndpoint, Transport, assertion::ClientAssertion, onence, worldline,
};
use access_tokens_sandbox::{self as sandbox, Endpoint, Fault, Sandbox};

#[tokio::test]
async fn every_way_to_authenticate_gives_a_token_that_the_resource_accepts() {
    let sandbox = Sandbox::start().await.unwrap();
    for (client, scopes) in [
        (onence(&sandbox), "all"),
        (with_secret(&sandbox, "sandbox-secret"), "VOP WERO"),
        (with_assertion(&sandbox), "VOP WERO"),
    ] {
        let token = client.exchange().await.unwrap();
        assert_eq!(token.scopes().to_string(), scopes);
        assert!(token.remaining().unwrap() > Duration::from_secs(290));
        assert_eq!(resource(&sandbox, &token).await, 200);
        sandbox.revoke(token.secret());
        assert_eq!(resource(&sandbox, &token).await, 401);
    }
}

#[tokio::test]
async fn either_spelling_of_1nce_gives_the_same() {
    for spelling in [sandbox::Spelling::Schema, sandbox::Spelling::Example] {
        let settings = sandbox::Onence { spelling, user_id: 4711.into(), ..Default::default() };
        let sandbox = Sandbox::builder().onence(settings).start().await.unwrap();
        let token = onence(&sandbox).exchange().await.unwrap();
        assert_eq!((token.user_id(), token.scopes().to_string().as_str()), (Some("4711"), "all"));
    }
}

#[tokio::test]
async fn onence_may_answer_with_the_same_token_again() {
    for (tokens, same) in
        [(sandbox::Tokens::New, false), (sandbox::Tokens::ServerCached { rounding: sandbox::Rounding::Down }, true)]
    {
        let sandbox =
            Sandbox::builder().onence(sandbox::Onence { tokens, ..Default::default() }).start().await.unwrap();
        let client = onence(&sandbox);
        let (first, second) = (client.exchange().await.unwrap(), client.exchange().await.unwrap());
        assert_eq!(first.secret() == second.secret(), same);
        assert_eq!(resource(&sandbox, &first).await, 200);
        assert_eq!(resource(&sandbox, &second).await, 200);
    }
}

#[tokio::test]
async fn a_secret_of_any_characters_arrives_intact() {
    let secret = "p@ss w+rd&=%é";
    let username = "a@b.example";
    let client =
        sandbox::Client { client_id: "sandbox-client".into(), auth: sandbox::ClientAuth::Secret(secret.into()) };
    let sandbox = Sandbox::builder()
        .onence(sandbox::Onence {
            username: username.into(),
            password: format!("{secret}:{secret}"),
            ..Default::default()
        })
        .worldline(sandbox::Worldline { clients: vec![client], ..Default::default() })
        .start()
        .await
        .unwrap();
    let credentials = onence::Credentials::new(username, format!("{secret}:{secret}"));
    let onence = onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap();
    onence.exchange().await.unwrap();
    let token = with_secret(&sandbox, secret).exchange().await.unwrap();
    assert_eq!(token.scopes().to_string(), "VOP WERO");
}

#[tokio::test]
async fn rejections_say_whose_move_it_is() {
    let sandbox = Sandbox::start().await.unwrap();
    let worldline = |realm: &str, scopes: &str, id: &str, secret: &str| {
        let credentials = worldline::ClientSecret::new(id, secret);
        let realm = realm.parse().unwrap();
        let client =
            worldline::Client::builder(sandbox.worldline_base_url(), realm, scopes.parse().unwrap(), credentials);
        Box::new(client.build().unwrap())
    };
    let wrong = onence::Credentials::new("sandbox@1nce.example", "wrong");
    let wrong = onence::Client::builder(wrong).base_url(sandbox.onence_base_url()).build().unwrap();
    let identity = Identity::new(sandbox.signing_key_pem(), Some(sandbox.signing_cert_pem().as_ref()), None).unwrap();
    let stranger = ClientAssertion::new("sandbox-client", identity);
    type Case<'a> = (Box<dyn TokenEndpoint>, ErrorKind, u16, Option<&'a str>);
    let cases: Vec<Case> = vec![
        (Box::new(wrong), ErrorKind::Credentials, 400, Some("BadCredentials")),
        (
            worldline("sandbox", "VOP", "sandbox-client", "wrong"),
            ErrorKind::Credentials,
            401,
            Some("unauthorized_client"),
        ),
        (worldline("sandbox", "VOP", "nobody", "wrong"), ErrorKind::Credentials, 401, Some("invalid_client")),
        (
            worldline("sandbox", "IDEAL", "sandbox-client", "sandbox-secret"),
            ErrorKind::Request,
            400,
            Some("invalid_scope"),
        ),
        (worldline("elsewhere", "VOP", "sandbox-client", "sandbox-secret"), ErrorKind::Request, 404, None),
        (with_credentials(&sandbox, stranger.unwrap()), ErrorKind::Credentials, 400, Some("invalid_client")),
    ];
    for (client, kind, status, code) in cases {
        let error = client.exchange().await.unwrap_err();
        assert_eq!((error.kind(), error.status(), error.code()), (kind, Some(status), code), "{client:?}");
        assert_eq!(error.provider(), Some(client.provider()));
    }
}

#[tokio::test]
async fn faults_on_the_way_have_their_kind() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = |timeout| {
        let credentials = onence::Credentials::new("sandbox@1nce.example", "sandbox-password");
        let client = onence::Client::builder(credentials).base_url(sandbox.onence_base_url());
        client.transport(Transport::new().timeout(timeout)).build().unwrap()
    };
    let (patient, hasty) = (client(Duration::from_secs(60)), client(Duration::from_millis(500)));
    let cases = [
        (Fault::status(503).into(), ErrorKind::Unavailable),
        (Fault::status(503).retry_after(5).into(), ErrorKind::Throttled),
        (Fault::reset(), ErrorKind::Unavailable),
        (Fault::latency(Duration::from_secs(5)), ErrorKind::Unavailable),
        (Fault::truncated(), ErrorKind::Unavailable),
        (Fault::garbage(), ErrorKind::Contract),
        (Fault::oversized(1 << 20), ErrorKind::Contract),
        (Fault::endless(), ErrorKind::Contract),
        (Fault::without_token(), ErrorKind::Contract),
        (Fault::wrong_token_type("mac"), ErrorKind::Contract),
        (Fault::redirect(307, "http://127.0.0.1:1/").into(), ErrorKind::Contract),
    ];
    for (fault, kind) in cases {
        sandbox.fault(Endpoint::Onence, fault.clone()).unwrap();
        let late = fault == Fault::latency(Duration::from_secs(5));
        let error = if late { &hasty } else { &patient }.exchange().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error:?}");
    }
    patient.exchange().await.unwrap();
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = onence(&sandbox);
    sandbox.stop().await;
    let error = client.exchange().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable() && error.status().is_none());
    assert!(error.to_string().contains("can't be reached"), "{error}");
}

#[tokio::test]
async fn however_long_a_life_is_asked_for_the_claims_are_numbers() {
    let sandbox = Sandbox::start().await.unwrap();
    with_credentials(&sandbox, assertion(&sandbox).lifetime(Duration::MAX)).exchange().await.unwrap();
}

fn onence(sandbox: &Sandbox) -> Box<dyn TokenEndpoint> {
    let credentials = onence::Credentials::new("sandbox@1nce.example", "sandbox-password");
    Box::new(onence::Client::builder(credentials).base_url(sandbox.onence_base_url()).build().unwrap())
}

fn with_secret(sandbox: &Sandbox, secret: &str) -> Box<dyn TokenEndpoint> {
    with_credentials(sandbox, worldline::ClientSecret::new("sandbox-client", secret))
}

fn with_assertion(sandbox: &Sandbox) -> Box<dyn TokenEndpoint> {
    with_credentials(sandbox, assertion(sandbox))
}

fn assertion(sandbox: &Sandbox) -> ClientAssertion {
    let identity = Identity::new(sandbox.signing_key_pem(), Some(sandbox.signing_cert_pem().as_ref()), None).unwrap();
    ClientAssertion::new("sandbox-jwt-client", identity).unwrap()
}

fn with_credentials(sandbox: &Sandbox, credentials: impl Into<worldline::Credentials>) -> Box<dyn TokenEndpoint> {
    let (realm, scopes) = ("sandbox".parse().unwrap(), "VOP WERO".parse().unwrap());
    Box::new(worldline::Client::builder(sandbox.worldline_base_url(), realm, scopes, credentials).build().unwrap())
}

async fn resource(sandbox: &Sandbox, token: &AccessToken) -> u16 {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.get(sandbox.resource_url()).header("authorization", token.header());
    request.send().await.unwrap().status().as_u16()
}
