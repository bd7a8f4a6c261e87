//! What is said of changes that are made to the specifications of this repository, and to `changes.yaml` where those lack
//! what is changed. Each snapshot holds one theme: the change's name, then the lines that are said of it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use access_tokens_codegen::{Effect, spec_changes};
use serde_json::{Map, Value, json};

const SPECS: [(&str, &str); 3] = [
    ("onence", include_str!("../../../specs/onence.openapi.yaml")),
    ("worldline", include_str!("../../../specs/worldline.openapi.yaml")),
    ("pets", include_str!("changes.yaml")),
];
const NCE: &str = "onence";
const WL: &str = "worldline";
const PETS: &str = "pets";

const NCE_POST: &str = "/paths/~1oauth~1token/post";
const WL_PATH: &str = "/paths/~1realms~1{realm}~1protocol~1openid-connect~1token";
const PET: &str = "/components/schemas/Pet";

/// The change's name, the specification, and what is done to it.
type Case = (&'static str, &'static str, fn(&mut Spec));

#[test]
fn requests() {
    let cases: &[Case] = &[
        ("an optional member", WL, |s| {
            s.put("/components/schemas/ClientJwtRequest/properties/tenant", json!({"type": "string"}))
        }),
        ("a required member", WL, |s| {
            s.put("/components/schemas/ClientJwtRequest/properties/tenant", json!({"type": "string"}));
            s.put("/components/schemas/ClientJwtRequest/required/4", json!("tenant"));
        }),
        ("a member gone", WL, |s| {
            s.cut("/components/schemas/ClientCredentialsRequest/properties/client_secret");
            s.cut("/components/schemas/ClientCredentialsRequest/required/3");
        }),
        ("a member no longer required", WL, |s| drop(s.cut("/components/schemas/ClientCredentialsRequest/required/1"))),
        ("an optional member becomes required", PETS, |s| s.put("/components/schemas/Query/required", json!(["text"]))),
        ("a query parameter that may be left out", NCE, |s| {
            s.put(
                &format!("{NCE_POST}/parameters"),
                json!([{"name": "a", "in": "query", "schema": {"type": "string"}}]),
            );
        }),
        ("a header that must be sent", NCE, |s| {
            let header = json!([{"name": "X-A", "in": "header", "required": true, "schema": {"type": "string"}}]);
            s.put(&format!("{NCE_POST}/parameters"), header);
        }),
        ("a parameter gone", PETS, |s| drop(s.cut("/paths/~1pets~1{id}/get/parameters/0"))),
        ("a parameter becomes required", PETS, |s| s.put("/paths/~1pets~1{id}/get/parameters/0/required", json!(true))),
        ("a shared parameter becomes required", PETS, |s| s.put("/components/parameters/Trace/required", json!(true))),
        ("a parameter in another style", PETS, |s| s.put("/paths/~1pets~1{id}/get/parameters/1/explode", json!(false))),
        ("the usual style, said", PETS, |s| s.put("/paths/~1pets~1{id}/get/parameters/1/style", json!("form"))),
        ("a parameter of the operation is the path's", PETS, |s| {
            let parameter = s.cut("/paths/~1pets~1{id}/get/parameters/0");
            s.put("/paths/~1pets~1{id}/parameters/1", parameter);
        }),
        ("form to JSON", WL, |s| {
            s.rename(
                &format!("{WL_PATH}/post/requestBody/content"),
                "application/x-www-form-urlencoded",
                "application/json",
            );
        }),
        ("one more media type", NCE, |s| {
            s.put(&format!("{NCE_POST}/requestBody/content/text~1plain"), json!({"schema": {"type": "string"}}));
        }),
        ("one media type less", PETS, |s| drop(s.cut("/paths/~1search/post/requestBody/content/text~1plain"))),
        ("the body is optional", NCE, |s| drop(s.cut(&format!("{NCE_POST}/requestBody/required")))),
        ("the body is required", WL, |s| s.put(&format!("{WL_PATH}/post/requestBody/required"), json!(true))),
        ("a shared body is required", PETS, |s| s.put("/components/requestBodies/PetBody/required", json!(true))),
        ("the body is gone", NCE, |s| drop(s.cut(&format!("{NCE_POST}/requestBody")))),
        ("a further branch", WL, |s| {
            s.put("/components/schemas/Third", json!({"type": "object"}));
            let schema = "/requestBody/content/application~1x-www-form-urlencoded/schema/oneOf/2";
            s.put(&format!("{WL_PATH}/post{schema}"), json!({"$ref": "#/components/schemas/Third"}));
        }),
        ("a branch gone", WL, |s| {
            s.cut(&format!("{WL_PATH}/post/requestBody/content/application~1x-www-form-urlencoded/schema/oneOf/1"));
        }),
        ("another default", NCE, |s| {
            let place = "/requestBody/content/application~1json/schema/properties/grant_type/default";
            s.put(&format!("{NCE_POST}{place}"), json!("password"));
        }),
        ("longer and shorter", PETS, |s| s.put("/components/schemas/Query/properties/text/maxLength", json!(9))),
        ("a parameter's bound", PETS, |s| s.put("/paths/~1pets~1{id}/get/parameters/0/schema/maximum", json!(200))),
        ("another pattern", PETS, |s| s.put("/components/schemas/Query/properties/text/pattern", json!("^b"))),
        ("number to whole number", PETS, |s| s.put("/components/schemas/Query/properties/size/type", json!("integer"))),
        ("undeclared members are welcome", PETS, |s| drop(s.cut("/components/schemas/Query/additionalProperties"))),
        ("another server", NCE, |s| s.put("/servers/0/url", json!("https://api.1nce.example/management-api"))),
        ("a further server", NCE, |s| s.put("/servers/1", json!({"url": "https://eu.1nce.example"}))),
        ("a further server, which is the first", NCE, |s| {
            s.at("/servers").as_array_mut().unwrap().insert(0, json!({"url": "https://eu.1nce.example"}));
        }),
        ("servers in another order", PETS, |s| s.at("/servers").as_array_mut().unwrap().reverse()),
        ("another default stage", PETS, |s| s.put("/servers/1/variables/stage/default", json!("test"))),
        ("a stage gone", PETS, |s| drop(s.cut("/servers/1/variables/stage/enum/1"))),
        ("no security", NCE, |s| s.put(&format!("{NCE_POST}/security"), json!([]))),
        ("security that wasn't", WL, |s| {
            s.put("/components/securitySchemes", json!({"key": {"type": "apiKey", "in": "header", "name": "K"}}));
            s.put("/security", json!([{"key": []}]));
        }),
        ("one of two proofs gone", PETS, |s| drop(s.cut("/security/1"))),
        ("a further proof", PETS, |s| s.put("/paths/~1pets~1{id}/put/security/1", json!({"login": ["read"]}))),
        ("another scheme", NCE, |s| s.put("/components/securitySchemes/BasicAuthentication/scheme", json!("bearer"))),
        ("another place for the tokens of a scheme", PETS, |s| {
            s.put("/components/securitySchemes/login/flows/clientCredentials/tokenUrl", json!("https://c.example"));
        }),
    ];
    insta::assert_snapshot!(report(cases));
}

#[test]
fn responses() {
    let cases: &[Case] = &[
        ("a member more", NCE, |s| {
            s.put("/components/schemas/Bearer_Token_200/properties/id", json!({"type": "string"}))
        }),
        ("a member more, where none is welcome", WL, |s| {
            s.put("/components/schemas/TokenResponse/properties/id", json!({"type": "string"}));
        }),
        ("a member more, where others were of a type", PETS, |s| {
            s.put("/components/schemas/Problem/properties/code", json!({"type": "integer"}));
        }),
        ("an optional member gone", NCE, |s| drop(s.cut("/components/schemas/Bearer_Token_200/properties/scope"))),
        ("a required member gone", WL, |s| {
            s.cut("/components/schemas/TokenResponse/properties/scope");
            s.cut("/components/schemas/TokenResponse/required/5");
        }),
        ("a member no longer required", WL, |s| drop(s.cut("/components/schemas/TokenResponse/required/5"))),
        ("a member becomes required", NCE, |s| {
            s.put("/components/schemas/Bearer_Token_200/required", json!(["access_token"]));
        }),
        ("a member of another type", NCE, |s| {
            s.put("/components/schemas/Bearer_Token_200/properties/expires_in/type", json!("string"));
        }),
        ("whole number to number", WL, |s| {
            s.put("/components/schemas/TokenResponse/properties/expires_in/type", json!("number"))
        }),
        ("a member without a type", WL, |s| {
            drop(s.cut("/components/schemas/TokenResponse/properties/expires_in/type"))
        }),
        ("a further value", NCE, |s| {
            s.put("/components/schemas/Bearer_Token_400/properties/errorCode/enum/4", json!("RateLimit"));
        }),
        ("a value gone", NCE, |s| drop(s.cut("/components/schemas/Bearer_Token_400/properties/errorCode/enum/1"))),
        ("any value", NCE, |s| drop(s.cut("/components/schemas/Bearer_Token_400/properties/errorCode/enum"))),
        ("values written as a choice", NCE, |s| {
            s.put(
                "/components/schemas/Bearer_Token_400/properties/errorCode",
                json!({"oneOf": [
                    {"type": "string", "enum": ["BadCredentials", "AuthValidationError"]},
                    {"type": "string", "enum": ["BodyValidationError", "UnsupportedContentTypeError"]},
                ]}),
            );
        }),
        ("a reference with a comment", PETS, |s| {
            let reference = json!({"description": "Who", "allOf": [{"$ref": "#/components/schemas/Pet"}]});
            s.put(&format!("{PET}/properties/parent"), reference);
        }),
        ("a further status", WL, |s| {
            s.put(&format!("{WL_PATH}/post/responses/429"), json!({"description": "Slow down"}))
        }),
        ("a further status where others have a reading", PETS, |s| {
            s.put("/paths/~1pets~1{id}/get/responses/404", json!({"description": "No such pet"}));
        }),
        ("a status gone", NCE, |s| drop(s.cut(&format!("{NCE_POST}/responses/404")))),
        ("a default response", NCE, |s| {
            s.put(&format!("{NCE_POST}/responses/default"), json!({"description": "Else"}))
        }),
        ("JSON to XML", WL, |s| {
            s.rename(&format!("{WL_PATH}/post/responses/200/content"), "application/json", "application/xml");
        }),
        ("JSON to XML, and a further status", WL, |s| {
            s.rename(&format!("{WL_PATH}/post/responses/200/content"), "application/json", "application/xml");
            s.put(&format!("{WL_PATH}/post/responses/429"), json!({"description": "Slow down"}));
        }),
        ("JSON where there was nothing, and a further status", NCE, |s| {
            s.put(
                &format!("{NCE_POST}/responses/404/content"),
                json!({"application/json": {"schema": {"type": "object"}}}),
            );
            s.put(&format!("{NCE_POST}/responses/429"), json!({"description": "Slow down"}));
        }),
        ("may be null", WL, |s| s.put("/components/schemas/TokenResponse/properties/scope/nullable", json!(true))),
        ("can't be null", PETS, |s| drop(s.cut("/components/schemas/Dog/properties/barks/nullable"))),
        ("a format", WL, |s| s.put("/components/schemas/TokenResponse/properties/expires_in/format", json!("int64"))),
        ("a secret", WL, |s| {
            s.put("/components/schemas/TokenResponse/properties/access_token/format", json!("password"))
        }),
        ("another default", NCE, |s| {
            s.put("/components/schemas/Bearer_Token_200/properties/expires_in/default", json!(60))
        }),
        ("undeclared members", WL, |s| drop(s.cut("/components/schemas/TokenResponse/additionalProperties"))),
        ("undeclared members of another type", PETS, |s| {
            s.put("/components/schemas/Problem/additionalProperties/type", json!("integer"));
        }),
        ("a header gone", PETS, |s| drop(s.cut("/paths/~1pets~1{id}/get/responses/200/headers/X-Left"))),
        ("a header of another type", PETS, |s| {
            s.put("/paths/~1pets~1{id}/get/responses/200/headers/X-Left/schema/type", json!("string"));
        }),
        ("a further branch and its name", PETS, |s| {
            s.put("/components/schemas/Cow", json!({"type": "object"}));
            s.put("/components/schemas/Animal/oneOf/2", json!({"$ref": "#/components/schemas/Cow"}));
            s.put("/components/schemas/Animal/discriminator/mapping/cow", json!("#/components/schemas/Cow"));
        }),
        ("branches in another order", PETS, |s| {
            s.at("/components/schemas/Animal/oneOf").as_array_mut().unwrap().reverse()
        }),
        ("another discriminator", PETS, |s| {
            s.put("/components/schemas/Animal/discriminator/propertyName", json!("type"));
        }),
        ("in both directions: narrower", PETS, |s| s.put(&format!("{PET}/properties/name/maxLength"), json!(10))),
        ("in both directions: wider", PETS, |s| s.put(&format!("{PET}/properties/state/enum/2"), json!("missing"))),
        ("in both directions: other", PETS, |s| s.put(&format!("{PET}/properties/age/type"), json!("string"))),
        ("in both directions: a member gone", PETS, |s| drop(s.cut(&format!("{PET}/properties/weight")))),
        ("in both directions: a member that must be", PETS, |s| s.put(&format!("{PET}/required/1"), json!("age"))),
    ];
    insta::assert_snapshot!(report(cases));
}

#[test]
fn documentation() {
    let cases: &[Case] = &[
        ("a short description", NCE, |s| s.put(&format!("{NCE_POST}/responses/404/description"), json!("Gone"))),
        ("a long description", NCE, |s| s.put(&format!("{NCE_POST}/description"), json!("Word ".repeat(30)))),
        ("a version", NCE, |s| s.put("/info/version", json!("v2.2.0"))),
        ("who to ask", NCE, |s| {
            s.put("/info/contact/email", json!("help@1nce.com"));
            s.put("/info/license", json!({"name": "MIT"}));
        }),
        ("tags", PETS, |s| {
            s.put("/tags/0/description", json!("Pets"));
            s.put("/tags/1", json!({"name": "new"}));
            s.put("/paths/~1pets~1{id}/get/tags", json!(["new", "pets"]));
        }),
        ("a title", NCE, |s| s.put("/components/schemas/Bearer_Token_200/title", json!("Token"))),
        ("examples", NCE, |s| {
            s.put(
                &format!("{NCE_POST}/responses/200/content/application~1json/examples/Success/value/score"),
                json!("some"),
            );
            s.put("/components/schemas/Bearer_Token_400/properties/message/example", json!("No"));
            s.cut(&format!("{NCE_POST}/requestBody/content/application~1json/examples"));
        }),
        ("keywords in an example and an extension", PETS, |s| {
            s.put("/components/schemas/Query/example/$ref", json!("elsewhere"));
            s.put("/x-notes/enum/0", json!(2));
        }),
        ("members called `description` and `example`", PETS, |s| {
            s.put(&format!("{PET}/properties/description/type"), json!("boolean"));
            s.cut(&format!("{PET}/properties/example"));
        }),
        ("deprecated", NCE, |s| s.put(&format!("{NCE_POST}/deprecated"), json!(true))),
        ("what holds anyway, said", PETS, |s| {
            s.put("/paths/~1pets~1{id}/get/deprecated", json!(false));
            s.put(&format!("{PET}/additionalProperties"), json!(true));
            s.put("/components/schemas/Unused/required", json!([]));
        }),
        ("what a scheme is for", NCE, |s| {
            s.put("/components/securitySchemes/BasicAuthentication/description", json!("Basic"))
        }),
        ("order that says nothing", WL, |s| {
            s.at("/components/schemas/TokenResponse/required").as_array_mut().unwrap().reverse();
        }),
        ("order of values, tags and proofs", PETS, |s| {
            for list in
                ["/tags", "/security", "/paths/~1pets~1{id}/get/tags", "/components/schemas/Pet/properties/state/enum"]
            {
                s.at(list).as_array_mut().unwrap().reverse();
            }
        }),
    ];
    insta::assert_snapshot!(report(cases));
}

#[test]
fn structure() {
    let cases: &[Case] = &[
        ("a further operation", NCE, |s| {
            s.put(
                "/paths/~1oauth~1revoke",
                json!({"post": {"operationId": "revoke", "responses": {"200": {"description": ""}}}}),
            );
        }),
        ("an operation gone", PETS, |s| drop(s.cut("/paths/~1pets~1{id}/put"))),
        ("a renamed operation", WL, |s| s.put(&format!("{WL_PATH}/post/operationId"), json!("createToken"))),
        ("another path", NCE, |s| s.rename("/paths", "/oauth/token", "/oauth2/token")),
        ("another path, and more", NCE, |s| {
            let header = json!([{"name": "X-A", "in": "header", "required": true, "schema": {"type": "string"}}]);
            s.put(&format!("{NCE_POST}/parameters"), header);
            s.rename("/paths", "/oauth/token", "/oauth2/token");
        }),
        ("another name in the path", WL, |s| {
            s.put(&format!("{WL_PATH}/post/parameters/0/name"), json!("tenant"));
            s.rename(
                "/paths",
                "/realms/{realm}/protocol/openid-connect/token",
                "/realms/{tenant}/protocol/openid-connect/token",
            );
        }),
        ("another method", NCE, |s| s.rename("/paths/~1oauth~1token", "post", "put")),
        ("an inline schema is given a name", WL, |s| {
            let place = format!("{WL_PATH}/post/responses/400/content/application~1json/schema");
            let schema = s.cut(&place);
            s.put("/components/schemas/Error", schema);
            s.put(&place, json!({"$ref": "#/components/schemas/Error"}));
        }),
        ("a schema is renamed, and a member gone", WL, |s| {
            s.rename("/components/schemas", "TokenResponse", "Token");
            s.cut("/components/schemas/Token/properties/token_type");
            let place = format!("{WL_PATH}/post/responses/200/content/application~1json/schema/$ref");
            s.put(&place, json!("#/components/schemas/Token"));
        }),
        ("a schema is renamed", PETS, |s| {
            s.rename("/components/schemas", "Problem", "Trouble");
            let place = "/paths/~1pets~1{id}/get/responses/default/content/application~1json/schema/$ref";
            s.put(place, json!("#/components/schemas/Trouble"));
        }),
        ("a schema that holds itself is renamed", PETS, |s| {
            s.rename("/components/schemas", "Pet", "Animate");
            for place in [
                "/paths/~1pets~1{id}/get/responses/200/content/application~1json/schema",
                "/paths/~1pets~1{id}/put/responses/200/content/application~1json/schema",
                "/components/requestBodies/PetBody/content/application~1json/schema",
                "/components/schemas/Animate/properties/parent",
            ] {
                s.put(&format!("{place}/$ref"), json!("#/components/schemas/Animate"));
            }
        }),
        ("a schema in use is gone", WL, |s| drop(s.cut("/components/schemas/TokenResponse"))),
        ("a schema that nothing uses", PETS, |s| {
            s.put("/components/schemas/Unused/properties/a/type", json!("integer"))
        }),
        ("what can't be compared: a shared body is another in place", PETS, |s| {
            s.put(
                "/paths/~1pets~1{id}/put/requestBody",
                json!({"content": {"text/plain": {"schema": {"type": "string"}}}}),
            );
            s.put("/paths/~1pets~1{id}/get/parameters/0/required", json!(true));
        }),
        ("references in a circle", PETS, |s| {
            s.put("/components/schemas/Unused", json!({"$ref": "#/components/schemas/Unused"}));
            s.put("/components/schemas/Cat", json!({"oneOf": [{"$ref": "#/components/schemas/Cat"}]}));
            s.put("/paths/~1pets~1{id}/get/parameters/0/required", json!(true));
        }),
        ("what callbacks expect", PETS, |s| drop(s.cut("/paths/~1search/post/callbacks"))),
        ("a keyword of another version", PETS, |s| s.put(&format!("{PET}/const"), json!(1))),
        ("OpenAPI 3.0.3", NCE, |s| s.put("/openapi", json!("3.0.3"))),
        ("OpenAPI 3.1", NCE, |s| s.put("/openapi", json!("3.1.0"))),
        ("not OpenAPI", NCE, |s| *s.at("") = json!({"swagger": "2.0"})),
        ("not even an object", NCE, |s| *s.at("") = json!([1])),
        ("lists that aren't", NCE, |s| {
            s.put("/servers", json!(1));
            s.put("/tags", json!({}));
            s.put("/paths", json!("none"));
            s.put("/components/schemas/Bearer_Token_200/properties", json!([]));
        }),
    ];
    insta::assert_snapshot!(report(cases));
}

#[test]
fn no_difference_of_onence_goes_unreported() {
    each_difference_is_reported(NCE);
}

#[test]
fn no_difference_of_worldline_goes_unreported() {
    each_difference_is_reported(WL);
}

#[test]
fn no_difference_of_the_made_one_goes_unreported() {
    each_difference_is_reported(PETS);
}

fn each_difference_is_reported(name: &str) {
    let old = spec(name);
    assert_eq!(spec_changes(&old, &old), [], "{name}");
    let mut places = Vec::new();
    all_places(&old, String::new(), &mut places);
    let (mut tried, mut missed) = (0, Vec::<String>::new());
    for place in &places {
        let value = old.pointer(place).unwrap().clone();
        let mut edits: Vec<(String, Spec)> = Vec::new();
        let mut edit = |what: &str, edit: &dyn Fn(&mut Spec)| {
            let mut spec = Spec(old.clone());
            edit(&mut spec);
            edits.push((what.to_owned(), spec));
        };
        match &value {
            Value::Object(_) => edit("a further member", &|s| s.put(&format!("{place}/zz"), json!("zz"))),
            Value::Array(items) => edit("a further item", &|s| s.put(&format!("{place}/{}", items.len()), json!("zz"))),
            Value::String(text) => edit("another text", &|s| *s.at(place) = json!(format!("{text}z"))),
            Value::Number(number) => edit("another number", &|s| *s.at(place) = json!(number.as_f64().unwrap() + 1.0)),
            Value::Bool(flag) => edit("the other", &|s| *s.at(place) = json!(!flag)),
            Value::Null => {}
        }
        edit("another type", &|s| *s.at(place) = if value.is_i64() { json!({"zz": 1}) } else { json!(4711) });
        if !place.is_empty() {
            edit("gone", &|s| drop(s.cut(place)));
        }
        for (what, Spec(new)) in edits {
            // What came may go, too; of other changes, back is no other kind.
            let back = ["a further member", "a further item", "gone"].contains(&what.as_str());
            for (old, new) in [(&old, &new), (&new, &old)].into_iter().take(if back { 2 } else { 1 }) {
                let changes = spec_changes(old, new);
                let near = |pointer: &str| {
                    let within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
                    // In a list those behind it move up.
                    let list = place.rsplit_once('/').map_or("", |(list, _)| list);
                    within(pointer, place)
                        || within(place, pointer)
                        || (old.pointer(list).is_some_and(Value::is_array) && within(pointer, list))
                };
                if !changes.iter().any(|change| near(&change.pointer)) {
                    missed.push(format!("{name}: {what} at {place}: {changes:?}"));
                }
                tried += 1;
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(tried > 400, "{name}: {tried}");
}

#[test]
fn order_of_keys_is_no_difference() {
    for (name, old) in specs() {
        let new = reversed(&old);
        assert_ne!(old.to_string(), new.to_string());
        assert_eq!(spec_changes(&old, &new), [], "{name}");
    }
}

#[test]
fn what_matters_most_is_said_first() {
    let old = spec(PETS);
    let mut new = Spec(old.clone());
    new.put("/info/title", json!("Other"));
    new.put("/servers/2", json!({"url": "https://c.example"}));
    new.put("/components/schemas/Query/properties/text/pattern", json!("b"));
    new.put(&format!("{PET}/properties/age/type"), json!("string"));
    let effects: Vec<_> = spec_changes(&old, &new.0).iter().map(|change| change.effect).collect();
    assert_eq!(
        effects,
        [
            Effect::BreakingForRequests,
            Effect::BreakingForResponses,
            Effect::Unknown,
            Effect::Compatible,
            Effect::Documentation,
        ]
    );
}

fn spec(name: &str) -> Value {
    let (_, text) = SPECS.iter().find(|(other, _)| *other == name).unwrap();
    serde_yaml::from_str(text).unwrap()
}

fn specs() -> impl Iterator<Item = (&'static str, Value)> {
    SPECS.into_iter().map(|(name, _)| (name, spec(name)))
}

fn report(cases: &[Case]) -> String {
    let case = |(name, base, edit): &Case| {
        let old = spec(base);
        let mut new = Spec(old.clone());
        edit(&mut new);
        assert_ne!(old.to_string(), new.0.to_string(), "{name}");
        let lines =
            spec_changes(&old, &new.0).into_iter().map(|c| format!("{}  {}\n    {}\n", c.effect, c.pointer, c.what));
        let lines: String = lines.collect();
        format!("# {base}: {name}\n{}", if lines.is_empty() { "nothing\n" } else { &lines })
    };
    cases.iter().map(case).collect::<Vec<_>>().join("\n")
}

fn all_places(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                all_places(value, format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                all_places(value, format!("{place}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(place);
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(reversed).collect(),
        value => value.clone(),
    }
}

/// A specification that is edited by JSON pointers.
struct Spec(Value);

impl Spec {
    fn at(&mut self, pointer: &str) -> &mut Value {
        self.0.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is nowhere"))
    }

    fn put(&mut self, pointer: &str, value: Value) {
        let (parent, key) = split(pointer);
        match self.at(parent) {
            Value::Object(map) => drop(map.insert(key, value)),
            Value::Array(items) if key == items.len().to_string() => items.push(value),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            _ => panic!("{parent} holds nothing"),
        }
    }

    fn cut(&mut self, pointer: &str) -> Value {
        let (parent, key) = split(pointer);
        match self.at(parent) {
            Value::Object(map) => map.shift_remove(&key).unwrap(),
            Value::Array(items) => items.remove(key.parse().unwrap()),
            _ => panic!("{parent} holds nothing"),
        }
    }

    fn rename(&mut self, parent: &str, from: &str, to: &str) {
        let Value::Object(map) = self.at(parent) else { panic!("{parent} isn't an object") };
        *map = map
            .iter()
            .map(|(key, value)| (if key == from { to.to_owned() } else { key.clone() }, value.clone()))
            .collect();
    }
}

fn split(pointer: &str) -> (&str, String) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    (parent, key.replace("~1", "/").replace("~0", "~"))
}
