//! What a schema allows, the generated type reads and writes again, and nothing of it is lost: for each schema of our APIs, and of
//! some that look like others', documents made by chance, which a validator has taken.
#![cfg(test)]

mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use access_tokens_codegen::{Spec, generate};
use jsonschema::{Draft, Validator};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use support::work_tree::{cargo, copy_work_tree, output_of, skipped, target_of_copies};

const SHAPES: &str = "tests/fixtures/shapes";
/// Of each schema, that the validator takes.
const DOCUMENTS: usize = 1000;
/// Deeper than this only what has to be there is.
const DEPTH: usize = 4;

#[test]
fn a_schema_that_loses_something_is_refused() {
    specifications();
}

/// All specifications, and the fixtures that preflight lets pass.
fn specifications() -> tempfile::TempDir {
    // One by one, since some are refused; and then together.
    let all = tempfile::tempdir().unwrap();
    let mut refused = String::new();
    let mut fixtures: Vec<PathBuf> = fs::read_dir(SHAPES).unwrap().map(|entry| entry.unwrap().path()).collect();
    fixtures.sort();
    for file in fixtures {
        let alone = tempfile::tempdir().unwrap();
        let name = file.file_name().unwrap();
        fs::copy(&file, alone.path().join(name)).unwrap();
        match generate(alone.path()) {
            Ok(_) => _ = fs::copy(&file, all.path().join(name)).unwrap(),
            Err(error) => writeln!(refused, "{error}").unwrap(),
        }
    }
    insta::assert_snapshot!("refused", refused);
    for entry in fs::read_dir("specs").unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, all.path().join(path.file_name().unwrap())).unwrap();
    }
    all
}

#[test]
#[ignore = "compiles a program, and sends it a thousand documents of each schema"]
fn what_a_schema_allows_is_read_and_written_again_whole() {
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("round-trips");
    if let Err(why) = copy_work_tree(&workspace) {
        return skipped(&why);
    }
    let generated = generate(specifications().path()).unwrap();
    let mut types = BTreeMap::new();
    for (name, code) in &generated.files {
        fs::write(workspace.join("crates/access-tokens-raw/generated").join(name), code).unwrap();
        types.extend(code.lines().filter_map(|line| {
            let line = line.strip_prefix("    pub struct ").or_else(|| line.strip_prefix("    pub enum "))?;
            let rust = line.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            let module = name.strip_suffix(".rs")?;
            Some(((module.to_owned(), plain(rust)), rust.to_owned()))
        }));
    }
    let mut untyped = Vec::new();
    let schemas: Vec<_> = generated.specs.iter().flat_map(|spec| schemas(spec, &types, &mut untyped)).collect();
    assert!(schemas.len() > 60, "{}", schemas.len());
    assert_eq!(untyped, [""; 0], "there is no type of these");

    let mut sent = Vec::new();
    let mut few = Vec::new();
    for schema in &schemas {
        let documents = schema.documents();
        if documents.len() < DOCUMENTS {
            few.push(format!("{}: {} documents", schema.rust(), documents.len()));
        }
        sent.extend(documents.into_iter().map(|document| (schema, document)));
    }
    // Chance has no way to everything that a further API may demand.
    assert!(few.len() * 20 < schemas.len(), "too few are valid: {few:?}");
    let program = program(&workspace, &schemas);
    let lines: String =
        sent.iter().map(|(schema, document)| format!("{}\n", json!([schema.rust(), document]))).collect();
    let written = run(&program, &lines);
    assert_eq!(written.len(), sent.len());

    let mut lost: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((schema, document), written) in sent.iter().zip(&written) {
        let problem = match written {
            Err(error) => Some(format!("isn't read: {error}")),
            Ok(written) if !schema.validator.is_valid(written) => Some(format!("becomes {written}, which isn't valid")),
            Ok(written) if !schema.same(document, written) => Some(format!("becomes {written}")),
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            lost.entry(schema.rust()).or_default().push(format!("{document}\n    {problem}"));
        }
    }
    let report: String = lost
        .iter_mut()
        .map(|(schema, problems)| {
            problems.sort_by_key(String::len);
            format!("{schema}: {} documents, such as {}\n", problems.len(), problems[0])
        })
        .collect();
    assert!(lost.is_empty(), "{report}");
}

/// A component, and the type that is made of it.
struct Schema<'a> {
    module: &'a str,
    rust: String,
    document: &'a Value,
    schema: &'a Value,
    validator: Validator,
    /// What the document has for members that are left out.
    defaults: Vec<(String, Value)>,
}

/// Those that no type is made of go into `untyped`.
fn schemas<'a>(
    spec: &'a Spec,
    types: &BTreeMap<(String, String), String>,
    untyped: &mut Vec<String>,
) -> Vec<Schema<'a>> {
    let components = &spec.document["components"]["schemas"];
    let mut translated = components.clone();
    translate(&mut translated);
    let mut defaults = Vec::new();
    collect_defaults(components, &mut defaults);
    let schemas = components.as_object().into_iter().flatten().filter_map(|(name, schema)| {
        let Some(rust) = types.get(&(spec.module.clone(), plain(name))).cloned() else {
            // One that is redacted has a type of ours.
            if schema.get("format").is_none_or(|format| format != "password") {
                untyped.push(format!("{}: {name}", spec.module));
            }
            return None;
        };
        let reference = format!("#/components/schemas/{}", name.replace('~', "~0").replace('/', "~1"));
        let schema_of_all = json!({"allOf": [{"$ref": reference}], "components": {"schemas": translated}});
        let options = jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(false);
        let validator = options.build(&schema_of_all).unwrap();
        let defaults = defaults.clone();
        Some(Schema { module: &spec.module, rust, document: &spec.document, schema, validator, defaults })
    });
    schemas.collect()
}

/// OpenAPI 3.0 to JSON Schema, draft 4.
fn translate(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(translate),
        Value::Object(map) => {
            map.values_mut().for_each(translate);
            // An empty member is as good as none, so how many there are says nothing.
            if map.get("minProperties").is_some_and(Value::is_number) {
                map.remove("minProperties");
            }
            if map.remove("nullable") == Some(Value::Bool(true)) {
                if let Some(Value::Array(values)) = map.get_mut("enum") {
                    values.push(Value::Null);
                }
                *schema = json!({"anyOf": [{"enum": [null]}, Value::Object(std::mem::take(map))]});
            }
        }
        _ => {}
    }
}

fn collect_defaults(value: &Value, defaults: &mut Vec<(String, Value)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_defaults(item, defaults)),
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(default) = value.get("default") {
                    defaults.push((name.clone(), default.clone()));
                }
                collect_defaults(value, defaults);
            }
        }
        _ => {}
    }
}

/// A name without what Rust's habits change.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Schema<'_> {
    fn rust(&self) -> String {
        format!("{}::{}", self.module, self.rust)
    }

    /// The same from run to run.
    fn documents(&self) -> Vec<Value> {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let strategy = self.strategy(self.schema, 0);
        let mut documents = Vec::new();
        for _ in 0..20 * DOCUMENTS {
            let document = strategy.new_tree(&mut runner).unwrap().current();
            if self.validator.is_valid(&document) {
                documents.push(document);
            }
            if documents.len() == DOCUMENTS {
                break;
            }
        }
        documents
    }

    fn resolved<'s>(&'s self, mut schema: &'s Value) -> &'s Value {
        while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            schema = self.document.pointer(reference.trim_start_matches('#')).unwrap();
        }
        schema
    }

    fn strategy(&self, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        let schema = self.resolved(schema);
        let strategy = self.strategy_of_kind(schema, depth);
        if schema.get("nullable") == Some(&Value::Bool(true)) {
            return prop_oneof![1 => Just(Value::Null), 4 => strategy].boxed();
        }
        strategy
    }

    fn strategy_of_kind(&self, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        let list = |key: &str| schema.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let number = |key: &str| schema.get(key).and_then(Value::as_f64);
        if !list("enum").is_empty() {
            return proptest::sample::select(list("enum")).boxed();
        }
        let alone = schema.get("properties").is_none() && schema.get("allOf").is_none();
        if let Some(choice) = self.choice(schema, depth).filter(|_| alone) {
            return choice;
        }
        let all: Vec<_> = list("allOf").iter().map(|branch| self.resolved(branch).clone()).collect();
        if let [only] = &all[..] {
            return self.strategy(only, depth);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => self.string(schema),
            Some("integer") => {
                let (least, most): (i128, i128) = match schema.get("format").and_then(Value::as_str) {
                    Some("int8") => (i8::MIN.into(), i8::MAX.into()),
                    Some("uint8") => (0, u8::MAX.into()),
                    Some("int16") => (i16::MIN.into(), i16::MAX.into()),
                    Some("uint16") => (0, u16::MAX.into()),
                    Some("int32") => (i32::MIN.into(), i32::MAX.into()),
                    Some("uint" | "uint32") => (0, u32::MAX.into()),
                    Some("uint64") => (0, u64::MAX.into()),
                    _ => (i64::MIN.into(), i64::MAX.into()),
                };
                let least = number("minimum").map_or(least, |bound| least.max(bound as i128));
                let most = number("maximum").map_or(most, |bound| most.min(bound as i128));
                let near = 0.clamp(least, most);
                let near = near.saturating_sub(9).max(least)..=near.saturating_add(9).min(most);
                let any = prop_oneof![4 => near, 1 => Just(least), 1 => Just(most), 2 => least..=most];
                any.prop_map(|number| serde_json::from_str(&number.to_string()).unwrap()).boxed()
            }
            Some("number") => {
                // Few digits, so that a number of 32 bits has them all.
                let number =
                    prop_oneof![(-800_i32..800).prop_map(|eighths| f64::from(eighths) / 8.0), Just(0.0), Just(65536.0)];
                number.prop_map(|number| json!(number)).boxed()
            }
            Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
            Some("array") => {
                let least = number("minItems").unwrap_or(0.0) as usize;
                let most = number("maxItems").map_or(least + 3, |most| most as usize);
                let most = if depth > DEPTH { least } else { most };
                let items = schema.get("items").cloned().unwrap_or_default();
                // What can't be made without end isn't begun.
                if most == 0 {
                    return Just(json!([])).boxed();
                }
                vec(self.strategy(&items, depth + 1), least..=most).prop_map(Value::from).boxed()
            }
            None if all.is_empty()
                && schema.get("properties").is_none()
                && schema.get("additionalProperties").is_none() =>
            {
                anything()
            }
            _ => self.object(schema, &all, depth),
        }
    }

    /// One of the branches; of objects to choose any number from, two at once as well.
    fn choice(&self, schema: &Value, depth: usize) -> Option<BoxedStrategy<Value>> {
        let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
        let mut branches: Vec<_> = branches.iter().map(|branch| self.strategy(branch, depth + 1)).collect();
        if let (Some(_), [one, other, ..]) = (schema.get("anyOf"), &branches[..]) {
            let both = (one.clone(), other.clone()).prop_map(|both| match both {
                (Value::Object(one), Value::Object(other)) => Value::Object(one.into_iter().chain(other).collect()),
                (one, _) => one,
            });
            branches.push(both.boxed());
        }
        Some(proptest::strategy::Union::new(branches).boxed())
    }

    fn string(&self, schema: &Value) -> BoxedStrategy<Value> {
        let length = |key: &str| schema.get(key).and_then(Value::as_u64).map(|length| usize::try_from(length).unwrap());
        let (least, most) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(40));
        let text = match (schema.get("pattern").and_then(Value::as_str), schema.get("format").and_then(Value::as_str)) {
            (Some(pattern), _) if proptest::string::string_regex(pattern).is_ok() => {
                proptest::string::string_regex(pattern).unwrap().boxed()
            }
            (_, Some("uuid")) => "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}".boxed(),
            (_, Some("date-time")) => {
                "20[0-9]{2}-0[1-9]-1[0-9]T1[0-9]:[0-5][0-9]:00(\\.[0-9]{1,9})?(Z|[+-]0[0-9]:00)".boxed()
            }
            (_, Some("date")) => "20[0-9]{2}-0[1-9]-1[0-9]".boxed(),
            (_, Some("ipv6")) => "2001:db8::[1-9a-f]{1,4}".boxed(),
            (_, Some("ipv4")) => "1[0-9]\\.[0-9]\\.1[0-9]{2}\\.[1-9]".boxed(),
            _ => {
                vec(prop_oneof![4 => proptest::char::range(' ', '~'), 1 => any::<char>()], least..=most.min(least + 12))
                    .prop_map(|text| text.into_iter().collect())
                    .boxed()
            }
        };
        text.prop_map(Value::from).boxed()
    }

    fn object(&self, schema: &Value, all: &[Value], depth: usize) -> BoxedStrategy<Value> {
        let mut members = Map::new();
        let mut required = Vec::new();
        let mut others = None;
        let mut choices = Vec::new();
        let mut parts: Vec<_> = all.to_vec();
        parts.push(schema.clone());
        while let Some(part) = parts.pop() {
            let part = self.resolved(&part).clone();
            members.extend(part.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
            required.extend(part.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
            others =
                others.or_else(|| part.get("additionalProperties").filter(|others| **others != json!(false)).cloned());
            choices.extend(self.choice(&part, depth));
            if part != *schema {
                parts.extend(part.get("allOf").and_then(Value::as_array).cloned().unwrap_or_default());
            }
        }
        let mut strategy = Just(Map::new()).boxed();
        for (name, member) in members {
            let is_required = required.contains(&Value::from(name.as_str()));
            if depth > DEPTH && !is_required {
                continue;
            }
            let member = self.strategy(&member, depth + 1);
            let member = if is_required { member.prop_map(Some).boxed() } else { proptest::option::of(member).boxed() };
            strategy = (strategy, member)
                .prop_map(move |(mut object, member)| {
                    object.extend(member.map(|member| (name.clone(), member)));
                    object
                })
                .boxed();
        }
        for choice in choices {
            strategy = (strategy, choice)
                .prop_map(|(object, choice)| {
                    choice.as_object().cloned().unwrap_or_default().into_iter().chain(object).collect()
                })
                .boxed();
        }
        let free = schema.get("properties").is_none() && all.is_empty() && others.is_none();
        let others = if free { Some(json!({})) } else { others };
        if let Some(others) = others.filter(|_| depth <= DEPTH) {
            let others = match &others {
                Value::Object(schema) if !schema.is_empty() => self.strategy(&others, depth + 1),
                _ => anything(),
            };
            let others = vec(("[a-zA-Z$][a-z -]{0,6}", others), 0..3);
            strategy =
                (others, strategy).prop_map(|(others, object)| others.into_iter().chain(object).collect()).boxed();
        }
        strategy.prop_map(Value::Object).boxed()
    }

    /// Numbers by value; an optional member that is null, or empty, is as good as none; one that is missing is its default.
    fn same(&self, one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| self.same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                let none = |value: &Value| match value {
                    Value::Null => true,
                    Value::Array(items) => items.is_empty(),
                    Value::Object(members) => members.is_empty(),
                    _ => false,
                };
                let is_default = |name: &String, value: &Value| {
                    self.defaults.iter().any(|(of, default)| of == name && self.same(default, value))
                };
                one.iter().all(|(name, value)| match other.get(name) {
                    Some(other) => self.same(value, other) || none(value) && none(other),
                    None => none(value),
                }) && other.iter().all(|(name, value)| one.contains_key(name) || none(value) || is_default(name, value))
            }
            (one, other) => one == other,
        }
    }
}

/// Any JSON value.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-800_i32..800).prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{0,3}", inner), 0..3).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

/// A program that reads documents, and writes what its types make of them.
fn program(workspace: &Path, schemas: &[Schema<'_>]) -> PathBuf {
    let program = workspace.with_file_name("round-trips-program");
    fs::create_dir_all(program.join("src")).unwrap();
    let arms: String = schemas
        .iter()
        .map(|schema| {
            format!("        {:?} => trip::<{}::types::{}>(document),\n", schema.rust(), schema.module, schema.rust)
        })
        .collect();
    let main = format!(
        r#"use std::io::{{BufRead, Write}};

use access_tokens_raw::*;
use serde_json::Value;

fn trip<T: serde::de::DeserializeOwned + serde::Serialize>(document: &str) -> Result<Value, String> {{
    let read: T = serde_json::from_str(document).map_err(|e| e.to_string())?;
    let written = serde_json::to_string(&read).map_err(|e| e.to_string())?;
    serde_json::from_str(&written).map_err(|e| e.to_string())
}}

fn dispatch(name: &str, document: &str) -> Result<Value, String> {{
    match name {{
{arms}        _ => Err(format!("no type {{name}}")),
    }}
}}

fn main() {{
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {{
        let line = line.unwrap();
        let (name, document): (String, Value) = serde_json::from_str(&line).unwrap();
        let written = dispatch(&name, &document.to_string());
        writeln!(out, "{{}}", serde_json::to_string(&written).unwrap()).unwrap();
    }}
}}
"#
    );
    fs::write(program.join("src/main.rs"), main).unwrap();
    let manifest = "\
[package]
name = \"round-trips\"
edition = \"2024\"

[workspace]

[dependencies]
access-tokens-raw = { path = \"../round-trips\", default-features = false }
serde = { version = \"1\", features = [\"derive\"] }
serde_json = \"1\"

# As this workspace has it, so that what is compiled already serves again.
[profile.dev]
debug = \"line-tables-only\"
";
    fs::write(program.join("Cargo.toml"), manifest).unwrap();
    fs::copy("Cargo.lock", program.join("Cargo.lock")).unwrap();
    output_of(cargo(&program).args(["build", "--quiet"]).env("CARGO_TARGET_DIR", target_of_copies()));
    target_of_copies().join("debug/round-trips")
}

fn run(program: &Path, lines: &str) -> Vec<Result<Value, String>> {
    let mut child = std::process::Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let feeding = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
