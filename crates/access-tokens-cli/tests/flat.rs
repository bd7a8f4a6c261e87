//! The variables `ONENCE_*` and `WORLDLINE_*` are one more spelling of two sources, and each source is read for itself.
#![cfg(test)]

mod support;

use access_tokens_sandbox::Sandbox;

use self::support::{Folder, payments, sims};

const VARIABLES: [(&str, &[&str]); 2] = [
    ("onence", &["ONENCE_BASE_URL", "ONENCE_USERNAME", "ONENCE_PASSWORD", "ONENCE_PASSWORD_FILE"]),
    (
        "worldline",
        &[
            "WORLDLINE_BASE_URL",
            "WORLDLINE_REALM",
            "WORLDLINE_CLIENT_ID",
            "WORLDLINE_SCOPE",
            "WORLDLINE_CLIENT_SECRET",
            "WORLDLINE_CLIENT_SECRET_FILE",
            "WORLDLINE_SIGNING_KEY",
            "WORLDLINE_SIGNING_CERT",
            "WORLDLINE_SIGNING_KEY_PASSPHRASE",
            "WORLDLINE_SIGNING_KEY_PASSPHRASE_FILE",
        ],
    ),
];

const NEEDED: [(&str, &[&str]); 2] = [
    ("onence", &["ONENCE_USERNAME", "ONENCE_PASSWORD"]),
    ("worldline", &["WORLDLINE_BASE_URL", "WORLDLINE_REALM", "WORLDLINE_CLIENT_ID", "WORLDLINE_SCOPE"]),
];

fn onence(url: &str) -> [(&str, &str); 3] {
    [("ONENCE_BASE_URL", url), ("ONENCE_USERNAME", "sandbox@1nce.example"), ("ONENCE_PASSWORD", "sandbox-password")]
}

fn worldline(url: &str) -> [(&str, &str); 5] {
    [
        ("WORLDLINE_BASE_URL", url),
        ("WORLDLINE_REALM", "sandbox"),
        ("WORLDLINE_CLIENT_ID", "sandbox-client"),
        ("WORLDLINE_SCOPE", "VOP WERO"),
        ("WORLDLINE_CLIENT_SECRET", "sandbox-secret"),
    ]
}

/// The page's table of flat variables: each with its flag, which may be none, and its key.
fn table() -> Vec<(String, String, String)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap();
    let (_, rest) = page.split_once("<!-- flat: ").unwrap();
    let (table, _) = rest.split_once("<!-- /flat -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        (cells[1].clone(), cells[2].clone(), cells[3].clone())
    });
    rows.collect()
}

/// Each variable and flag sets the key that the page says, and there is none that the page doesn't have.
#[test]
fn the_page_has_the_key_of_each_variable() {
    let (folder, table) = (Folder::new(), table());
    let mut documented: Vec<_> = table.iter().map(|(variable, ..)| variable.as_str()).collect();
    let mut all = VARIABLES.map(|(_, variables)| variables).concat();
    documented.sort_unstable();
    all.sort_unstable();
    assert_eq!(documented, all);
    let word = |c: char| !(c.is_ascii_uppercase() || c == '_');
    for source in ["onence", "worldline"] {
        let help = folder.run(&["get", source, "--help"], &[]).stdout;
        for name in help.split(word).filter(|name| name.starts_with("ONENCE_") || name.starts_with("WORLDLINE_")) {
            assert!(documented.contains(&name), "{name} is in the help alone");
        }
        let flags = help.split("\n      --").skip(1).map(|text| format!("--{text}"));
        let flags = flags.filter_map(|text| {
            let (_, variable) = text.split_once("[env: ")?;
            let variable = variable.split([']', '=']).next()?;
            let flag = text.split(' ').next()?.to_owned();
            documented.contains(&variable).then(|| (variable.to_owned(), flag))
        });
        let flags: Vec<_> = flags.collect();
        for (variable, flag, _) in table.iter().filter(|(_, _, key)| key.starts_with(&format!("sources.{source}."))) {
            let found = flags.iter().find(|(of, _)| of == variable).map(|(_, flag)| flag.as_str());
            assert_eq!(found.unwrap_or_default(), flag, "the flag of {variable}");
        }
    }

    for (variable, flag, key) in &table {
        let url = "https://row.invalid/auth";
        let mut set: Vec<(&str, &str)> = if variable.starts_with("ONENCE") {
            vec![("ONENCE_USERNAME", "other"), ("ONENCE_PASSWORD", "planted-wrong")]
        } else if variable.contains("SIGNING") {
            let signing = [("WORLDLINE_SIGNING_KEY", "other"), ("WORLDLINE_SIGNING_CERT", "other")];
            [&worldline("https://other.invalid")[..4], &signing].concat()
        } else {
            worldline("https://other.invalid").to_vec()
        };
        // The secret and its file exclude each other.
        let other = variable.strip_suffix("_FILE").unwrap_or("-");
        set.retain(|(name, _)| name != variable && *name != other);
        let value = if variable.ends_with("_BASE_URL") { url } else { "row" };
        let expected = match key.rsplit('.').next().unwrap() {
            "env" => variable.clone(),
            "file" => folder.path().join(value).display().to_string(),
            _ => value.to_owned(),
        };
        let pointer = format!("/{}", key.replace('.', "/"));
        let show = folder.run(&["config", "show", "--format", "json"], &[&set[..], &[(variable, value)]].concat());
        assert_eq!((show.code, show.stderr.as_str()), (0, ""), "{variable}");
        let shown: serde_json::Value = serde_json::from_str(&show.stdout).unwrap();
        let found = shown.pointer(&pointer).unwrap_or_else(|| panic!("{variable} doesn't set {key}: {}", show.stdout));
        let found = found.get(0).unwrap_or(found);
        assert_eq!(found.as_str(), Some(expected.as_str()), "{variable}");
        // A flag takes its place, so it is what a wrong value is reported of.
        if !flag.is_empty() {
            let source = key.split('.').nth(1).unwrap();
            let said =
                folder.run(&["get", source, &format!("{flag}=\u{200b}")], &[&set[..], &[(variable, value)]].concat());
            assert_eq!(said.code, 2, "{flag}");
            assert!(said.stderr.contains(&format!("error: {flag}: ")), "{flag}: {}", said.stderr);
            assert!(!said.stderr.contains(&format!("{variable}: ")), "{flag}: {}", said.stderr);
        }
    }
}

/// What each line of the errors is about.
fn named(stderr: &str) -> Vec<&str> {
    stderr.lines().map(|line| line.strip_prefix("error: ").unwrap().split(": ").next().unwrap()).collect()
}

#[test]
fn one_variable_or_flag_makes_the_source() {
    let folder = Folder::new();
    folder.write("x", "planted-wrong");
    let none = folder.run(&["config", "check"], &[]);
    assert_eq!((none.code, none.stdout.as_str()), (2, ""));
    assert!(none.stderr.contains("there is no source; ") && none.stderr.contains("ONENCE_*"), "{}", none.stderr);
    for ((source, variables), (_, needed)) in VARIABLES.into_iter().zip(NEEDED) {
        for variable in variables {
            let value = if variable.ends_with("BASE_URL") { "https://host.invalid/auth" } else { "x" };
            let check = folder.run(&["config", "check"], &[(variable, value)]);
            assert_eq!(check.code, 2, "{variable}");
            assert!(check.stdout.starts_with(&format!("{source}: ")), "{variable}: {}", check.stdout);
            for name in needed.iter().filter(|name| !variable.starts_with(**name)) {
                assert!(check.stderr.contains(&format!("error: {name}: isn't set")), "{variable}: {}", check.stderr);
            }
            for command in [&["doctor"][..], &["doctor", source], &["get"], &["get", source], &["config", "show"]] {
                let said = folder.run(command, &[(variable, value)]);
                let shown = format!("{}{}", said.stdout, said.stderr);
                assert_eq!(said.code, 2, "{command:?} {variable}: {shown}");
                assert!(shown.contains(": isn't set"), "{command:?} {variable}: {shown}");
                assert!(!shown.contains("there is no source"), "{command:?} {variable}: {shown}");
            }
        }
        // Named, it is read even if nothing is set; and a flag counts like its variable.
        let nothing = folder.run(&["get", source], &[]);
        assert!(needed.iter().all(|name| named(&nothing.stderr).contains(name)), "{}", nothing.stderr);
    }
    let flag = folder.run(&["get", "onence", "--username", "me"], &[]);
    assert_eq!((flag.code, named(&flag.stderr)), (2, vec!["ONENCE_PASSWORD"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_takes_a_source_from_its_variables_alone() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let (onence_url, worldline_url) = (sandbox.onence_base_url(), sandbox.worldline_base_url());
    let (onence, worldline) = (onence(&onence_url), worldline(&worldline_url));
    for (source, variables) in [("onence", &onence[..]), ("worldline", &worldline)] {
        for command in [
            &["get"][..],
            &["get", source],
            &["get", "--source", source],
            &["doctor"],
            &["doctor", source],
            &["doctor", "--source", source],
            &["config", "check"],
            &["config", "check", source],
            &["config", "show"],
            &["config", "show", source],
            &["config", "show", source, "--format", "json"],
        ] {
            let said = folder.run(command, variables);
            assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{command:?}: {}", said.stdout);
        }
    }
    let both = [&onence[..], &worldline].concat();
    let check = folder.run(&["config", "check"], &both);
    let lines: Vec<_> = check.stdout.lines().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!((check.code, lines), (0, vec!["onence: ok", "worldline: ok"]));
    let which = folder.run(&["get"], &both);
    assert_eq!(which.code, 2);
    assert!(which.stderr.contains("Name one of onence, worldline"), "{}", which.stderr);
    // Beside a configuration they are two sources more.
    folder.write("config.toml", sims(&onence_url));
    for source in ["onence", "sims", "worldline"] {
        assert_eq!(folder.run(&["get", source, "--config", "config.toml"], &both).code, 0, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_goes_before_its_variable() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let url = sandbox.onence_base_url();
    let mut variables = onence("http://127.0.0.1:1");
    assert_eq!(folder.run(&["get", "onence"], &variables).code, 4);
    assert_eq!(folder.run(&["get", "onence", "--base-url", &url], &variables).code, 0);
    // Even where the variable is empty, which alone is a mistake.
    variables[0].1 = "";
    assert_eq!(folder.run(&["get", "onence", "--base-url", &url], &variables).code, 0);
    // What the flag says counts, and is what a message names.
    let empty = folder.run(&["get", "onence", "--base-url", ""], &onence(&url));
    assert_eq!((empty.code, named(&empty.stderr)), (2, vec!["--base-url"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_stands_twice_is_refused_with_both_places() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let url = sandbox.onence_base_url();
    let own = sims(&url).replace("sources.sims", "sources.onence");
    folder.write("config.toml", format!("{}\n{own}", sims(&url)));
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        folder.run(&[arguments, &["--config", "config.toml"]].concat(), environment)
    };
    assert_eq!(run(&["get", "onence"], &[]).code, 0, "without variables it is one like others");
    for (arguments, environment, both) in [
        (
            &["get", "onence"][..],
            &[("ONENCE_USERNAME", "me")][..],
            ["config.toml:7: sources.onence", "ONENCE_USERNAME"],
        ),
        (&["get", "onence", "--username", "me"], &[], ["config.toml:7: sources.onence", "--username"]),
        (
            &["config", "check"],
            &[("ONENCE_PASSWORD_FILE", "x")],
            ["config.toml:7: sources.onence", "ONENCE_PASSWORD_FILE"],
        ),
        (&["doctor"], &[("ONENCE_BASE_URL", "x")], ["config.toml:7: sources.onence", "ONENCE_BASE_URL"]),
    ] {
        let said = run(arguments, environment);
        let shown = format!("{}{}", said.stdout, said.stderr);
        assert_eq!(said.code, 2, "{arguments:?}: {shown}");
        assert!(both.iter().all(|place| shown.contains(place)), "{arguments:?}: {shown}");
        assert!(shown.contains("remove one of the two"), "{shown}");
        // The others aren't stopped by that.
        assert_eq!(run(&["get", "sims"], environment).code, 0, "{environment:?}");
    }
    let nested = [("ACCESS_TOKENS__SOURCES__ONENCE__PROVIDER", "onence"), ("ONENCE_USERNAME", "me")];
    let said = folder.run(&["config", "check"], &nested);
    assert_eq!(said.code, 2);
    assert!(nested.iter().all(|(name, _)| said.stderr.contains(name)), "{}", said.stderr);
}

/// Else a configuration that refers to `ONENCE_PASSWORD` would have two sources.
#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_a_reference_names_makes_no_source() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let by_file = sims(&sandbox.onence_base_url());
    folder.write("env.toml", by_file.replace("{ file = \"password\" }", "{ env = \"ONENCE_PASSWORD\" }"));
    folder.write("file.toml", &by_file);
    let password = ("ONENCE_PASSWORD", "sandbox-password");
    let nested = ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD");
    for (file, environment) in [("env.toml", &[password][..]), ("file.toml", &[password, nested])] {
        let check = folder.run(&["config", "check", "--config", file], environment);
        assert_eq!((check.code, check.stdout.lines().count()), (0, 1), "{}{}", check.stdout, check.stderr);
        assert!(check.stdout.starts_with("sims: ok"), "{}", check.stdout);
        assert_eq!(folder.run(&["get", "--config", file], environment).code, 0, "it is the only one");
        // Named, it is the one of the variables, and what else it needs is told.
        let named_ = folder.run(&["get", "onence", "--config", file], environment);
        assert_eq!((named_.code, named(&named_.stderr)), (2, vec!["ONENCE_USERNAME"]));
    }
    // Where no reference names it, it makes one, as another variable does beside it.
    for (file, environment) in [("file.toml", &[password][..]), ("env.toml", &[password, ("ONENCE_USERNAME", "me")])] {
        let check = folder.run(&["config", "check", "--config", file], environment);
        let lines: Vec<_> = check.stdout.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["onence", "sims"], "{}", check.stderr);
    }
}

const BROKEN: &str = "\
[sources.sims]
provider = \"onence\"
base_url = \"https://sims.invalid/oauth/token\"
username = \" me\"
pasword = { env = \"X\" }

[sources.sims.policy]
refresh_at = 7

[sources.payments]
provider = \"worldline\"
base_url = \"http://pay.invalid\"
realm = \"a/b\"
client_id = \"\\u200Bc\"
client_secret = { file = \"nowhere\" }
scopes = \"\"
transport = { roots = [\"no-root.pem\"] }
";

/// All of them at once, each with file, line and key, or with its variable.
#[test]
fn check_and_doctor_report_all_problems_of_all_sources() {
    let folder = Folder::new();
    folder.write("broken.toml", BROKEN);
    let environment = [
        ("ONENCE_BASE_URL", "ftp://1nce.invalid"),
        ("ONENCE_USERNAME", "'me'"),
        ("WORLDLINE_REALM", "a b\n"),
        ("WORLDLINE_CLIENT_SECRET_FILE", "/nowhere/secret"),
        ("ACCESS_TOKENS__SOURCES__SIMS__TRANSPORT__TIMEOUT", "soon"),
        ("ACCESS_TOKENS_SOURCES_PAYMENTS_STORE", "false"),
    ];
    let expected = [
        "ACCESS_TOKENS_SOURCES_PAYMENTS_STORE: ",
        "ACCESS_TOKENS__SOURCES__SIMS__TRANSPORT__TIMEOUT: ",
        "ONENCE_BASE_URL: ",
        "ONENCE_PASSWORD: isn't set",
        "ONENCE_USERNAME: ",
        "WORLDLINE_BASE_URL: isn't set",
        "WORLDLINE_CLIENT_ID: isn't set",
        "WORLDLINE_CLIENT_SECRET_FILE: /nowhere/secret can't be read",
        "WORLDLINE_REALM: ",
        "WORLDLINE_SCOPE: isn't set",
        "broken.toml:12: sources.payments.base_url: ",
        "broken.toml:13: sources.payments.realm: ",
        "broken.toml:14: sources.payments.client_id: ",
        "broken.toml:15: sources.payments.client_secret.file: ",
        "broken.toml:16: sources.payments.scopes: ",
        "broken.toml:17: sources.payments.transport.roots[0]: ",
        "broken.toml:3: sources.sims.base_url: ",
        "broken.toml:4: sources.sims.username: ",
        "broken.toml:5: sources.sims.pasword: unknown key; did you mean password?",
        "broken.toml:8: sources.sims.policy.refresh_at: ",
    ];
    let check = folder.run(&["config", "check", "--config", "broken.toml"], &environment);
    assert_eq!(check.code, 2);
    let mut lines: Vec<_> = check.stderr.lines().map(|line| line.strip_prefix("error: ").unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), expected.len(), "{}", check.stderr);
    for (line, begin) in lines.iter().zip(expected) {
        assert!(line.starts_with(begin), "{begin}: {line}");
    }
    for (source, problems) in [("onence", 3), ("payments", 7), ("sims", 5), ("worldline", 5)] {
        assert!(check.stdout.contains(&format!("{source}: {problems} problems")), "{source}: {}", check.stdout);
    }
    let doctor = folder.run(&["doctor", "--json", "--config", "broken.toml"], &environment);
    assert_eq!(doctor.code, 2, "{}", doctor.stderr);
    let report: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert_eq!(report["sources"].as_array().unwrap().len(), 4, "{}", doctor.stdout);
    let plain = folder.run(&["doctor", "--config", "broken.toml"], &environment).stdout;
    for line in lines {
        assert!(plain.contains(line), "{line}: {plain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_is_stopped_by_problems_of_its_own_source_alone() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let good = payments(&sandbox).replace("sources.payments", "sources.good");
    folder.write("config.toml", format!("{good}\n{BROKEN}"));
    let (url, config) = (sandbox.onence_base_url(), ["--config", "config.toml"]);
    let environment = [
        &onence(&url)[..],
        &[("WORLDLINE_REALM", "a\n"), ("ACCESS_TOKENS__SOURCES__SIMS__TRANSPORT__TIMEOUT", "soon")],
        &[("ACCESS_TOKENS_SOURCES_PAYMENTS_STORE", "false"), ("ACCESS_TOKENS__SOURCES__PAYMENTS__", "x")],
    ]
    .concat();
    for source in ["good", "onence"] {
        let said = folder.run(&[&["get", source][..], &config].concat(), &environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{source}");
        let said = folder.run(&[&["config", "show", source][..], &config].concat(), &environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{source}");
    }
    let said = folder.run(&[&["get", "payments"][..], &config].concat(), &environment);
    assert_eq!(said.code, 2);
    assert!(said.stderr.lines().count() >= 6 && !said.stderr.contains("sources.sims"), "{}", said.stderr);
    // The syntax of the file is everybody's.
    folder.write("config.toml", format!("{good}\n{BROKEN}\n["));
    for source in ["good", "onence", "sims"] {
        let said = folder.run(&[&["get", source][..], &config].concat(), &environment);
        assert_eq!(said.code, 2, "{source}");
        assert!(said.stderr.starts_with("error: config.toml:"), "{}", said.stderr);
    }
}

/// Compose files leave variables empty that aren't set.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_variable_counts_as_unset() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let (onence_url, worldline_url) = (sandbox.onence_base_url(), sandbox.worldline_base_url());
    let all = VARIABLES.map(|(_, variables)| variables).concat();
    let empty: Vec<_> = all.iter().map(|name| (*name, "")).collect();
    let none = folder.run(&["config", "check"], &empty);
    assert!(none.stderr.contains("there is no source"), "{}", none.stderr);
    // The last of the same name counts.
    let over = |set: &[(&'static str, &str)]| {
        let unset = empty.iter().filter(|(name, _)| set.iter().all(|(other, _)| other != name));
        unset.copied().map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
    };
    let (onence, worldline) = (onence(&onence_url), worldline(&worldline_url));
    let onence: Vec<(&'static str, &str)> =
        vec![("ONENCE_BASE_URL", onence[0].1), ("ONENCE_USERNAME", onence[1].1), ("ONENCE_PASSWORD", onence[2].1)];
    let names =
        ["WORLDLINE_BASE_URL", "WORLDLINE_REALM", "WORLDLINE_CLIENT_ID", "WORLDLINE_SCOPE", "WORLDLINE_CLIENT_SECRET"];
    let worldline: Vec<(&'static str, &str)> =
        names.into_iter().zip(worldline.iter().map(|(_, value)| *value)).collect();
    for (source, set) in [("onence", &onence), ("worldline", &worldline)] {
        let unset = over(set);
        let environment: Vec<_> =
            unset.iter().map(|(name, value)| (*name, value.as_str())).chain(set.iter().copied()).collect();
        for command in [&["get"][..], &["get", source], &["config", "check"], &["doctor"]] {
            let said = folder.run(command, &environment);
            assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{command:?}: {}", said.stdout);
        }
    }
    folder.write("config.toml", sims(&onence_url));
    let nested =
        ["BASE_URL", "USERNAME", "PASSWORD__ENV", "TRANSPORT__PROXY", "TRANSPORT__ROOTS", "TRANSPORT__IDENTITY__KEY"];
    let nested = nested.map(|key| format!("ACCESS_TOKENS__SOURCES__SIMS__{key}"));
    for name in &nested {
        let said = folder.run(&["get", "--config", "config.toml"], &[(name, "")]);
        // The file has it, or its absence means nothing; of roots it is the default, none.
        let expected = if name.ends_with("ROOTS") { 2 } else { 0 };
        assert_eq!(said.code, expected, "{name}: {}", said.stderr);
    }
}

/// An empty `ONENCE_BASE_URL` meant the provider's own server.
#[test]
fn an_empty_variable_whose_absence_means_a_default_is_refused() {
    let folder = Folder::new();
    folder.write("config.toml", sims("https://sims.invalid").replace("base_url", "# base_url"));
    let empty = "is empty, and would mean its default; unset it, or give it a value";
    for key in ["BASE_URL", "POLICY__REFRESH_AT", "POLICY__KEEP_WARM", "TRANSPORT__TIMEOUT", "STORE"] {
        let name = format!("ACCESS_TOKENS__SOURCES__SIMS__{key}");
        for command in [&["get"][..], &["config", "check"]] {
            let said = folder.run(&[command, &["--config", "config.toml"]].concat(), &[(&name, "")]);
            assert_eq!((said.code, said.stderr), (2, format!("error: {name}: {empty}\n")));
        }
    }
    let flat = [("ONENCE_BASE_URL", ""), ("ONENCE_USERNAME", "me"), ("ONENCE_PASSWORD", "planted-wrong")];
    for command in [&["get"][..], &["get", "onence"], &["config", "check"], &["config", "show"]] {
        let said = folder.run(command, &flat);
        assert_eq!((said.code, said.stderr), (2, format!("error: ONENCE_BASE_URL: {empty}\n")));
    }
    let doctor = folder.run(&["doctor"], &flat);
    assert_eq!(doctor.code, 2);
    assert!(doctor.stdout.contains(&format!("ONENCE_BASE_URL: {empty}")), "{}", doctor.stdout);
}

/// With one underscore at each place where two belong, and at all of them: the hint, followed, works.
#[test]
fn the_hint_for_a_single_underscore_leads_to_the_setting() {
    let folder = Folder::new();
    folder.write("config.toml", sims("https://sims.invalid"));
    folder.write("two-words.toml", sims("https://sims.invalid").replace("sources.sims", "sources.two-words"));
    for (file, source) in [("config.toml", "SIMS"), ("two-words.toml", "TWO_WORDS")] {
        for (key, value) in [
            ("USERNAME", "you@example.com"),
            ("BASE_URL", "https://other.invalid"),
            ("PASSWORD__FILE", "secret"),
            ("POLICY__REFRESH_AT", "0.5"),
            ("POLICY__LONGEST_RETRY_AFTER", "30m"),
            ("TRANSPORT__CONNECT_TIMEOUT", "2s"),
        ] {
            let right = format!("ACCESS_TOKENS__SOURCES__{source}__{key}");
            let places: Vec<_> = right.match_indices("__").map(|(at, _)| at).collect();
            let single = |at: usize| {
                let mut single = right.to_owned();
                single.remove(at);
                single
            };
            let mut wrong: Vec<_> = places.iter().map(|at| single(*at)).collect();
            wrong.push(right.replace("__", "_"));
            for name in wrong {
                let said = folder.run(&["config", "check", "--config", file], &[(&name, value)]);
                assert_eq!(said.code, 2, "{name}: {}{}", said.stdout, said.stderr);
                let (before, hint) = said.stderr.trim_end().rsplit_once("did you mean ").unwrap();
                assert!(before.starts_with(&format!("error: {name}: isn't a setting")), "{name}: {}", said.stderr);
                let hint = hint.trim_end_matches('?');
                assert_eq!(hint, right, "{name}");
                assert_eq!(said.stderr.lines().count(), 1, "{name}: {}", said.stderr);
                let show = folder.run(&["config", "show", "--config", file], &[(hint, value)]);
                assert_eq!((show.code, show.stderr.as_str()), (0, ""), "{hint}");
                assert!(show.stdout.contains(&format!("# {hint}")), "it is taken: {}", show.stdout);
            }
        }
    }
    // Without a file the name of the source is what is left of the key.
    let said = folder.run(&["config", "check"], &[("ACCESS_TOKENS_SOURCES_SIMS_USERNAME", "me")]);
    assert!(said.stderr.contains("did you mean ACCESS_TOKENS__SOURCES__SIMS__USERNAME?"), "{}", said.stderr);
}
