//! A checked document to formatted Rust: openapiv3 -> progenitor -> prettyplease, with our settings and the banner.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use openapiv3::OpenAPI;
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle};
use quote::quote;
use schemars::schema::{InstanceType, SchemaObject, SingleOrVec};
use serde_json::{Map, Value, json};

use crate::{Error, Spec, docs, openapi, pointer::escape, preflight};

const BANNER: &str = "\
// @generated from the files in specs/. Do not edit: change the overlay there and run `cargo xtask regen`.\n";

/// The client of one spec.
pub(crate) fn generate(spec: &Spec) -> Result<String, Error> {
    let failed = |reason: String| Error::Generator { file: spec.file(), reason };

    let mut document = spec.document.clone();
    normalize(&mut document);
    preflight::check(spec.file(), &document)?;
    choose_one(&mut document);
    let document: OpenAPI =
        serde_path_to_error::deserialize(document).map_err(|e| failed(format!("not an OpenAPI 3.0 document: {e}")))?;
    // Preflight knows the panics of this version of the generator. One that it missed must still end as an error.
    let tokens = without_a_word(|| Generator::new(&settings()).generate_tokens(&document))
        .map_err(|panic| failed(panic_message(&*panic)))?
        .map_err(|e| failed(e.to_string()))?;
    let hooks = hooks();
    let mut file: syn::File =
        syn::parse2(quote!(#tokens #hooks)).map_err(|e| failed(format!("wrote Rust that doesn't parse: {e}")))?;
    doubled_names(&file).map_err(failed)?;
    docs::tame_all(&mut file);

    let inputs: String = spec.inputs.iter().map(|(name, hash)| format!("// {name} sha256 {hash}\n")).collect();
    Ok(format!("{BANNER}{inputs}\n{}", prettyplease::unparse(&file)))
}

/// `mod.rs`: one public module for each spec.
pub(crate) fn module_list(specs: &[Spec]) -> String {
    let modules: String = specs
        .iter()
        .map(|spec| {
            let text = |pointer| {
                let text = spec.document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            let (title, version) = (text("/info/title"), text("/info/version"));
            let docs = docs::tame(&format!("{title} {version}, from `specs/{}`.", spec.file()));
            let docs: String = docs.lines().map(|line| format!("/// {line}\n")).collect();
            format!("\n{docs}pub mod {module} {{\n    include!(\"{module}.rs\");\n}}\n", module = spec.module)
        })
        .collect();
    format!("{BANNER}{modules}")
}

fn settings() -> GenerationSettings {
    let password = SchemaObject { format: Some("password".to_owned()), ..Default::default() };
    let text =
        SchemaObject { instance_type: Some(SingleOrVec::Single(Box::new(InstanceType::String))), ..password.clone() };
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Positional)
        // A forgotten hook is a compile error.
        .with_hooks(HooksMode::Expected)
        .with_inner_type(quote!(crate::hooks::Authentication))
        // Sorted, so that what is printed of it doesn't change from run to run.
        .with_map_type("::std::collections::BTreeMap")
        .with_conversion(text, "crate::Secret", [].into_iter())
        .with_conversion(password, "crate::SecretValue", [].into_iter());
    settings
}

/// Catches a panic before anything is printed of it. Other threads' panics are printed as before.
fn without_a_word<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    outcome
}

/// What needn't trouble the generator: the `pattern` of strings and three formats, which would need further crates here to
/// check what is the server's to check, carriage returns, which no comment can hold, and bounds that every integer keeps.
fn normalize(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\r') => *text = text.replace('\r', ""),
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(members) => {
            // A property of such a name is an object.
            members.retain(|name, value| match (name.as_str(), value.as_str()) {
                ("pattern", Some(_)) => false,
                ("format", Some(format)) => !["uuid", "date", "date-time"].contains(&format),
                _ => true,
            });
            if members.get("type").is_some_and(|kind| kind == "integer") {
                boundless(members);
            }
            // As `true` or empty, the generator would drop what it says may come.
            if let Some(others) = members.get_mut("additionalProperties")
                && (*others == json!(true) || *others == json!({}))
            {
                *others = json!({"description": "Members that aren't declared."});
            }
            members.values_mut().for_each(normalize);
        }
        _ => {}
    }
}

/// Of an `anyOf` of values that may fit several branches, the generator makes an object that holds all of them, as if all were
/// objects. Where they aren't, which branch reads a value makes no difference, so it becomes a `oneOf`.
fn choose_one(document: &mut Value) {
    let mut places = Vec::new();
    plain_choices(document, document, String::new(), &mut places);
    for place in places {
        if let Some(Value::Object(schema)) = document.pointer_mut(&place)
            && !schema.contains_key("oneOf")
            && let Some(branches) = schema.shift_remove("anyOf")
        {
            schema.insert("oneOf".to_owned(), branches);
        }
    }
}

/// The pointers of the schemas with an `anyOf` of more than objects.
fn plain_choices(document: &Value, value: &Value, pointer: String, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                plain_choices(document, item, format!("{pointer}/{index}"), places);
            }
        }
        Value::Object(members) => {
            let branches = members.get("anyOf").and_then(Value::as_array);
            if branches.is_some_and(|branches| !branches.iter().all(|branch| is_object(document, branch, 0))) {
                places.push(pointer.clone());
            }
            for (name, member) in members.iter().filter(|(name, member)| !openapi::holds_values(name, member)) {
                plain_choices(document, member, format!("{pointer}/{}", escape(name)), places);
            }
        }
        _ => {}
    }
}

fn is_object(document: &Value, schema: &Value, depth: usize) -> bool {
    if depth > 16 {
        return true;
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        return target.is_some_and(|target| is_object(document, target, depth + 1));
    }
    let mut branches = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    match schema.get("type").and_then(Value::as_str) {
        Some(kind) => kind == "object",
        None => schema.get("properties").is_some() || branches.any(|branch| is_object(document, branch, depth + 1)),
    }
}

/// Takes bounds away that are beyond 64 bits, such as a minimum that was written by a program without integers.
fn boundless(members: &mut Map<String, Value>) {
    let beyond = |bound: &Value, least: bool| match bound.as_f64() {
        Some(bound) if least => bound <= i64::MIN as f64,
        Some(bound) => bound >= i64::MAX as f64,
        None => false,
    };
    for (bound, exclusive, least) in [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)] {
        if members.get(bound).is_some_and(|bound| bound.as_i64().is_none() && beyond(bound, least)) {
            members.shift_remove(bound);
            members.shift_remove(exclusive);
        }
    }
}

/// The hooks must stand in the crate that owns `Client`; the work is in the hand-written `hooks.rs`.
fn hooks() -> proc_macro2::TokenStream {
    quote! {
        impl ClientHooks<crate::hooks::Authentication> for Client {
            async fn pre<E>(
                &self,
                request: &mut reqwest::Request,
                _: &OperationInfo,
            ) -> std::result::Result<(), Error<E>> {
                crate::hooks::pre(self.inner(), request);
                Ok(())
            }

            async fn exec(
                &self,
                request: reqwest::Request,
                _: &OperationInfo,
            ) -> reqwest::Result<reqwest::Response> {
                crate::hooks::exec(self.client(), request).await
            }
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked without a message")
        .to_owned()
}

/// Two things of one name would parse, but not compile; the compiler's message wouldn't lead back to the spec.
fn doubled_names(file: &syn::File) -> Result<(), String> {
    #[derive(Default)]
    struct Names {
        doubled: Vec<String>,
    }
    impl Names {
        fn check(&mut self, what: &str, names: impl Iterator<Item = String>) {
            let mut seen = std::collections::BTreeSet::new();
            for name in names {
                if !seen.insert(name.clone()) {
                    self.doubled.push(format!("{what} `{name}`"));
                }
            }
        }
    }
    impl<'ast> syn::visit::Visit<'ast> for Names {
        fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
            let fields = item.fields.iter().filter_map(|field| field.ident.as_ref());
            self.check(&format!("field of `{}`", item.ident), fields.map(ToString::to_string));
        }
        fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
            let variants = item.variants.iter().map(|variant| variant.ident.to_string());
            self.check(&format!("variant of `{}`", item.ident), variants);
        }
        fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
            let methods = item.items.iter().filter_map(|item| match item {
                syn::ImplItem::Fn(method) => Some(method),
                _ => None,
            });
            self.check("method", methods.clone().map(|method| method.sig.ident.to_string()));
            for method in methods {
                let arguments = method.sig.inputs.iter().filter_map(|argument| match argument {
                    syn::FnArg::Typed(argument) => match &*argument.pat {
                        syn::Pat::Ident(name) => Some(name.ident.to_string()),
                        _ => None,
                    },
                    syn::FnArg::Receiver(_) => None,
                });
                self.check(&format!("argument of `{}`", method.sig.ident), arguments);
            }
        }
        fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
            if let Some((_, items)) = &item.content {
                let types = items.iter().filter_map(|item| match item {
                    syn::Item::Struct(item) => Some(item.ident.to_string()),
                    syn::Item::Enum(item) => Some(item.ident.to_string()),
                    _ => None,
                });
                self.check(&format!("type in `{}`", item.ident), types);
            }
            syn::visit::visit_item_mod(self, item);
        }
    }

    let mut names = Names::default();
    syn::visit::Visit::visit_file(&mut names, file);
    if names.doubled.is_empty() {
        Ok(())
    } else {
        Err(format!("wrote two things of one name ({}); rename one of them in the overlay", names.doubled.join(", ")))
    }
}
