//! What is generated for each spec, pinned: the outline of the raw client, and the spec after its overlay.
//! `cargo xtask regen` rewrites these snapshots.
#![cfg(test)]

use access_tokens_codegen::{Generated, generate, outline};

#[test]
fn raw_clients_have_the_pinned_outline() {
    let Generated { specs, files, .. } = generate("specs".as_ref()).unwrap();
    for spec in specs {
        let text = outline(&files[&format!("{}.rs", spec.module)]).unwrap();
        insta::assert_snapshot!(spec.module, text);
    }
}

#[test]
fn overlaid_specs_are_the_pinned_ones() {
    for spec in generate("specs".as_ref()).unwrap().specs {
        let text = spec.overlaid_yaml().unwrap();
        insta::assert_snapshot!(format!("{}_overlaid", spec.module), text);
    }
}
