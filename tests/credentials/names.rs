//! Issuers whose names are written in another way than in what they issued (RFC 5280 section 7.1).

use access_tokens::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue, IsCa, KeyPair,
    string::{BmpString, Ia5String, PrintableString, TeletexString, UniversalString},
};

use crate::keys::params;

fn named(name: &DistinguishedName) -> CertificateParams {
    let mut params = params("");
    params.distinguished_name = name.clone();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn issuer(name: &DistinguishedName, key: &str) -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(named(name), KeyPair::from_pem(key).unwrap()).unwrap()
}

fn name(attributes: impl IntoIterator<Item = (DnType, DnValue)>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    attributes.into_iter().for_each(|(kind, value)| name.push(kind, value));
    name
}

fn common(value: impl Into<DnValue>) -> DistinguishedName {
    name([(DnType::CommonName, value.into())])
}

fn utf8(text: &str) -> DistinguishedName {
    common(DnValue::Utf8String(text.to_owned()))
}

/// How long the chain of a leaf is whose issuer is called `of_issuer`, and what is warned of.
fn chain(in_leaf: &DistinguishedName, of_issuer: &DistinguishedName) -> (usize, usize) {
    let (key, issuing) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap().serialize_pem());
    let leaf = params("client").signed_by(&key, &issuer(in_leaf, &issuing)).unwrap();
    let certificates = leaf.pem() + &issuer(of_issuer, &issuing).pem();
    let identity = Identity::new(key.serialize_pem(), Some(certificates.as_ref()), None).unwrap();
    (identity.with_pem(|pem| pem.matches("BEGIN CERTIFICATE").count()), identity.warnings().len())
}

#[test]
fn an_issuer_is_found_whatever_its_string_type_case_and_spaces() {
    let printable = |text: &str| common(DnValue::PrintableString(PrintableString::try_from(text).unwrap()));
    let ia5 = common(DnValue::Ia5String(Ia5String::try_from("Test Bank CA").unwrap()));
    let teletex = common(DnValue::TeletexString(TeletexString::try_from("Test Bank CA").unwrap()));
    let bmp = common(DnValue::BmpString(BmpString::try_from("Test Bank CA").unwrap()));
    let universal = common(DnValue::UniversalString(UniversalString::try_from("Test Bank CA").unwrap()));
    for same in [
        utf8("Test Bank CA"),
        utf8("TEST bank ca"),
        utf8("  Test  Bank\tCA "),
        printable("Test Bank CA"),
        printable("test bank CA"),
        ia5,
        teletex,
        bmp,
        universal,
    ] {
        assert_eq!(chain(&utf8("Test Bank CA"), &same), (2, 0), "{same:?}");
        assert_eq!(chain(&same, &printable("Test Bank CA")), (2, 0), "{same:?}");
    }
    let bmp = common(DnValue::BmpString(BmpString::try_from("ÖFFENTLICHE Bank").unwrap()));
    assert_eq!(chain(&utf8("Öffentliche Bank"), &bmp), (2, 0));
}

#[test]
fn other_names_are_others() {
    let country = |text: &str| (DnType::CountryName, DnValue::Utf8String(text.to_owned()));
    let cn = |text: &str| (DnType::CommonName, DnValue::Utf8String(text.to_owned()));
    for other in [
        name([cn("Test Bank CA 2")]),
        name([cn("TestBankCA")]),
        name([(DnType::OrganizationName, DnValue::Utf8String("Test Bank CA".to_owned()))]),
        name([country("DE"), cn("Test Bank CA")]),
        name([]),
    ] {
        assert_eq!(chain(&utf8("Test Bank CA"), &other), (1, 1), "{other:?}");
    }
    let swapped = [name([country("DE"), cn("A")]), name([cn("A"), country("DE")])];
    assert_eq!(chain(&swapped[0], &swapped[1]), (1, 1), "the order of the relative names counts");
}

/// A root that names itself in two string types ends the chain.
#[test]
fn a_certificate_that_is_its_own_issuer_is_known_by_the_same_rule() {
    let (key, issuing) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let printable = common(DnValue::PrintableString(PrintableString::try_from("Root").unwrap()));
    let root = issuer(&printable, &issuing.serialize_pem());
    let in_two_types = named(&utf8("root")).signed_by(&issuing, &root).unwrap();
    let leaf = params("client").signed_by(&key, &root).unwrap();
    let identity =
        Identity::new(key.serialize_pem(), Some((leaf.pem() + &in_two_types.pem() + &root.pem()).as_ref()), None)
            .unwrap();
    assert_eq!(identity.with_pem(|pem| pem.matches("BEGIN CERTIFICATE").count()), 2);
    assert_eq!(
        identity.warnings(),
        ["section 3 of the certificate (CN=Root) isn't in the chain of the key's certificate and isn't used"]
    );
}
