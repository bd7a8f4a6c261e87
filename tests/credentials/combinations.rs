//! Every form of key, with every algorithm, key id and audience.

use std::path::{Path, PathBuf};

use access_tokens::{
    ErrorKind, Identity,
    assertion::{Algorithm, Audience, ClientAssertion, KeyId},
};
use access_tokens_sandbox::Endpoint;
use serde_json::json;

use crate::{
    exchange::{Bank, CLIENT, hex, sha1, sha256, steady, verified},
    keys::{self, KINDS, Kind},
    openssl,
};

/// With the usual key id and audience; and one form of each kind of key with every other.
#[tokio::test]
async fn every_form_and_algorithm_is_verified_by_others_and_accepted() {
    let mut proofs = Proofs::of(&keys::fixtures()).await;
    for kind in &KINDS {
        for (index, (form, identity)) in kind.identities(&keys::fixtures()).into_iter().enumerate() {
            for algorithm in kind.algorithms {
                proofs.ask(kind, (&form, &identity), *algorithm, &KeyId::default(), Audience::default()).await;
            }
            for key_id in key_ids(kind).iter().filter(|_| index == 0) {
                for audience in audiences() {
                    proofs.ask(kind, (&form, &identity), kind.algorithms[0], key_id, audience).await;
                }
            }
        }
    }
    let count = 166 + 9 * KINDS.len();
    assert_eq!(proofs.signed.len(), count);
    if openssl::is_there("its verification of the signatures; another library has verified them") {
        assert_eq!(openssl::verify(&proofs.signed), count);
    }
}

#[tokio::test]
#[ignore = "makes 1494 assertions"]
async fn every_form_algorithm_key_id_and_audience_is_verified_by_others_and_accepted() {
    let mut proofs = Proofs::of(&keys::fixtures()).await;
    for kind in &KINDS {
        for (form, identity) in kind.identities(&keys::fixtures()) {
            for algorithm in kind.algorithms {
                for key_id in key_ids(kind) {
                    for audience in audiences() {
                        proofs.ask(kind, (&form, &identity), *algorithm, &key_id, audience).await;
                    }
                }
            }
        }
    }
    assert_eq!(proofs.signed.len(), 1494);
    if openssl::is_there("its verification of the signatures; another library has verified them") {
        assert_eq!(openssl::verify(&proofs.signed), 1494);
    }
}

#[tokio::test]
async fn forms_that_openssl_makes_today_are_verified_by_others_and_accepted() {
    if !openssl::is_there("keys that it makes anew; those that are checked in are tested") {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    openssl::make(made.path());
    assert_eq!(names(&keys::fixtures()), names(made.path()), "what is checked in is what the script makes");
    let mut proofs = Proofs::of(made.path()).await;
    for kind in &KINDS {
        for (form, identity) in kind.identities(made.path()) {
            for algorithm in kind.algorithms {
                proofs.ask(kind, (&form, &identity), *algorithm, &KeyId::default(), Audience::default()).await;
            }
        }
    }
    assert_eq!(openssl::verify(&proofs.signed), 166);
}

#[tokio::test]
async fn openssl_verifies_nothing_that_was_changed() {
    if !openssl::is_there("whether it refuses what was changed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut proofs = Proofs::of(&keys::fixtures()).await;
    for kind in &KINDS {
        let key = keys::fixtures().join(format!("{}.pkcs8.pem", kind.name));
        let certificate = keys::fixtures().join(kind.certificate());
        let identity = Identity::read(key, Some(certificate.as_ref()), None).unwrap();
        let key = openssl::public_key(&certificate);
        for algorithm in kind.algorithms {
            proofs.ask(kind, ("", &identity), *algorithm, &KeyId::default(), Audience::default()).await;
            let (name, _, jwt) = proofs.signed.last().unwrap();
            assert!(openssl::verifies(folder.path(), name, &key, jwt));
            assert!(!openssl::verifies(folder.path(), name, &key, &jwt.replacen('.', "A.", 1)), "{name}");
            for other in kind.algorithms.iter().filter(|other| *other != algorithm) {
                assert!(!openssl::verifies(folder.path(), other.name(), &key, jwt), "{name} as {other}");
            }
        }
    }
}

/// What the bank calls the key.
fn text(kind: &Kind) -> String {
    format!("Schlüssel \"{}\" 1", kind.name)
}

fn key_ids(kind: &Kind) -> [KeyId; 3] {
    [KeyId::Sha1Fingerprint, KeyId::Sha256Fingerprint, KeyId::Text(text(kind))]
}

fn audiences() -> [Audience; 3] {
    [Audience::Issuer, Audience::TokenEndpoint, Audience::Text("https://elsewhere.example/ä".to_owned())]
}

/// Without what isn't made by the script.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !["README.md", "make.sh"].contains(&name.as_str()));
    names.sort();
    names
}

/// Keys in a folder, the bank that knows their certificates, and what was signed with them.
struct Proofs {
    folder: PathBuf,
    bank: Bank,
    signed: Vec<openssl::Signed>,
}

impl Proofs {
    async fn of(folder: &Path) -> Self {
        let certificate = |kind: &Kind| std::fs::read(folder.join(kind.certificate())).unwrap();
        let bank = Bank::knowing(KINDS.iter().map(|kind| (text(kind), certificate(kind))).collect()).await;
        let proofs = Self { folder: folder.to_owned(), bank, signed: Vec::new() };
        if openssl::is_there("its fingerprints of the certificates; other libraries tell them") {
            for kind in &KINDS {
                let [sha1, sha256] = proofs.fingerprints(kind);
                let certificate = folder.join(kind.certificate());
                assert_eq!(sha1, openssl::fingerprint(&certificate, "-sha1"));
                assert_eq!(sha256, openssl::fingerprint(&certificate, "-sha256"));
            }
        }
        proofs
    }

    fn fingerprints(&self, kind: &Kind) -> [String; 2] {
        let der = keys::der(&std::fs::read(self.folder.join(kind.certificate())).unwrap());
        [hex(&sha1(&der)), hex(&sha256(&der))]
    }

    /// One exchange, whose assertion another library verifies and the sandbox accepts; but for an audience that isn't its.
    async fn ask(
        &mut self,
        kind: &Kind,
        (form, identity): (&str, &Identity),
        algorithm: Algorithm,
        key_id: &KeyId,
        audience: Audience,
    ) {
        let what = format!("{form}, {algorithm}, {key_id:?}, {audience:?}");
        let credentials = ClientAssertion::new(CLIENT, identity.clone()).unwrap().algorithm(algorithm).unwrap();
        let (outcome, assertion) = self.bank.ask(credentials.key_id(key_id.clone()).audience(audience.clone())).await;

        let (aud, accepted) = match audience {
            Audience::Issuer => (self.bank.issuer(), true),
            Audience::TokenEndpoint => (self.bank.token_endpoint(), true),
            Audience::Text(text) => (text, false),
            _ => panic!("{what}: is it accepted?"),
        };
        let certificate = self.folder.join(kind.certificate());
        let (header, claims) = verified(&assertion, &std::fs::read(&certificate).unwrap(), algorithm.name(), &aud);
        let [sha1, sha256] = self.fingerprints(kind);
        let kid = match key_id {
            KeyId::Sha1Fingerprint => &sha1,
            KeyId::Sha256Fingerprint => &sha256,
            KeyId::Text(text) => text,
            _ => panic!("{what}: which is that?"),
        };
        assert_eq!(header, json!({ "alg": algorithm.name(), "kid": kid, "typ": "JWT" }), "{what}");
        assert_eq!(steady(claims, 60), json!({ "iss": CLIENT, "sub": CLIENT, "aud": aud }), "{what}");
        if accepted {
            outcome.unwrap_or_else(|e| panic!("{what}: {e} {:?}", e.description()));
            assert_eq!(self.bank.sandbox.last_credential(Endpoint::Worldline), Some(sha1), "{what}");
        } else {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Credentials, "{what}");
            assert_eq!(error.description(), Some("Invalid token audience"), "{what}");
        }
        self.signed.push((algorithm.name(), certificate, assertion));
    }
}
