//! Which of several certificates is the key's, and which its issuers, around a renewal.

use std::time::{Duration, SystemTime};

use access_tokens::{
    Identity,
    assertion::{ClientAssertion, X509Header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::{
    exchange::{Bank, CLIENT, hex, sha1},
    keys::{KINDS, params},
    signers::{Answers, Hsm},
    support,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// From and to so many days from now.
fn valid(name: &str, from: i32, to: i32) -> CertificateParams {
    let at = |days: i32| {
        let span = DAY * days.unsigned_abs();
        let now = SystemTime::now();
        if days < 0 { now - span } else { now + span }
    };
    let mut params = params(name);
    (params.not_before, params.not_after) = (at(from).into(), at(to).into());
    params
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = valid(name, -1, 3650);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(mut params: CertificateParams, key: &KeyPair, issuer: &CertifiedIssuer<'static, KeyPair>) -> Certificate {
    params.use_authority_key_identifier_extension = true;
    params.signed_by(key, issuer).unwrap()
}

#[test]
fn of_several_certificates_for_one_key_the_valid_one_that_ends_last_counts() {
    let key = KeyPair::generate().unwrap();
    let made = |name, from, to| valid(name, from, to).self_signed(&key).unwrap().pem();
    let (old, current, longer, next) =
        (made("old", -800, -1), made("current", -300, 60), made("longer", -100, 200), made("next", 7, 800));
    // (certificates in the file, the one that counts)
    let cases: [(&[&String], &str); 6] = [
        (&[&current], "CN=current"),
        (&[&old, &current], "CN=current"),
        (&[&next, &current], "CN=current"),
        (&[&current, &longer], "CN=longer"),
        (&[&longer, &current], "CN=longer"),
        (&[&old, &next, &longer, &current], "CN=longer"),
    ];
    for (certificates, counts) in cases {
        let file: String = certificates.iter().map(|pem| pem.as_str()).collect();
        assert_eq!(Identity::new(key.serialize_pem(), Some(file.as_ref()), None).unwrap().subject(), counts);
    }
}

/// A certificate authority that got a new key keeps its name.
#[tokio::test]
async fn of_two_issuers_of_one_name_the_one_whose_key_signed_is_taken() {
    let (first, second) = (authority("bank"), authority("bank"));
    let key = KeyPair::generate().unwrap();
    let leaf = issued(valid("client", -1, 300), &key, &second);
    for issuers in [[&first, &second], [&second, &first]] {
        let file = [leaf.pem(), issuers[0].pem(), issuers[1].pem()].concat();
        let identity = Identity::new(key.serialize_pem(), Some(file.as_ref()), None).unwrap();
        let credentials = ClientAssertion::new(CLIENT, identity).unwrap().x509([X509Header::X5c]);
        let bank = Bank::knowing([("client".to_owned(), leaf.der().to_vec())].into()).await;
        let (outcome, assertion) = bank.ask(credentials).await;
        outcome.unwrap();
        let expected = [leaf.der(), second.der()].map(|der| BASE64_STANDARD.encode(der));
        assert_eq!(support::part(&assertion, 0)["x5c"], serde_json::json!(expected));
    }
}

/// Though the issuer's lives longer.
#[tokio::test]
async fn of_the_certificates_of_a_signer_the_first_is_its_keys() {
    let kind = &KINDS[1];
    let key = KeyPair::from_pem(str::from_utf8(&crate::keys::fixture(&format!("{}.pkcs8.pem", kind.name))).unwrap());
    let issuer = authority("bank");
    let leaf = issued(valid("client", -1, 300), &key.unwrap(), &issuer);
    let credentials =
        ClientAssertion::with_signer(CLIENT, Hsm::new(kind, kind.algorithms[0], Answers::AsMade)).unwrap();
    let credentials = credentials.certificates([leaf.pem(), issuer.pem()].concat()).unwrap();
    let bank = Bank::knowing([("client".to_owned(), leaf.der().to_vec())].into()).await;
    let (outcome, assertion) = bank.ask(credentials).await;
    outcome.unwrap();
    assert_eq!(support::part(&assertion, 0)["kid"], hex(&sha1(leaf.der())));
}

/// It would go into the fingerprint, and the provider know no such certificate.
#[test]
fn what_follows_a_certificate_in_der_is_refused() {
    let key = KeyPair::generate().unwrap();
    let der = params("client").self_signed(&key).unwrap().der().to_vec();
    Identity::new(key.serialize_pem(), Some(der.as_ref()), None).unwrap();
    let error =
        Identity::new(key.serialize_pem(), Some([&der[..], &der].concat().as_ref()), None).unwrap_err().to_string();
    assert!(error.contains("something follows the certificate"), "{error}");
}
