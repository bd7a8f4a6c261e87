//! `specs/quirks.yaml` is held to the specs, to the overlays and to the tests that it names.
#![cfg(test)]

use std::{collections::BTreeSet, fs, path::Path};

use access_tokens_codegen::{
    Spec, generate,
    ledger::{self, Handling, Quirk},
};

#[test]
fn every_pointer_still_holds() {
    for quirk in quirks() {
        for spec in specs_of(&quirk) {
            assert_eq!(quirk.gone(&spec.upstream), [], "{}: {}", quirk.id, spec.file());
        }
    }
}

/// So that a report can say where a quirk is handled.
#[test]
fn code_that_handles_a_quirk_names_it_and_the_other_way_round() {
    fn sources(path: &Path) -> String {
        if path.is_file() {
            return fs::read_to_string(path).unwrap();
        }
        fs::read_dir(path).unwrap().map(|entry| sources(&entry.unwrap().path())).collect()
    }
    let code = [(Handling::Facade, "crates/access-tokens/src"), (Handling::Hook, "crates/access-tokens-raw/hooks.rs")];
    for (handling, place) in code {
        // A comment says `Quirk an-id` or `Quirks an-id, another-id`, wherever its lines break.
        let text = sources(place.as_ref()).replace("//", " ");
        let words: Vec<_> = text.split_whitespace().collect();
        let mut named = BTreeSet::new();
        for (index, _) in words.iter().enumerate().filter(|(_, word)| ["Quirk", "Quirks"].contains(word)) {
            for word in &words[index + 1..] {
                named.insert(word.trim_matches(['.', ',']).to_owned());
                if !word.ends_with(',') {
                    break;
                }
            }
        }
        let handled = quirks().into_iter().filter(|quirk| quirk.handled.contains(&handling)).map(|quirk| quirk.id);
        assert_eq!(named, handled.collect(), "{place}");
    }
}

#[test]
fn every_overlay_action_names_a_quirk_that_the_overlay_handles_and_the_other_way_round() {
    let acted: BTreeSet<_> =
        specs().into_iter().flat_map(|spec| spec.quirks.into_iter().map(move |id| (spec.module.clone(), id))).collect();
    let listed: BTreeSet<_> = quirks()
        .into_iter()
        .filter(|quirk| quirk.handled.contains(&Handling::Overlay))
        .map(|quirk| (quirk.provider, quirk.id))
        .collect();
    assert_eq!(acted, listed);
}

#[test]
fn every_quirk_names_tests_that_exist() {
    for quirk in quirks() {
        assert!(!quirk.tests.is_empty(), "{} names no test", quirk.id);
        for test in &quirk.tests {
            let (file, function) = test.split_once("::").expect("path::function");
            let source = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {file}: {e}", quirk.id));
            let place = source.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("{}: no {test}", quirk.id));
            let attributes: Vec<_> = source.split_at(place).0.lines().rev().take(2).collect();
            assert!(!attributes.iter().any(|line| line.starts_with("#[ignore")), "{}: {test} doesn't run", quirk.id);
            assert!(
                attributes.iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test")),
                "{}: {test} isn't a test",
                quirk.id
            );
        }
    }
}

#[test]
fn every_quirk_is_handled_somewhere_or_knowing_is_enough() {
    for quirk in quirks() {
        assert!(!quirk.handled.is_empty(), "{}", quirk.id);
        let nothing = quirk.handled.contains(&Handling::None);
        assert!(!nothing || quirk.handled.len() == 1, "{}: none stands alone", quirk.id);
        assert!(!specs_of(&quirk).is_empty(), "{}: no such provider", quirk.id);
    }
}

fn quirks() -> Vec<Quirk> {
    ledger::read("specs".as_ref()).unwrap()
}

fn specs() -> Vec<Spec> {
    generate("specs".as_ref()).unwrap().specs
}

fn specs_of(quirk: &Quirk) -> Vec<Spec> {
    specs().into_iter().filter(|spec| quirk.provider == ledger::ALL || quirk.provider == spec.module).collect()
}
