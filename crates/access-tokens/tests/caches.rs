//! A set of caches for many tenants.

#![cfg(test)]

use std::time::Duration;

use access_tokens::{
    Clock, Error, ErrorKind, Identity, TokenCaches, TokenId, Transport, assertion::ClientAssertion, onence,
    testing::FixedEndpoint, worldline,
};
use access_tokens_sandbox::{Endpoint, Sandbox};
use tokio::time::sleep;

fn key(tenant: &str) -> TokenId {
    TokenId::new("fixed", "https://id.example", tenant, b"secret")
}

fn endpoint() -> Result<FixedEndpoint, Error> {
    FixedEndpoint::new("mF_9.B5f-4.1JqM")
}

fn unexpected() -> Result<FixedEndpoint, Error> {
    panic!("there is a cache for it")
}

#[test]
fn what_makes_a_token_another_makes_the_id_another() {
    let client = |base_url: &str, realm: &str, scope: &str, id: &str, secret: &str| {
        let credentials = worldline::ClientSecret::new(id, secret);
        let realm = worldline::Realm::new(realm).unwrap();
        worldline::Client::builder(base_url, realm, scope.parse().unwrap(), credentials).token_id().unwrap()
    };
    let one = client("https://a.example/auth", "r", "VOP WERO", "id", "secret");
    assert_eq!(one, client("https://a.example/auth", "r", "VOP WERO", "id", "secret"));
    assert_eq!(
        one,
        client("https://a.example/auth/", "r", "WERO  VOP VOP", "id", "secret"),
        "the same, otherwise said"
    );
    let others = [
        client("https://b.example/auth", "r", "VOP WERO", "id", "secret"),
        client("https://a.example/auth", "s", "VOP WERO", "id", "secret"),
        client("https://a.example/auth", "r", "VOP", "id", "secret"),
        client("https://a.example/auth", "r", "VOP WERO", "di", "secret"),
        client("https://a.example/auth", "r", "VOP WERO", "id", "Secret"),
        onence::Client::builder(onence::Credentials::new("id", "secret"))
            .base_url("https://a.example/auth")
            .token_id()
            .unwrap(),
    ];
    for other in &others {
        assert_ne!(one, *other);
    }
    // The same token, but by another way: a tenant that changes it gets a new cache.
    let credentials = worldline::ClientSecret::new("id", "secret");
    let (realm, scopes) = ("r".parse().unwrap(), "VOP WERO".parse().unwrap());
    let transport = Transport::new().proxy("http://proxy.example:3128");
    let client = worldline::Client::builder("https://a.example/auth", realm, scopes, credentials).transport(transport);
    assert_ne!(one, client.token_id().unwrap());
    assert!(!format!("{one:?}").contains("secret"));
}

#[tokio::test]
async fn assertions_of_two_keys_are_two_tenants() {
    let sandbox = Sandbox::start().await.unwrap();
    let assertion = |id: &str| {
        let (key, certificate) = (sandbox.signing_key_pem(), sandbox.signing_cert_pem());
        let assertion =
            ClientAssertion::new(id, Identity::new(key, Some(certificate.as_ref()), None).unwrap()).unwrap();
        let realm = worldline::Realm::new("sandbox").unwrap();
        let scopes = "VOP".parse().unwrap();
        worldline::Client::builder(sandbox.worldline_base_url(), realm, scopes, assertion).token_id().unwrap()
    };
    assert_eq!(assertion("one"), assertion("one"));
    assert_ne!(assertion("one"), assertion("two"));
}

#[tokio::test]
async fn a_tenant_has_one_cache_however_often_it_is_asked_for() {
    let sandbox = Sandbox::start().await.unwrap();
    let settings = |password: &str| {
        let credentials = onence::Credentials::new(sandbox.onence().username.clone(), password);
        onence::Client::builder(credentials).base_url(sandbox.onence_base_url())
    };
    let caches = TokenCaches::new();
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (caches, settings) = (caches.clone(), settings("sandbox-password"));
            tokio::spawn(async move {
                let cache = caches.get_or_build(settings.token_id()?, || settings.build())?;
                cache.token().await.map(drop)
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!((caches.len(), sandbox.requests(Endpoint::Onence)), (1, 1));

    // Somebody who knows the name alone gets nothing.
    let settings = settings("a guess");
    let cache = caches.get_or_build(settings.token_id().unwrap(), || settings.build()).unwrap();
    assert_eq!(cache.token().await.unwrap_err().kind(), ErrorKind::Credentials);
}

#[test]
fn a_client_that_cant_be_built_leaves_the_set_as_it_was() {
    let caches = TokenCaches::new();
    let failed = || Err::<FixedEndpoint, _>(Error::new(ErrorKind::Configuration, "no such tenant"));
    assert_eq!(caches.get_or_build(key("a"), failed).unwrap_err().to_string(), "no such tenant");
    assert!(caches.is_empty());
    assert!(TokenCaches::builder().limit(0).build().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_one_asked_for_longest_ago_makes_room() {
    let caches = TokenCaches::builder().limit(3).clock(Clock::tokio()).build().unwrap();
    for tenant in ["a", "b", "c", "a", "d"] {
        sleep(Duration::from_secs(1)).await;
        caches.get_or_build(key(tenant), endpoint).unwrap();
    }
    assert_eq!(caches.len(), 3);
    for kept in ["a", "c", "d"] {
        caches.get_or_build(key(kept), unexpected).unwrap();
    }
    assert!(!caches.remove(&key("b")));
    assert!(caches.remove(&key("a")));
}

#[tokio::test(start_paused = true)]
async fn idle_ones_go_and_live_on_with_those_who_hold_them() {
    let caches = TokenCaches::builder().idle(Duration::from_secs(3600)).clock(Clock::tokio()).build().unwrap();
    let held = caches.get_or_build(key("held"), endpoint).unwrap();
    caches.get_or_build(key("idle"), endpoint).unwrap();
    let mut idle = caches.get_or_build(key("idle"), unexpected).unwrap().subscribe();
    for _ in 0..6 {
        sleep(Duration::from_secs(900)).await;
        caches.get_or_build(key("busy"), endpoint).unwrap();
    }
    assert_eq!(caches.len(), 1);
    assert!(idle.changed().await.is_none(), "nobody holds it");
    assert_eq!(held.token().await.unwrap().secret(), "mF_9.B5f-4.1JqM");
}
