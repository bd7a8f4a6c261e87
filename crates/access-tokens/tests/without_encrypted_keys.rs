//! What an encrypted key gets where the feature `encrypted-keys` is off.
#![cfg(not(feature = "encrypted-keys"))]
#![cfg(test)]

use std::path::Path;

use access_tokens::{Identity, Setting, assertion::SigningKey};

#[test]
fn an_encrypted_key_is_refused_with_the_feature_that_reads_it() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/keys");
    let read = |name: &str| std::fs::read(keys.join(name)).unwrap();
    let key = read("rsa.pkcs8-aes.pem");
    let errors = [
        SigningKey::new(&key, Some("secret")).unwrap_err(),
        SigningKey::new(&key, None).unwrap_err(),
        Identity::new(&key, Some(read("rsa.certificate.pem").as_ref()), None).unwrap_err(),
    ];
    for error in errors {
        let message =
            "the private key: it is encrypted, which this program can't read; build it with the feature encrypted-keys";
        assert_eq!((error.to_string().as_str(), error.setting()), (message, Some(Setting::Key)));
    }
    let bundle = Identity::new(read("rsa.modern.p12"), Some(read("rsa.certificate.pem").as_ref()), None).unwrap_err();
    assert_eq!(bundle.to_string(), "the private key: it is a PKCS#12 bundle; set it as pkcs12");
    let bundle = Identity::new(read("rsa.modern.p12"), None, Some("secret")).unwrap_err();
    let message = "the PKCS#12 bundle: this program can't read one; build it with the feature encrypted-keys";
    assert_eq!((bundle.to_string().as_str(), bundle.setting()), (message, Some(Setting::Pkcs12)));
    SigningKey::new(read("rsa.pkcs8.pem"), Some("unused")).unwrap();
}
