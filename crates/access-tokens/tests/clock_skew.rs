//! A machine whose clock is off still gets its assertions accepted.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing should say so and stop"
)]

use std::time::Duration;

use access_tokens::{ErrorKind, Identity, TokenEndpoint, assertion::ClientAssertion, worldline};
use access_tokens_sandbox::{Endpoint, Fault, Sandbox};

fn client(sandbox: &Sandbox) -> worldline::Client {
    let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
    let credentials = ClientAssertion::new("sandbox-jwt-client", Identity::new(key, certificate).unwrap()).unwrap();
    let realm = worldline::Realm::new("sandbox").unwrap();
    worldline::Client::builder(sandbox.worldline_base_url(), realm, "VOP".parse().unwrap(), credentials)
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_assertion_that_was_refused_for_its_times_is_followed_by_a_right_one() {
    for skew in [-7200, -90, 90, 7200] {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.fault(Endpoint::Worldline, Fault::clock_skew(skew).until_cleared()).unwrap();
        let client = client(&sandbox);
        let token = client.exchange().await.unwrap();
        assert_eq!(sandbox.requests(Endpoint::Worldline), 2, "{skew} s");
        // What was learnt stays, and a lifetime is no time of day.
        client.exchange().await.unwrap();
        assert_eq!(sandbox.requests(Endpoint::Worldline), 3, "{skew} s");
        assert!(token.remaining().unwrap().abs_diff(token.expires_in().unwrap()) < Duration::from_secs(3));

        // The clock is put right again.
        sandbox.clear_faults();
        client.exchange().await.unwrap();
        assert_eq!(sandbox.requests(Endpoint::Worldline), 5, "{skew} s");
    }
}

#[tokio::test]
async fn a_clock_that_is_right_costs_no_second_request() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = client(&sandbox);
    sandbox.fault(Endpoint::Worldline, Fault::status(400).error("invalid_client").times(2)).unwrap();
    assert_eq!(client.exchange().await.unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(sandbox.requests(Endpoint::Worldline), 1);
    // Nor does a date that is no clock's.
    sandbox.clear_faults();
    sandbox.fault(Endpoint::Worldline, Fault::clock_skew(90 * 86400).until_cleared()).unwrap();
    assert_eq!(client.exchange().await.unwrap_err().kind(), ErrorKind::Credentials);
    assert_eq!(sandbox.requests(Endpoint::Worldline), 2);
}
