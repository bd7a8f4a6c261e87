//! Compares names of certificates.

use x509_parser::{
    asn1_rs::{Any, Tag},
    x509::X509Name,
};

/// Whether two names are the same by RFC 5280 section 7.1: attribute by attribute, whatever the string type, case and spaces.
pub(super) fn is_same(one: &X509Name<'_>, other: &X509Name<'_>) -> bool {
    one == other || normalized(one) == normalized(other)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    object_identifier: String,
    value: Value,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

/// The attributes of each relative name, whose order says nothing.
fn normalized(name: &X509Name<'_>) -> Vec<Vec<Attribute>> {
    let relative = name.iter().map(|relative| {
        let attributes = relative.iter().map(|attribute| {
            let value = attribute.attr_value();
            let text = text(value).map(|text| Value::Text(folded(&text)));
            let value = text.unwrap_or_else(|| Value::Bytes(value.data.to_vec()));
            Attribute { object_identifier: attribute.attr_type().to_id_string(), value }
        });
        let mut attributes: Vec<_> = attributes.collect();
        attributes.sort();
        attributes
    });
    relative.collect()
}

fn folded(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

fn text(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => String::from_utf8(bytes.to_vec()).ok(),
        // Everyone writes it in Latin-1, whatever the standard says.
        Tag::T61String => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let units = bytes.chunks(2).map(|unit| <[u8; 2]>::try_from(unit).ok().map(u16::from_be_bytes));
            String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()
        }
        Tag::UniversalString => {
            let scalar = |unit: &[u8]| char::from_u32(u32::from_be_bytes(unit.try_into().ok()?));
            bytes.chunks(4).map(scalar).collect()
        }
        _ => None,
    }
}
