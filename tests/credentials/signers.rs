//! Keys that only sign, and what is new in every assertion.

use std::{collections::HashSet, time::Duration};

use access_tokens::{
    Error, ErrorKind, Identity, TokenEndpoint,
    assertion::{Algorithm, ClientAssertion, Signer, Signing},
};
use access_tokens_sandbox::{Endpoint, Fault};
use rcgen::{KeyPair, SigningKey};

use crate::{
    exchange::{Bank, CLIENT, steady, verified},
    keys::{KINDS, Kind, fixture, params},
    openssl, support,
};

/// A key in a service or a device.
pub(crate) struct Hsm {
    key: KeyPair,
    algorithm: Algorithm,
    answers: Answers,
}

#[derive(Clone, Copy)]
pub(crate) enum Answers {
    /// ECDSA in DER; other signatures as they are.
    AsMade,
    /// ECDSA as the two numbers one after the other.
    FixedLength,
    /// The same, once with a number that begins with zeros, which DER leaves out.
    Short,
    Nothing,
}

impl Hsm {
    pub(crate) fn new(kind: &Kind, algorithm: Algorithm, answers: Answers) -> Self {
        let key = KeyPair::from_pem(str::from_utf8(&fixture(&format!("{}.pkcs8.pem", kind.name))).unwrap()).unwrap();
        Self { key, algorithm, answers }
    }
}

impl std::fmt::Debug for Hsm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hsm")
    }
}

impl Signer for Hsm {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_name(&self) -> &str {
        "slot 1"
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match self.answers {
                Answers::AsMade => Ok(self.key.sign(message).unwrap()),
                Answers::FixedLength => Ok(fixed(&self.key.sign(message).unwrap())),
                Answers::Short => loop {
                    let signature = self.key.sign(message).unwrap();
                    let fixed = fixed(&signature);
                    if fixed[0] == 0 || fixed[fixed.len() / 2] == 0 {
                        break Ok(signature);
                    }
                },
                Answers::Nothing => Err(Error::new(ErrorKind::Unavailable, "the HSM is away")
                    .with_retry_after(Duration::from_secs(7))
                    .with_source(std::io::Error::other("slot 1 is empty"))),
            }
        })
    }
}

/// The two numbers of an ECDSA signature, each as long as it can be.
fn fixed(der: &[u8]) -> Vec<u8> {
    let length = if der.len() > 80 { 48 } else { 32 };
    // Of so short a sequence every length is one byte, but for the P-384 sequence's.
    let mut rest = if der[1] == 0x81 { &der[3..] } else { &der[2..] };
    let mut fixed = Vec::new();
    for _ in 0..2 {
        let (number, left) = rest[2..].split_at(usize::from(rest[1]));
        let number: Vec<_> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        fixed.extend([vec![0; length - number.len()], number].concat());
        rest = left;
    }
    fixed
}

fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

fn with_certificate(kind: &Kind, hsm: Hsm) -> ClientAssertion {
    ClientAssertion::with_signer(CLIENT, hsm).unwrap().certificates(fixture(&kind.certificate())).unwrap()
}

async fn bank() -> Bank {
    let certificates = KINDS.iter().map(|kind| (kind.name.to_owned(), fixture(&kind.certificate())));
    Bank::knowing(certificates.collect()).await
}

#[tokio::test]
async fn signatures_in_der_and_at_fixed_length_both_become_those_of_a_jws() {
    let bank = bank().await;
    let mut signed = Vec::new();
    for (name, answers) in [
        ("rsa", Answers::AsMade),
        ("ed25519", Answers::AsMade),
        ("p256", Answers::AsMade),
        ("p256", Answers::FixedLength),
        ("p256", Answers::Short),
        ("p384", Answers::AsMade),
        ("p384", Answers::FixedLength),
        ("p384", Answers::Short),
    ] {
        let kind = kind(name);
        let algorithm = kind.algorithms[0];
        let (outcome, jwt) = bank.ask(with_certificate(kind, Hsm::new(kind, algorithm, answers))).await;
        verified(&jwt, &fixture(&kind.certificate()), algorithm.name(), &bank.issuer());
        outcome.unwrap_or_else(|e| panic!("{name}: {:?}", e.description()));
        let length = support::bytes_of(&jwt, 2).len();
        assert_eq!(
            length,
            if name == "rsa" {
                256
            } else if name == "p384" {
                96
            } else {
                64
            }
        );
        signed.push((algorithm.name(), crate::keys::fixtures().join(kind.certificate()), jwt));
    }
    if openssl::is_there("its verification of what signers sign; another library has verified it") {
        assert_eq!(openssl::verify(&signed), 8);
    }
}

#[tokio::test]
async fn a_signer_that_fails_hands_its_error_on_and_nothing_is_sent() {
    let bank = bank().await;
    let kind = kind("p256");
    let client = bank.client(with_certificate(kind, Hsm::new(kind, Algorithm::Es256, Answers::Nothing)));
    let error = client.exchange().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, "the HSM is away"));
    assert!(error.is_retryable());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "slot 1 is empty");
    assert_eq!(bank.assertions(), [""; 0]);
}

/// What of it panics.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Panics {
    Algorithm,
    KeyName,
    Sign,
    ItsFuture,
}

impl Signer for Panics {
    fn algorithm(&self) -> Algorithm {
        assert_ne!(*self, Self::Algorithm);
        Algorithm::Es256
    }

    fn key_name(&self) -> &str {
        assert_ne!(*self, Self::KeyName);
        "slot 1"
    }

    fn sign<'a>(&'a self, _: &'a [u8]) -> Signing<'a> {
        assert_ne!(*self, Self::Sign);
        Box::pin(async { panic!("planted") })
    }
}

#[tokio::test]
async fn a_signer_that_panics_is_an_error_and_nothing_is_sent() {
    let bank = bank().await;
    for panics in [Panics::Algorithm, Panics::KeyName] {
        let error = ClientAssertion::with_signer(CLIENT, panics).unwrap_err();
        let expected = (ErrorKind::Configuration, "the signer panicked when asked for its key");
        assert_eq!((error.kind(), error.to_string().as_str()), expected, "{panics:?}");
    }
    for panics in [Panics::Sign, Panics::ItsFuture] {
        let credentials = ClientAssertion::with_signer(CLIENT, panics).unwrap();
        let client = bank.client(credentials.certificates(fixture(&kind("p256").certificate())).unwrap());
        let error = client.exchange().await.unwrap_err();
        let expected = (ErrorKind::Configuration, "the signer \"slot 1\" panicked");
        assert_eq!((error.kind(), error.to_string().as_str()), expected, "{panics:?}");
    }
    assert_eq!(bank.assertions(), [""; 0]);
}

#[tokio::test]
async fn what_a_signer_signs_is_verified_before_it_is_sent() {
    let bank = bank().await;
    let (p256, p384) = (kind("p256"), kind("p384"));
    for (certificate, of) in [(p256, p384), (p384, p256)] {
        let hsm = Hsm::new(of, of.algorithms[0], Answers::AsMade);
        let error = bank.client(with_certificate(certificate, hsm)).exchange().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    }
    // The right key, in another algorithm than it says.
    let rsa = kind("rsa");
    let error = bank.client(with_certificate(rsa, Hsm::new(rsa, Algorithm::Rs512, Answers::AsMade))).exchange().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(bank.assertions(), [""; 0]);
}

fn held(name: &str) -> ClientAssertion {
    let identity =
        Identity::new(fixture(&format!("{name}.pkcs8.pem")), Some(fixture(&kind(name).certificate()).as_ref()), None)
            .unwrap();
    ClientAssertion::new(CLIENT, identity).unwrap()
}

#[tokio::test]
async fn every_attempt_has_a_jti_of_its_own() {
    let bank = bank().await;
    let clients = [
        bank.client(held("ed25519")),
        bank.client(held("ed25519")),
        bank.client(with_certificate(kind("p256"), Hsm::new(kind("p256"), Algorithm::Es256, Answers::AsMade))),
    ];
    for client in &clients {
        for _ in 0..50 {
            client.exchange().await.unwrap();
        }
    }
    let jtis: HashSet<_> = bank.assertions().iter().map(|jwt| support::part(jwt, 1)["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 150);
}

#[tokio::test]
async fn the_assertion_after_a_rejection_for_its_times_is_another() {
    // A certificate that the server takes for valid two hours ago, too.
    let key = kind("ed25519").make();
    let certificate = params("old").self_signed(&key).unwrap();
    for skew in [-7200_i64, 7200] {
        let bank = Bank::knowing([("old".to_owned(), certificate.der().to_vec())].into()).await;
        let identity = Identity::new(key.serialize_pem(), Some(certificate.pem().as_ref()), None).unwrap();
        let credentials = ClientAssertion::new(CLIENT, identity).unwrap();
        bank.sandbox.fault(Endpoint::Worldline, Fault::clock_skew(skew).until_cleared()).unwrap();
        let client = bank.client(credentials.lifetime(Duration::from_secs(30)));
        client.exchange().await.unwrap();
        let claims: Vec<_> = bank.assertions().iter().map(|jwt| support::part(jwt, 1)).collect();
        let [first, second] = &claims[..] else { panic!("two assertions: {claims:?}") };
        assert_ne!(first["jti"], second["jti"]);
        steady(first.clone(), 30);
        // By the server's clock.
        let at = |claims: &serde_json::Value, name: &str| claims[name].as_i64().unwrap();
        assert!((at(second, "iat") - at(first, "iat") - skew).abs() < 5, "{claims:?}");
        assert_eq!(at(second, "exp") - at(second, "iat"), 30);
    }
}

#[tokio::test]
async fn an_assertion_that_was_sent_twice_is_refused_which_is_why() {
    let bank = bank().await;
    let (outcome, jwt) = bank.ask(held("ed25519")).await;
    outcome.unwrap();
    let form = format!(
        "grant_type=client_credentials&scope=VOP&client_assertion={jwt}&client_assertion_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    let again = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap().post(bank.token_endpoint());
    let again = again.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    assert!(again.text().await.unwrap().contains("Token reuse detected"));
}

#[tokio::test]
async fn iat_and_exp_are_as_far_apart_as_the_lifetime_says() {
    let bank = bank().await;
    for (asked, seconds) in
        [(None, 60), (Some(0), 1), (Some(1), 1), (Some(45), 45), (Some(3600), 3600), (Some(u64::MAX), 3600)]
    {
        let credentials = held("p256");
        let credentials = match asked {
            Some(asked) => credentials.lifetime(Duration::from_secs(asked)),
            None => credentials,
        };
        let (_, jwt) = bank.ask(credentials).await;
        steady(support::part(&jwt, 1), seconds);
    }
}
