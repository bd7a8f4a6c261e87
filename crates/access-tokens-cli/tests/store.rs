//! `access-tokens get` with a source that shares its tokens, against a real store.
#![cfg(test)]

#[path = "../../access-tokens-redis/tests/support/mod.rs"]
mod redis;
mod support;

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use access_tokens_sandbox::{Endpoint, Fault, Sandbox};

use self::{
    redis::{RedisServer, Reply, redis_or_skip},
    support::{Folder, Said, payments, same, sims, store},
};

const GET: [&str; 5] = ["get", "--config", "config.toml", "--source", "sims"];

fn entries(server: &RedisServer) -> i64 {
    match server.command(&["DBSIZE"]) {
        Reply::Integer(entries) => entries,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_shares_its_token_with_the_next() {
    if !redis_or_skip("that `get` shares its token") {
        return;
    }
    let (server, sandbox, folder) = (RedisServer::start(), Sandbox::start().await.unwrap(), Folder::new());
    folder.write(
        "config.toml",
        format!("{}{}{}", store(&server.url()), sims(&sandbox.onence_base_url()), payments(&sandbox)),
    );
    let get = |more: &[&'static str]| {
        let Said { code, stdout, stderr } = folder.run(&[&GET, more].concat(), &[]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{more:?}");
        stdout
    };
    let requests = || sandbox.requests(Endpoint::Onence);
    let first = get(&[]);
    assert_eq!((get(&[]) == first, requests()), (true, 1));
    assert!(sandbox.accepts(first.trim_end()));

    // All of it comes from the store, and what is left of its life is told.
    let json = || serde_json::from_str::<serde_json::Value>(&get(&["--format", "json"])).unwrap();
    let shared = json();
    assert_eq!((&shared["user_id"], &shared["scopes"]), (&"user".into(), &serde_json::json!(["all"])));
    assert_eq!((shared["access_token"].as_str(), &shared["expires_in"]), (Some(first.trim_end()), &3600.into()));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!((3585..=3595).contains(&json()["expires_in"].as_u64().unwrap()), "{}", json());
    assert!(get(&["--format", "table"]).contains("59m"));
    assert_eq!(requests(), 1);

    // One exchange more, and the store is left as it was.
    let fresh = get(&["--fresh"]);
    assert_eq!((fresh != first, requests(), entries(&server)), (true, 2, 1));
    assert_eq!((get(&[]) == first, requests()), (true, 2));
    server.command(&["FLUSHALL"]);
    get(&["--fresh"]);
    assert_eq!((requests(), entries(&server)), (3, 0));

    // A source that takes no part asks each time.
    folder.write("config.toml", format!("{}{}store = false\n", store(&server.url()), sims(&sandbox.onence_base_url())));
    get(&[]);
    get(&[]);
    assert_eq!((requests(), entries(&server)), (5, 0));
    // So does one that variables set, without a configuration.
    let url = sandbox.onence_base_url();
    let variables = [
        ("ONENCE_BASE_URL", url.as_str()),
        ("ONENCE_USERNAME", "sandbox@1nce.example"),
        ("ONENCE_PASSWORD", "sandbox-password"),
    ];
    for arguments in [&["get", "onence"][..], &["get", "--fresh", "onence"], &["get", "onence", "--fresh"]] {
        let said = folder.run(arguments, &variables);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
    }
    assert_eq!((requests(), entries(&server)), (8, 0));
}

/// Also where that takes another round trip, since Redis has forgotten the script meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn get_ends_when_the_store_has_its_token() {
    if !redis_or_skip("that `get` waits for the store") {
        return;
    }
    let (server, sandbox, folder) = (RedisServer::start(), Sandbox::start().await.unwrap(), Folder::new());
    folder.write("config.toml", format!("{}{}", store(&server.url()), sims(&sandbox.onence_base_url())));
    sandbox.fault(Endpoint::Onence, Fault::latency(Duration::from_millis(500)).times(1)).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| folder.run(&GET, &[]));
        redis::until("the request", || sandbox.requests(Endpoint::Onence) == 1);
        server.command(&["SCRIPT", "FLUSH"]);
        let first = first.join().unwrap();
        assert_eq!(folder.run(&GET, &[]).stdout, first.stdout, "{}", first.stderr);
    });
    assert_eq!(sandbox.requests(Endpoint::Onence), 1);
}

/// Those of the provider, with the store in between as without it; the next is told the same, and asks nobody.
#[tokio::test(flavor = "multi_thread")]
async fn failures_keep_their_exit_codes() {
    if !redis_or_skip("the exit codes of `get` with a store") {
        return;
    }
    let (server, sandbox, folder) = (RedisServer::start(), Sandbox::start().await.unwrap(), Folder::new());
    let sims = sims(&sandbox.onence_base_url());
    folder.write("wrong", "planted-wrong");
    let rejected = sims.replace("\"password\" }", "\"wrong\" }");
    for (what, config, fault, code) in [
        ("credentials", &rejected, None, 3),
        ("throttled", &sims, Some(Fault::status(429).retry_after(60).into()), 4),
        ("away", &sims, Some(Fault::status(503).retry_after(60).into()), 4),
        ("garbage", &sims, Some(Fault::garbage()), 5),
    ] {
        server.command(&["FLUSHALL"]);
        sandbox.clear_faults();
        if let Some(fault) = fault {
            sandbox.fault(Endpoint::Onence, fault.until_cleared()).unwrap();
        }
        folder.write("config.toml", format!("{}{config}", store(&server.url())));
        for more in [&[][..], &[], &["--fresh"]] {
            let said = folder.run(&[&GET, more].concat(), &[]);
            assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{what} {more:?}: {}", said.stderr);
            assert!(said.stderr.contains("next: "), "{}", said.stderr);
        }
    }
    // A pause that the server asked for holds for all.
    server.command(&["FLUSHALL"]);
    sandbox.clear_faults();
    sandbox.fault(Endpoint::Onence, Fault::status(503).retry_after(60).until_cleared()).unwrap();
    folder.write("config.toml", format!("{}{sims}", store(&server.url())));
    let before = sandbox.requests(Endpoint::Onence);
    let told = [folder.run(&GET, &[]), folder.run(&GET, &[])];
    assert_eq!(sandbox.requests(Endpoint::Onence), before + 1);
    assert!(told.iter().all(|said| said.code == 4 && said.stderr.contains("try again in")), "{}", told[1].stderr);
}

/// A token comes all the same, no later than the time-out beyond its exchange, and only the log has a word on it.
#[tokio::test(flavor = "multi_thread")]
async fn get_does_without_a_store_that_is_away() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let without = {
        folder.write("config.toml", sims(&sandbox.onence_base_url()));
        let begun = Instant::now();
        assert_eq!(folder.run(&GET, &[]).code, 0);
        begun.elapsed()
    };
    for at in [format!("127.0.0.1:{port}"), silent.local_addr().unwrap().to_string()] {
        let config =
            format!("{}timeout = \"300ms\"\n{}", store(&format!("redis://{at}")), sims(&sandbox.onence_base_url()));
        folder.write("config.toml", config);
        let begun = Instant::now();
        let Said { code, stdout, stderr } = folder.run(&GET, &[]);
        let took = begun.elapsed();
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(sandbox.accepts(stdout.trim_end()));
        assert!(took < without + Duration::from_millis(800), "{took:?}, and {without:?} without a store");
        let said = folder.run(&GET, &[("RUST_LOG", "warn")]);
        assert!(said.code == 0 && said.stderr.contains("the token store is away"), "{}", said.stderr);
        assert!(!said.stderr.contains(stdout.trim_end()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_store() {
    let (sandbox, folder) = (Sandbox::start().await.unwrap(), Folder::new());
    folder.write("short", "aHVudGVyMg==\n");
    let store = store("redis://redis.invalid:7000");
    let other = payments(&sandbox) + "store = false\n";
    let config = |store: &str| format!("{store}{}{other}", sims(&sandbox.onence_base_url()));
    folder.write("config.toml", config(&store));
    folder.write("wrong.toml", config(&store.replace("\"keys\"", "\"short\"")));
    folder.write("unknown.toml", config(&store.replace("urls", "url")));

    // Nothing is connected to.
    let check = |file| folder.run(&["config", "check", "--config", file], &[]);
    let text: String = ["config.toml", "wrong.toml", "unknown.toml"]
        .map(|file| {
            let said = check(file);
            assert_eq!(said.code, if file == "config.toml" { 0 } else { 2 });
            format!("$ access-tokens config check --config {file}\n{}{}\n", said.stdout, said.stderr)
        })
        .concat();
    insta::assert_snapshot!("check", same(&text));

    let show =
        |more: &[&'static str]| folder.run(&[&["config", "show", "--config", "config.toml"], more].concat(), &[]);
    let both = show(&[]).stdout;
    insta::assert_snapshot!("show", same(both.split("\n\n").next().unwrap()));
    folder.write("again.toml", &both);
    assert_eq!(folder.run(&["config", "show", "--config", "again.toml"], &[]).code, 0);
    assert!(show(&["--source", "payments"]).stdout.starts_with("[store]\n"));
    let json: serde_json::Value = serde_json::from_str(&show(&["--format", "json"]).stdout).unwrap();
    assert_eq!(json["store"]["keys"]["file"].as_str().map(|path| path.ends_with("/keys")), Some(true));
    assert_eq!(json["sources"]["payments"]["store"], false);

    // A source that takes no part can be checked alone.
    let alone = folder.run(&["config", "check", "--config", "wrong.toml", "--source", "payments"], &[]);
    assert_eq!((alone.code, alone.stderr.as_str()), (0, ""));

    // `get` minds them where it has to do with the store, and nowhere else.
    let get = |more: &[&'static str]| folder.run(&[&["get", "--config", "wrong.toml"], more].concat(), &[]);
    let said = get(&["--source", "sims"]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""));
    assert!(
        said.stderr.contains("wrong.toml:4: store.keys: ") && said.stderr.contains("openssl rand"),
        "{}",
        said.stderr
    );
    assert_eq!(get(&["--source", "sims", "--fresh"]).code, 0);
    assert_eq!(get(&["--source", "payments"]).code, 0);
}
