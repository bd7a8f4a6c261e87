//! The specs' own examples, read from the files, as test vectors.
#![cfg(test)]

mod support;

use access_tokens::{AccessToken, ErrorKind, Identity, TokenEndpoint, assertion::ClientAssertion, onence, worldline};
use access_tokens_sandbox::Sandbox;
use serde_json::{Map, Value, json};
use support::{Server, decoded, json, upstream};

#[tokio::test]
async fn the_success_example_gives_user_and_scopes_and_so_do_the_schemas_spellings() {
    let example = upstream("onence").pointer(ONENCE_200_EXAMPLE).unwrap().clone();
    let token = token(&example).await;
    assert_eq!(token.secret(), example["access_token"].as_str().unwrap());
    assert_eq!(token.expires_in().unwrap().as_secs(), 3600);
    assert_eq!((token.user_id(), token.scopes().to_string().as_str()), (Some("user"), "all"));

    // The same answer as the schema spells it.
    let mut spelled = example.as_object().unwrap().clone();
    for (example, schema) in [("user_id", "userId"), ("score", "scope")] {
        let value = spelled.remove(example).unwrap();
        assert!(
            upstream("onence").pointer(&format!("/components/schemas/Bearer_Token_200/properties/{schema}")).is_some()
        );
        spelled.insert(schema.to_owned(), value);
    }
    let other = self::token(&spelled.into()).await;
    assert_eq!((other.user_id(), other.scopes()), (token.user_id(), token.scopes()));
}

#[tokio::test]
async fn each_400_example_has_its_kind_and_code() {
    use onence::ErrorCode::{AuthValidationError, BadCredentials, BodyValidationError, UnsupportedContentTypeError};
    let expected = [
        ("AuthValidationError - Password", ErrorKind::Credentials, AuthValidationError),
        ("AuthValidationError - Username", ErrorKind::Credentials, AuthValidationError),
        ("BodyValidationError - Grant Type", ErrorKind::Request, BodyValidationError),
        ("BadCredentials - Not Existing User", ErrorKind::Credentials, BadCredentials),
        ("UnsupportedContentTypeError", ErrorKind::Request, UnsupportedContentTypeError),
    ];
    let spec = upstream("onence");
    let examples = spec.pointer(ONENCE_400_EXAMPLES).unwrap().as_object().unwrap();
    assert_eq!(examples.len(), expected.len());
    for (name, kind, code) in expected {
        let example = &examples[name]["value"];
        let server = Server::answering(json(400, &example.to_string())).await;
        let error = server.onence().exchange().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
        assert_eq!(onence::ErrorCode::of(&error), Some(code), "{name}");
        assert_eq!(error.description(), example["message"].as_str(), "{name}");
        assert_eq!(error.status(), Some(400), "{name}");
    }
}

#[tokio::test]
async fn the_error_examples_give_a_request_error() {
    let spec = upstream("worldline");
    let error = property_examples(spec.pointer(WORLDLINE_400).unwrap());
    assert_eq!(error, json!({ "error": "invalid_scope", "error_description": "Invalid scopes: IDEAL" }));
    let server = Server::answering(json(400, &error.to_string())).await;
    let error = server.worldline().exchange().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert_eq!(worldline::ErrorCode::of(&error), Some(worldline::ErrorCode::InvalidScope));
    assert_eq!(error.description(), Some("Invalid scopes: IDEAL"));
}

#[tokio::test]
async fn the_token_members_examples_give_a_token() {
    let spec = upstream("worldline");
    let mut answer = property_examples(spec.pointer("/components/schemas/TokenResponse").unwrap());
    answer["access_token"] = json!("eyJ.token.sig");
    let server = Server::answering(json(200, &answer.to_string())).await;
    let token = server.worldline().exchange().await.unwrap();
    assert_eq!(token.secret(), "eyJ.token.sig");
    assert_eq!(token.expires_in().unwrap().as_secs(), 300);
    assert_eq!(token.scopes().to_string(), "VOP WERO");
    assert!(token.missing_scopes().is_empty());
}

#[tokio::test]
async fn our_assertion_differs_from_the_example_as_the_ledger_says() {
    let spec = upstream("worldline");
    let example = spec.pointer("/components/schemas/ClientJwtRequest/properties/client_assertion/example").unwrap();
    let (example_header, example_claims) = decoded(example.as_str().unwrap());

    let keys = Sandbox::start().await.unwrap();
    let identity = Identity::new(keys.signing_key_pem(), Some(keys.signing_cert_pem().as_ref()), None).unwrap();
    let credentials = ClientAssertion::new("5734699", identity).unwrap();
    let server = Server::answering(json(500, "")).await;
    let client = server.worldline_with(credentials);
    let mut seen = Vec::new();
    for _ in 0..2 {
        client.exchange().await.unwrap_err();
    }
    for request in server.requests() {
        let assertion = request.split("client_assertion=").nth(1).unwrap().split('&').next().unwrap();
        let (header, claims) = decoded(assertion);

        // The header is the example's: alg, kid as 40 upper-case hex digits, typ.
        assert_eq!(keys_of(&header), keys_of(&example_header));
        assert_eq!((&header["alg"], &header["typ"]), (&example_header["alg"], &example_header["typ"]));
        for header in [&header, &example_header] {
            let kid = header["kid"].as_str().unwrap();
            assert!(kid.len() == 40 && kid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')), "{kid}");
        }

        // The claims are the example's and two more, and live a minute instead of an hour.
        let more: Vec<_> = keys_of(&claims).into_iter().filter(|key| example_claims.get(key).is_none()).collect();
        assert_eq!(more, ["iss", "jti"]);
        assert!(keys_of(&example_claims).iter().all(|key| claims.get(key).is_some()));
        let life = |claims: &Value| claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!((life(&example_claims), life(&claims)), (3600, 60));
        assert_eq!((&claims["sub"], &claims["iss"]), (&example_claims["sub"], &example_claims["sub"]));
        assert_eq!(
            claims["aud"].as_str().unwrap().strip_prefix(&server.url),
            example_claims["aud"].as_str().unwrap().strip_prefix("https://example-domain")
        );
        seen.push(claims["jti"].clone());
    }
    assert!(seen.len() == 2 && seen[0] != seen[1], "a jti for each attempt: {seen:?}");
}

const ONENCE_200_EXAMPLE: &str =
    "/paths/~1oauth~1token/post/responses/200/content/application~1json/examples/Success/value";
const ONENCE_400_EXAMPLES: &str = "/paths/~1oauth~1token/post/responses/400/content/application~1json/examples";
const WORLDLINE_400: &str =
    "/paths/~1realms~1{realm}~1protocol~1openid-connect~1token/post/responses/400/content/application~1json/schema";

async fn token(answer: &Value) -> AccessToken {
    Server::answering(json(200, &answer.to_string())).await.onence().exchange().await.unwrap()
}

/// The examples of a schema's properties, put together; those of numbers among them.
fn property_examples(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().unwrap();
    let examples =
        properties.iter().filter_map(|(name, property)| Some((name.clone(), property.get("example")?.clone())));
    Value::Object(examples.collect::<Map<_, _>>())
}

fn keys_of(value: &Value) -> Vec<String> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}
