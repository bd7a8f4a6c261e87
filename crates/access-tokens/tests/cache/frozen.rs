//! A process that is stopped and goes on, as a function's is between two invocations. In virtual time there is more of it in
//! `main.rs`; here the signals are real.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use access_tokens::{AccessToken, Error, ErrorKind, Policy, TokenCache, testing::ScriptedEndpoint};
use tokio::{runtime::Builder, time::sleep};

/// How many threads the worker's runtime has; what isn't set is no worker.
const THREADS: &str = "FROZEN_WORKER_THREADS";

/// Before each line, since the test harness writes to the same output.
const MARK: &str = "frozen> ";

#[test]
fn who_comes_after_it_goes_on_is_told_nothing_of_the_attempt_from_before() {
    // Most of it is waiting, so both at once.
    thread::scope(|scope| {
        for threads in ["1", "2"] {
            scope.spawn(move || freeze(threads));
        }
    });
}

fn freeze(threads: &str) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "frozen::worker_process", "--nocapture", "--test-threads=1"])
        .env(THREADS, threads)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.filter_map(|line| line.split_once(MARK).map(|(_, line)| line.to_owned()));
    assert_eq!(lines.next().as_deref(), Some("one"), "{threads} threads");
    assert_eq!(lines.next().as_deref(), Some("refreshing"), "{threads} threads");
    signal(&child, "-STOP");
    // Beyond the token's end.
    thread::sleep(Duration::from_secs(5));
    signal(&child, "-CONT");
    assert_eq!(lines.next().as_deref(), Some("two"), "{threads} threads");
    assert!(child.wait().unwrap().success());
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Says each token and error that its callers get, when it is another than the last.
#[test]
fn worker_process() {
    let Ok(threads) = env::var(THREADS) else { return };
    let runtime = match threads.as_str() {
        "1" => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
    };
    runtime.unwrap().block_on(async {
        let token = |secret: &str| AccessToken::new(secret).unwrap().with_expires_in(Duration::from_secs(4));
        let late = Error::new(ErrorKind::Unavailable, "late");
        let endpoint = ScriptedEndpoint::new().then(token("one")).then_after(Duration::from_secs(3600), late);
        let endpoint = endpoint.then(token("two"));
        let policy = Policy::new().refresh_at(0.5).jitter(0.0).exchange_timeout(Duration::from_secs(1));
        let cache = TokenCache::builder(endpoint.clone()).policy(policy).build().unwrap();
        let mut last = String::new();
        let mut is_refreshing = false;
        while last != "two" {
            let outcome = cache.token().await.map(|token| token.secret().to_owned());
            let told = outcome.unwrap_or_else(|error| error.to_string());
            if told != last {
                println!("{MARK}{told}");
                last = told;
            }
            if endpoint.exchanges() == 2 && !is_refreshing {
                is_refreshing = true;
                println!("{MARK}refreshing");
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
}
