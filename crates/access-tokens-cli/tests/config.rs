//! `access-tokens config`, and `get` with a configured source.
#![cfg(test)]

mod support;

use access_tokens_sandbox::Sandbox;

use self::support::{Folder, Said, certificate, payments, same, sims};

#[tokio::test(flavor = "multi_thread")]
async fn get_fetches_from_a_configured_source() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("config.toml", format!("{}\n{}", sims(&sandbox.onence_base_url()), payments(&sandbox)));
    let by_variables = [("ACCESS_TOKENS_CONFIG", "config.toml"), ("ACCESS_TOKENS_SOURCE", "payments")];
    let chosen = ["get", "--config", "config.toml", "--source", "payments"];
    for (arguments, environment) in [(&chosen[..], &[][..]), (&["get"], &by_variables)] {
        let arguments = [arguments, &["--format", "json"]].concat();
        let Said { code, stdout, stderr } = folder.run(&arguments, environment);
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        let token: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(token["provider"], "worldline");
        assert!(sandbox.accepts(token["access_token"].as_str().unwrap()));
    }
    // The providers' own commands don't mind the two variables.
    let url = sandbox.onence_base_url();
    let own = [
        ("ONENCE_BASE_URL", &*url),
        ("ONENCE_USERNAME", "sandbox@1nce.example"),
        ("ONENCE_PASSWORD", "sandbox-password"),
    ];
    let said = folder.run(&["get", "onence"], &[&by_variables[..], &own].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_takes_the_only_source_and_the_environment_alone_will_do() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("config.toml", sims(&sandbox.onence_base_url()));
    assert_eq!(folder.run(&["get", "--config", "config.toml"], &[]).code, 0);
    let url = sandbox.onence_base_url();
    let environment = [
        // Empty is unset.
        ("ACCESS_TOKENS_CONFIG", ""),
        ("ACCESS_TOKENS_SOURCE", ""),
        ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
        ("ACCESS_TOKENS__SOURCES__SIMS__BASE_URL", &url),
        ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", "sandbox@1nce.example"),
        ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "SIMS_PASSWORD"),
        ("SIMS_PASSWORD", "sandbox-password"),
    ];
    for arguments in [&["get"][..], &["config", "check"], &["doctor"]] {
        let said = folder.run(arguments, &environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}: {}", said.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_says_what_is_missing() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("config.toml", format!("{}\n{}", sims(&sandbox.onence_base_url()), payments(&sandbox)));
    let with = |more: &[&'static str]| [&["get", "--config", "config.toml"], more].concat();
    let cases: [(Vec<&str>, i32, &[&str]); 5] = [
        (vec!["get"], 2, &["there is no source", "get onence", "--config"]),
        (with(&[]), 2, &["payments, sims", "access-tokens get payments"]),
        (with(&["--source", "sim"]), 2, &["did you mean sims?", "payments, sims"]),
        (with(&["sim"]), 2, &["did you mean sims?", "payments, sims"]),
        (vec!["get", "--config", "nowhere.toml"], 2, &["nowhere.toml: ", "can't be read"]),
    ];
    for (arguments, code, told) in cases {
        let said = folder.run(&arguments, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{arguments:?}");
        assert!(told.iter().all(|part| said.stderr.contains(part)), "{arguments:?}: {}", said.stderr);
    }
    folder.write("secret", "planted-wrong");
    let said = folder.run(&with(&["--source", "payments"]), &[]);
    assert_eq!(said.code, 3);
    assert!(
        said.stderr.contains("check sources.payments.client_id, sources.payments.client_secret"),
        "{}",
        said.stderr
    );
}

#[test]
fn check_tells_all_problems_without_the_network() {
    let folder = Folder::new();
    let (key, certificate) = (certificate(365).0, certificate(365).1);
    folder.write("key.pem", key);
    folder.write("certificate.pem", certificate);
    let sims = sims("https://sims.invalid/management-api");
    let two = "[sources.payments]\nprovider = \"worldline\"\nbase_url = \"https://auth.invalid/auth\"\nrealm = \"r\"\n\
               client_id = \"c\"\nscopes = \"VOP\"\n\
               assertion = { key = { file = \"key.pem\" }, certificate = { file = \"certificate.pem\" } }\n\
               transport = { roots = [\"nowhere.pem\"] }\n";
    folder.write("good.toml", &sims);
    folder.write("bad.toml", format!("{sims}\n{two}"));
    folder.write("unreadable.toml", format!("{}\n{two}", sims.replace("username", "usrname")));
    let check = |file| folder.run(&["config", "check", "--config", file], &[]);

    let good = check("good.toml");
    let expected = "sims: ok (1NCE, https://sims.invalid/management-api)\n";
    assert_eq!((good.code, good.stdout.as_str(), good.stderr.as_str()), (0, expected, ""));
    let text: String = ["bad.toml", "unreadable.toml"]
        .map(|file| {
            let said = check(file);
            assert_eq!(said.code, 2);
            format!("$ access-tokens config check --config {file}\n{}{}\n", said.stdout, said.stderr)
        })
        .concat();
    insta::assert_snapshot!("check", same(&text));
    let chosen = folder.run(&["config", "check", "--config", "bad.toml", "--source", "sims"], &[]);
    assert_eq!((chosen.code, chosen.stderr.as_str()), (0, ""));
}

#[test]
fn show_prints_what_is_in_effect_and_no_secret() {
    let folder = Folder::new();
    let other = sims("https://other.example").replace("sources.sims", "sources.other");
    folder.write("config.toml", format!("{}\n{other}", sims("https://sims.example")));
    let environment = [
        ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "SIMS_PASSWORD"),
        ("ACCESS_TOKENS__SOURCES__SIMS__TRANSPORT__TIMEOUT", "7s"),
        ("SIMS_PASSWORD", "sandbox-password"),
    ];
    let show = |more: &[&'static str]| {
        let said = folder.run(&[&["config", "show", "--config", "config.toml"], more].concat(), &environment);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        said.stdout
    };
    insta::assert_snapshot!("show", show(&["--source", "sims"]));
    let both = show(&[]);
    assert!(both.contains("[sources.sims]\n") && both.contains("[sources.other]\n"), "{both}");
    // It can be read again.
    folder.write("again.toml", &both);
    assert_eq!(folder.run(&["config", "show", "--config", "again.toml"], &[]).code, 0);

    let json: serde_json::Value = serde_json::from_str(&show(&["--format", "json", "--source", "sims"])).unwrap();
    assert_eq!(json["sources"]["sims"]["password"]["env"], "SIMS_PASSWORD");
    assert_eq!(json["sources"]["sims"]["transport"]["timeout"], "7s");
    assert!(json["sources"].get("other").is_none());
}

#[test]
fn schema_is_the_one_that_is_kept() {
    let said = Folder::new().run(&["config", "schema"], &[]);
    assert_eq!((said.code, said.stdout), (0, access_tokens_config::schema()));
}
