//! Client assertions at Worldline's token endpoint, signed here by another library than the one that verifies them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use access_tokens_sandbox::{Client, ClientAuth, Endpoint, Fault, Sandbox, StartError, Worldline};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Value, json};

use crate::clients::{http, json_of, realm_url, worldline_url};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion that is right unless it's changed.
pub(crate) struct Assertion {
    pub(crate) header: Header,
    pub(crate) claims: Value,
    pub(crate) key_pem: String,
    form: Vec<(&'static str, String)>,
}

impl Assertion {
    pub(crate) fn right(sandbox: &Sandbox) -> Assertion {
        let now = now();
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(fingerprint(sandbox.signing_cert_pem()));
        Assertion {
            header,
            claims: json!({
                "iss": "sandbox-jwt-client", "sub": "sandbox-jwt-client", "aud": realm_url(sandbox),
                "jti": jti(), "iat": now, "exp": now + 60,
            }),
            key_pem: sandbox.signing_key_pem().into(),
            form: vec![
                ("grant_type", "client_credentials".into()),
                ("scope", "VOP WERO".into()),
                ("client_assertion_type", JWT_BEARER.into()),
            ],
        }
    }

    pub(crate) fn jwt(&self) -> String {
        let pem = self.key_pem.as_bytes();
        let key = match self.header.alg {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        jsonwebtoken::encode(&self.header, &self.claims, &key.unwrap()).unwrap()
    }

    pub(crate) fn with(mut self, claim: &str, value: impl Into<Value>) -> Assertion {
        self.claims[claim] = value.into();
        self
    }

    fn without(mut self, claim: &str) -> Assertion {
        self.claims.as_object_mut().unwrap().remove(claim);
        self
    }

    pub(crate) async fn send(&self, sandbox: &Sandbox) -> (u16, Value) {
        self.send_jwt(sandbox, &self.jwt()).await
    }

    /// The same under another name of the server.
    async fn send_to_host(&self, sandbox: &Sandbox, host: &str) -> u16 {
        let mut form = self.form.clone();
        form.push(("client_assertion", self.jwt()));
        let request = http().post(worldline_url(sandbox)).header("host", host).form(&form);
        request.send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn send_jwt(&self, sandbox: &Sandbox, jwt: &str) -> (u16, Value) {
        let mut form = self.form.clone();
        form.push(("client_assertion", jwt.into()));
        let (status, answer) = json_of(http().post(worldline_url(sandbox)).form(&form).send().await.unwrap()).await;
        (status.as_u16(), answer)
    }
}

#[tokio::test]
async fn the_assertions_that_keycloak_takes_are_taken() {
    let sandbox = Sandbox::start().await.unwrap();
    let now = now();
    let right = || Assertion::right(&sandbox);
    let cases: Vec<(&str, Assertion)> = vec![
        ("the realm's URL", right()),
        ("the token endpoint's URL", right().with("aud", worldline_url(&sandbox))),
        ("a list of one audience", right().with("aud", json!([realm_url(&sandbox)]))),
        ("an hour with iat, as in the spec's example", right().with("exp", now + 3600)),
        ("no iat, a short life", right().without("iat").with("exp", now + 50)),
        ("a clock 10 s ahead", right().with("iat", now + 10).with("exp", now + 70)),
        ("a clock 50 s behind", right().with("iat", now - 50).with("exp", now + 30)),
        ("nbf within the skew", right().with("nbf", now + 10)),
        ("a fraction of a second", right().with("exp", now as f64 + 30.5)),
        ("other claims", right().with("azp", "x")),
        ("client_id that equals sub", {
            let mut assertion = right();
            assertion.form.push(("client_id", "sandbox-jwt-client".into()));
            assertion
        }),
    ];
    for (what, assertion) in cases {
        let (status, answer) = assertion.send(&sandbox).await;
        assert_eq!((status, &answer["scope"]), (200, &json!("VOP WERO")), "{what}: {answer}");
    }
}

/// Each claim and header taken out or made wrong.
#[tokio::test]
async fn a_claim_that_is_missing_or_wrong_is_named() {
    const FAILED: &str = "Client authentication with signed JWT failed: ";
    let sandbox = Sandbox::start().await.unwrap();
    let now = now();
    let right = || Assertion::right(&sandbox);
    let header = |change: fn(&mut Header)| {
        let mut assertion = Assertion::right(&sandbox);
        change(&mut assertion.header);
        assertion
    };
    let form = |name: &'static str, value: Option<&str>| {
        let mut assertion = Assertion::right(&sandbox);
        assertion.form.retain(|(given, _)| *given != name);
        assertion.form.extend(value.map(|value| (name, value.to_owned())));
        assertion
    };
    let realm = realm_url(&sandbox);
    let issuer = format!("{FAILED}Issuer mismatch. The issuer should match the subject");
    let signature = format!("{FAILED}Signature on JWT token failed validation");
    let wrong_type = format!("Parameter client_assertion_type has value 'x' but expected is '{JWT_BEARER}'");
    let far = "Token expiration is too far in the future and iat claim not present in token";
    let past = "Token was issued too far in the past to be used now";
    let other_key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem();
    let cases: Vec<(&str, Assertion, &str)> = vec![
        ("no type", form("client_assertion_type", None), "Parameter client_assertion_type is missing"),
        ("another type", form("client_assertion_type", Some("x")), &wrong_type),
        ("no sub", right().without("sub"), "Token sub claim is required"),
        ("client_id", form("client_id", Some("x")), "client_id parameter does not match sub claim"),
        ("no iss", right().without("iss"), &issuer),
        ("another iss", right().with("iss", "x"), &issuer),
        ("another algorithm", header(|header| header.alg = Algorithm::PS384), "Invalid signature algorithm"),
        ("no kid", header(|header| header.kid = None), "Unable to load public key"),
        ("another kid", header(|header| header.kid = Some("0".repeat(40))), "Unable to load public key"),
        (
            "kid in lower case",
            header(|header| header.kid = header.kid.as_ref().map(|kid| kid.to_lowercase())),
            "Unable to load public key",
        ),
        ("another key", Assertion { key_pem: other_key, ..right() }, &signature),
        ("no aud", right().without("aud"), "Invalid token audience"),
        ("another aud", right().with("aud", "https://example.com/auth/realms/sandbox"), "Invalid token audience"),
        ("another realm", right().with("aud", format!("{realm}2")), "Invalid token audience"),
        ("two audiences", right().with("aud", json!([realm, "x"])), "Multiple audiences not allowed"),
        ("no exp", right().without("exp"), "Token exp claim is required"),
        ("exp passed", right().with("exp", now - 1), "Token is not active"),
        ("nbf to come", right().with("nbf", now + 60), "Token is not active"),
        ("no iat, a long life", right().without("iat").with("exp", now + 120), far),
        ("iat to come", right().with("iat", now + 60).with("exp", now + 120), "Token was issued in the future"),
        ("iat long ago", right().with("iat", now - 70), past),
        ("no jti", right().without("jti"), "Token jti claim is required"),
    ];
    for (what, assertion, description) in cases {
        let expected = json!({ "error": "invalid_client", "error_description": description });
        assert_eq!(assertion.send(&sandbox).await, (400, expected), "{what}");
    }
    assert_eq!(sandbox.tokens_issued(), 0);
}

#[tokio::test]
async fn what_is_no_jwt_is_refused() {
    let sandbox = Sandbox::start().await.unwrap();
    let right = Assertion::right(&sandbox);
    let jwt = right.jwt();
    let (signed, _) = jwt.rsplit_once('.').unwrap();
    let encoded = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let (header, _) = signed.split_once('.').unwrap();
    let none = encoded(json!({ "alg": "none", "kid": right.header.kid }));
    let hmac = encoded(json!({ "alg": "HS256", "kid": right.header.kid }));
    let claims = encoded(right.claims.clone());
    let unreadable = "Client authentication with signed JWT failed: Failed to parse JWT";
    let algorithm = "Invalid signature algorithm";
    let cases = [
        ("nothing", String::new(), unreadable),
        ("two parts", signed.to_owned(), unreadable),
        ("four parts", format!("{jwt}.x"), unreadable),
        ("not base64", format!("{header}.%%%.x"), unreadable),
        ("claims that are a list", format!("{header}.{}.x", encoded(json!([1]))), unreadable),
        ("claims of another type", format!("{header}.{}.x", encoded(json!({ "sub": 1 }))), unreadable),
        ("alg none", format!("{none}.{claims}."), algorithm),
        ("alg HS256", format!("{hmac}.{claims}.c2ln"), algorithm),
        (
            "no signature",
            format!("{signed}."),
            "Client authentication with signed JWT failed: Signature on JWT token failed validation",
        ),
    ];
    for (what, jwt, description) in cases {
        let (status, answer) = right.send_jwt(&sandbox, &jwt).await;
        let expected = json!({ "error": "invalid_client", "error_description": description });
        assert_eq!((status, answer), (400, expected), "{what}");
    }
    let form = [("grant_type", "client_credentials"), ("client_assertion_type", JWT_BEARER)];
    let (status, answer) = json_of(http().post(worldline_url(&sandbox)).form(&form).send().await.unwrap()).await;
    assert_eq!(status, 400);
    assert_eq!(answer["error_description"], "client_assertion parameter missing");
}

#[tokio::test]
async fn the_audience_follows_the_name_under_which_the_server_is_reached() {
    let sandbox = Sandbox::start().await.unwrap();
    for (audience, host, expected) in [
        ("http://sandbox.example:81/auth/realms/sandbox", "sandbox.example:81", 200),
        ("http://sandbox.example:81/auth/realms/sandbox", "sandbox.example", 400),
    ] {
        let assertion = Assertion::right(&sandbox).with("aud", audience);
        assert_eq!(assertion.send_to_host(&sandbox, host).await, expected, "{host}");
    }
}

#[tokio::test]
async fn an_assertion_works_once() {
    let sandbox = Sandbox::start().await.unwrap();
    let first = Assertion::right(&sandbox);
    assert_eq!(first.send(&sandbox).await.0, 200);
    let reused = json!({ "error": "invalid_client", "error_description": "Token reuse detected" });
    assert_eq!(first.send(&sandbox).await, (400, reused.clone()));
    // The jti is what counts, not the bytes.
    let same_jti = Assertion::right(&sandbox).with("jti", first.claims["jti"].clone());
    assert_eq!(same_jti.send(&sandbox).await, (400, reused));
    assert_eq!(Assertion::right(&sandbox).send(&sandbox).await.0, 200);
}

#[tokio::test]
async fn an_assertion_for_an_unknown_client_or_one_with_a_secret_is_401() {
    let sandbox = Sandbox::start().await.unwrap();
    let as_client = |client: &str| {
        let mut assertion = Assertion::right(&sandbox).with("iss", client).with("sub", client);
        assertion.form.push(("client_id", client.into()));
        assertion
    };
    let (status, answer) = as_client("nobody").send(&sandbox).await;
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    let (status, answer) = as_client("sandbox-client").send(&sandbox).await;
    assert_eq!((status, &answer["error"]), (401, &json!("unauthorized_client")));
}

#[tokio::test]
async fn the_servers_clock_decides() {
    let sandbox = Sandbox::start().await.unwrap();
    for (skew, expected) in
        [(10, None), (-10, None), (70, Some("Token is not active")), (-30, Some("Token was issued in the future"))]
    {
        sandbox.fault(Endpoint::Worldline, Fault::clock_skew(skew)).unwrap();
        let (_, answer) = Assertion::right(&sandbox).send(&sandbox).await;
        assert_eq!(answer["error_description"].as_str(), expected, "{skew}");
    }
}

#[tokio::test]
async fn registered_certificates_are_used_by_fingerprint_and_validity() {
    let (old_cert, old_der, old_key) = certificate(2020, 2100);
    let (new_cert, _, new_key) = certificate(2021, 2100);
    let (expired_cert, _, expired_key) = certificate(2020, 2021);
    let client = |client_id: &str, certificates: Vec<u8>| Client {
        client_id: client_id.into(),
        auth: ClientAuth::Certificate(certificates),
    };
    let settings = Worldline {
        clients: vec![
            client("rotating", format!("Bag Attributes\n{old_cert}{new_cert}").into_bytes()),
            client("der", old_der),
            client("expired", expired_cert.clone().into_bytes()),
        ],
        ..Worldline::default()
    };
    let sandbox = Sandbox::builder().worldline(settings).start().await.unwrap();
    let invalid = "Client authentication with signed JWT failed: Certificate is expired or not yet valid";
    for (client_id, cert, key, expected) in [
        ("rotating", &old_cert, &old_key, None),
        ("rotating", &new_cert, &new_key, None),
        ("der", &old_cert, &old_key, None),
        ("der", &new_cert, &new_key, Some("Unable to load public key")),
        ("expired", &expired_cert, &expired_key, Some(invalid)),
    ] {
        let mut assertion = Assertion::right(&sandbox).with("iss", client_id).with("sub", client_id);
        assertion.header.kid = Some(fingerprint(cert));
        assertion.key_pem = key.clone();
        let (_, answer) = assertion.send(&sandbox).await;
        assert_eq!(answer["error_description"].as_str(), expected, "{client_id}: {answer}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let elliptic = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
    let elliptic_cert = CertificateParams::default().self_signed(&elliptic).unwrap().pem();
    for (certificates, reason) in [
        (String::new(), "not an X.509 certificate"),
        ("-----BEGIN CERTIFICATE-----".into(), "not PEM"),
        ("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n".into(), "not PEM"),
        (elliptic.serialize_pem(), "PRIVATE KEY"),
        (elliptic_cert, "its key is none of RSA of 2048 to 8192 bits, EC P-256, EC P-384 and Ed25519"),
        (SHORT_RSA.into(), "its key is none of RSA of 2048 to 8192 bits"),
    ] {
        cannot_be_used(ClientAuth::Certificate(certificates.into_bytes()), reason).await;
    }
    let several = format!("{}{}", certificate(2020, 2100).0, certificate(2021, 2100).0);
    let by_key_id = BTreeMap::from([("mine".to_owned(), several.into_bytes())]);
    cannot_be_used(ClientAuth::CertificatesByKeyId(by_key_id), "2 certificates where one belongs").await;
}

async fn cannot_be_used(auth: ClientAuth, reason: &str) {
    let settings = Worldline { clients: vec![Client { client_id: "c".into(), auth }], ..Worldline::default() };
    let error = Sandbox::builder().worldline(settings).start().await.unwrap_err();
    assert!(matches!(&error, StartError::Certificate { client_id, .. } if client_id == "c"));
    assert!(error.to_string().contains(reason), "{error}");
}

/// Of 1024 bits: `openssl req -x509 -newkey rsa:1024 -nodes -keyout /dev/null -subj /CN=short -days 1`.
const SHORT_RSA: &str = "-----BEGIN CERTIFICATE-----
MIIB/DCCAWWgAwIBAgIULGVNbTL68u5KHcum8XGZmVoU8ycwDQYJKoZIhvcNAQEL
BQAwEDEOMAwGA1UEAwwFc2hvcnQwHhcNMjYxMTIyMDIxNzQwWhcNMjYxMTIzMDIx
NzQwWjAQMQ4wDAYDVQQDDAVzaG9ydDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEAwL/TLjPREhQS7tjEDUALjhtKElGlh56aGYFvxF9+p2mqCXOh6VeVvkL5Jlpf
SKJzXXhh0Hl1eHy43Vw2GVvF37NyybB/EAHn9VdGo+sz8jmYd4qk6z+kpwOFPTv+
zZPrMTbCp9BTTRTK7SaV+MA0nluMf1lHi44wsQc1Y88xzM8CAwEAAaNTMFEwHQYD
VR0OBBYEFMAkaNRIT3y0tGAQWey15JP9mzz7MB8GA1UdIwQYMBaAFMAkaNRIT3y0
tGAQWey15JP9mzz7MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEA
BlLzLZEjSBlNsRW+APGGHnqK2kkdMZTHem6KRPposX6vkW2I5/oRJNlbTBBNLitH
ayjZfX1323MDr1B/btEBvosdaSVfal0E9A+bOvcQ48uVFrUok+Il+4Aah0mrsfz6
+RgOO0MeMswFWTW6nCooHbplQsMce8ko8lAjrKTaCjk=
-----END CERTIFICATE-----
";

fn certificate(from: i32, to: i32) -> (String, Vec<u8>, String) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), certificate.der().to_vec(), key.serialize_pem())
}

/// Told by a library that the sandbox doesn't use for it.
pub(crate) fn fingerprint(cert_pem: &str) -> String {
    use sha1::{Digest, Sha1};
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).unwrap();
    Sha1::digest(&pem.contents).iter().map(|byte| format!("{byte:02X}")).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn jti() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
