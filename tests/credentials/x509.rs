//! What a header says of the certificate, and the order of its issuers.

use access_tokens::{
    Identity,
    assertion::{
        ClientAssertion,
        X509Header::{self, X5c, X5t, X5tS256},
    },
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    exchange::{Bank, CLIENT, hex, sha1, sha256, verified},
    keys::{KINDS, PASSPHRASE, chain, der, fixture, params},
};

const HEADERS: [&[X509Header]; 5] = [&[], &[X5t], &[X5tS256], &[X5c], &[X5t, X5tS256, X5c]];

/// Needs no fixture: a key and a certificate that are made here.
#[tokio::test]
async fn every_algorithm_works_with_every_header_and_a_new_key() {
    for kind in &KINDS {
        let key = kind.make();
        let certificate = params("new").self_signed(&key).unwrap();
        let bank = Bank::knowing([("new".to_owned(), certificate.der().to_vec())].into()).await;
        for (key, certificate_as) in [
            (key.serialize_pem().into_bytes(), certificate.pem().into_bytes()),
            (key.serialize_der(), certificate.der().to_vec()),
        ] {
            let identity = Identity::new(key, Some(certificate_as.as_ref()), None).unwrap();
            for algorithm in kind.algorithms {
                for headers in HEADERS {
                    let credentials = ClientAssertion::new(CLIENT, identity.clone()).unwrap();
                    let credentials = credentials.algorithm(*algorithm).unwrap().x509(headers.to_vec());
                    let (outcome, assertion) = bank.ask(credentials).await;
                    let pem = certificate.pem();
                    let (header, _) = verified(&assertion, pem.as_bytes(), algorithm.name(), &bank.issuer());
                    assert_eq!(header, expected(algorithm.name(), headers, &[certificate.der().to_vec()]));
                    outcome.unwrap_or_else(|e| panic!("{algorithm} {headers:?}: {:?}", e.description()));
                }
            }
        }
    }
}

#[tokio::test]
async fn issuers_come_in_any_order_and_leave_in_theirs() {
    let parts = ["p384.certificate.pem", "issuing.pem", "root.pem"];
    let ders = parts.map(|name| der(&fixture(name)));
    let bank = Bank::knowing([("p384".to_owned(), fixture(parts[0]))].into()).await;
    let key = fixture("p384.sec1.pem");
    let of = |order: &[usize]| chain(&order.iter().map(|part| parts[*part]).collect::<Vec<_>>());
    // Somebody else's certificate isn't of the chain.
    let with_stranger = [fixture("rsa.certificate.pem"), of(&[2, 0, 1])].concat();
    let key_too = [of(&[1, 0]), key.clone(), of(&[2])].concat();
    let cases = [
        (of(&[0, 1, 2]), 3),
        (of(&[0, 2, 1]), 3),
        (of(&[1, 0, 2]), 3),
        (of(&[1, 2, 0]), 3),
        (of(&[2, 0, 1]), 3),
        (of(&[2, 1, 0]), 3),
        (of(&[0]), 1),
        (of(&[1, 0]), 2),
        // The one between is missing.
        (of(&[2, 0]), 1),
        // The same twice.
        (of(&[0, 0, 1, 1, 2, 2]), 3),
        (with_stranger, 3),
        (key_too.clone(), 3),
    ];
    let mut identities: Vec<_> = cases
        .iter()
        .map(|(certificates, length)| (Identity::new(&key, Some(certificates.as_ref()), None), *length))
        .collect();
    identities.push((Identity::new(&key_too, Some(key_too.as_ref()), None), 3));
    for bundle in ["p384.modern.p12", "p384.legacy.p12"] {
        identities.push((Identity::new(fixture(bundle), None, Some(PASSPHRASE)), 3));
    }
    for (position, (identity, length)) in identities.into_iter().enumerate() {
        for headers in [&[X5c][..], &[X5t, X5tS256, X5c]] {
            let credentials = ClientAssertion::new(CLIENT, identity.clone().unwrap()).unwrap().x509(headers.to_vec());
            let (outcome, assertion) = bank.ask(credentials).await;
            let (header, _) = verified(&assertion, &fixture(parts[0]), "ES384", &bank.issuer());
            assert_eq!(header, expected("ES384", headers, &ders[..length]), "{position}");
            outcome.unwrap_or_else(|e| panic!("{position}: {:?}", e.description()));
        }
    }
}

fn expected(alg: &str, headers: &[X509Header], chain: &[Vec<u8>]) -> Value {
    let leaf = &chain[0];
    let mut expected = json!({ "alg": alg, "kid": hex(&sha1(leaf)), "typ": "JWT" });
    for header in headers {
        let (name, value) = match header {
            X5t => ("x5t", json!(BASE64_URL_SAFE_NO_PAD.encode(sha1(leaf)))),
            X5tS256 => ("x5t#S256", json!(BASE64_URL_SAFE_NO_PAD.encode(sha256(leaf)))),
            X5c => ("x5c", chain.iter().map(|der| BASE64_STANDARD.encode(der)).collect()),
            _ => panic!("{header:?} is new"),
        };
        expected[name] = value;
    }
    expected
}
