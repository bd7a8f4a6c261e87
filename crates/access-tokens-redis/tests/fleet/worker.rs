//! Further processes: this test program once more, told by the environment what it is, and talked to line by line.

use std::{
    env,
    ffi::OsString,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use access_tokens::{TokenCache, onence, store::KeyRing, worldline};
use access_tokens_sandbox::{Onence, Sandbox};
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
    time::{Duration, sleep, timeout},
};

use crate::instance::{self, KEY, NAME_KEY};

/// What a worker is told; the environment, as other users can read the arguments of a process.
#[derive(Clone)]
pub(crate) struct Settings(Vec<(OsString, OsString)>);

impl Settings {
    /// One cache of the sandbox's 1NCE user.
    pub(crate) fn new(sandbox: &Sandbox, redis: &str) -> Self {
        let Onence { username, password, .. } = sandbox.onence();
        let settings = Self(Vec::new()).with("FLEET_REDIS", redis).with("FLEET_ONENCE", sandbox.onence_base_url());
        let settings = settings.with("FLEET_WORLDLINE", sandbox.worldline_base_url());
        let settings = settings.with("FLEET_RESOURCE", sandbox.local_addr().to_string());
        settings.with("FLEET_USERNAME", username).with("FLEET_PASSWORD", password).keys(&[KEY]).caches(1)
    }

    pub(crate) fn caches(self, caches: usize) -> Self {
        self.with("FLEET_CACHES", caches.to_string())
    }

    /// One Worldline cache beside those of 1NCE.
    pub(crate) fn worldline(self, client_id: &str, client_secret: &str) -> Self {
        self.with("FLEET_CLIENT_ID", client_id).with("FLEET_CLIENT_SECRET", client_secret)
    }

    /// The keys that seal.
    pub(crate) fn keys(self, keys: &[[u8; 32]]) -> Self {
        self.with("FLEET_KEYS", base64(keys))
    }

    pub(crate) fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }
}

fn base64(keys: &[[u8; 32]]) -> String {
    keys.iter().map(|key| BASE64_STANDARD.encode(key)).collect::<Vec<_>>().join(",")
}

/// A process with caches. Killed on drop.
pub(crate) struct Worker {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A token as a cache of a worker gave it.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) secret: String,
    pub(crate) remaining: Duration,
    pub(crate) waited: Duration,
    /// When the worker's answer was read.
    pub(crate) at: Instant,
}

/// What callers of a worker met.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    /// Tokens that the protected resource refused.
    pub(crate) refused: u64,
    pub(crate) errors: Vec<String>,
    /// All tokens that they were given, each once for each cache.
    pub(crate) tokens: Vec<String>,
}

/// Before each line, since the test harness writes to the same output.
const MARK: &str = "fleet> ";

impl Worker {
    /// Started, and ready for the first command.
    pub(crate) async fn start(settings: &Settings) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "worker::worker_process", "--nocapture", "--test-threads=1"])
            .envs(settings.0.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut worker = Self { child, stdin, lines: BufReader::new(stdout).lines() };
        assert_eq!(worker.hear().await, "ready");
        worker
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Each cache is asked for a token at once.
    pub(crate) async fn begin_calls(&mut self) {
        self.say("call").await;
    }

    /// What came of that.
    pub(crate) async fn given(&mut self) -> Vec<Given> {
        let mut given = Vec::new();
        loop {
            let line = self.hear().await;
            let words: Vec<_> = line.split(' ').collect();
            match *words.as_slice() {
                ["token", secret, remaining, waited] => given.push(Given {
                    secret: secret.to_owned(),
                    remaining: Duration::from_millis(remaining.parse().unwrap()),
                    waited: Duration::from_millis(waited.parse().unwrap()),
                    at: Instant::now(),
                }),
                ["done"] => return given,
                _ => panic!("{line}"),
            }
        }
    }

    pub(crate) async fn call(&mut self) -> Vec<Given> {
        self.begin_calls().await;
        self.given().await
    }

    /// Each cache is asked every 20 to 50 ms from now on.
    pub(crate) async fn load(&mut self) {
        self.say("load").await;
        assert_eq!(self.hear().await, "loaded");
    }

    pub(crate) async fn set_keys(&mut self, keys: &[[u8; 32]]) {
        self.say(&format!("keys {}", base64(keys))).await;
        assert_eq!(self.hear().await, "set");
    }

    /// Shut down as a service is. What its load met.
    pub(crate) async fn end(mut self) -> Report {
        self.say("end").await;
        let mut report = Report::default();
        loop {
            let line = self.hear().await;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("error", error) => report.errors.push(error.to_owned()),
                ("took", token) => report.tokens.push(token.to_owned()),
                ("ended", counts) => {
                    let (calls, refused) = counts.split_once(' ').unwrap();
                    (report.calls, report.refused) = (calls.parse().unwrap(), refused.parse().unwrap());
                    break;
                }
                _ => panic!("{line}"),
            }
        }
        assert!(self.child.wait().await.unwrap().success());
        report
    }

    /// By how many seconds its clock is ahead of ours.
    pub(crate) async fn clock_ahead(&mut self) -> i64 {
        self.say("clock").await;
        let theirs: i64 = self.hear().await.parse().unwrap();
        theirs - seconds_now()
    }

    async fn say(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> String {
        let next = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the worker lives");
                if let Some((_, said)) = line.split_once(MARK) {
                    return said.to_owned();
                }
            }
        };
        timeout(Duration::from_secs(20), next).await.expect("the worker says something")
    }
}

/// No test, but what a worker does; nothing, unless [`Worker::start`] started it.
#[tokio::test]
async fn worker_process() {
    if env::var_os("FLEET_REDIS").is_none() {
        return;
    }
    let store = instance::patient(&told("FLEET_REDIS"), ring(&told("FLEET_KEYS")));
    let mut caches = Vec::new();
    for _ in 0..told("FLEET_CACHES").parse().unwrap() {
        let credentials = onence::Credentials::new(told("FLEET_USERNAME"), told("FLEET_PASSWORD"));
        let client = onence::Client::builder(credentials).base_url(told("FLEET_ONENCE")).build().unwrap();
        caches.push(TokenCache::builder(client).store(store.clone()).build().unwrap());
    }
    if env::var_os("FLEET_CLIENT_ID").is_some() {
        let secret = worldline::ClientSecret::new(told("FLEET_CLIENT_ID"), told("FLEET_CLIENT_SECRET"));
        let client = worldline::Client::builder(
            told("FLEET_WORLDLINE"),
            "sandbox".parse().unwrap(),
            "VOP".parse().unwrap(),
            secret,
        );
        caches.push(TokenCache::builder(client.build().unwrap()).store(store.clone()).build().unwrap());
    }
    let (mut callers, met) = (JoinSet::new(), Arc::new(Mutex::new(Report::default())));
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    say("ready");
    while let Some(command) = commands.next_line().await.unwrap() {
        match command.split_once(' ').unwrap_or((&command, "")) {
            ("call", _) => call(&caches).await,
            ("load", _) => {
                for (n, cache) in caches.iter().enumerate() {
                    let pause = Duration::from_millis(20 + (n as u64 * 7) % 31);
                    callers.spawn(keep_calling(cache.clone(), pause, met.clone()));
                }
                say("loaded");
            }
            ("keys", keys) => {
                store.set_keys(ring(keys));
                say("set");
            }
            ("clock", _) => say(&seconds_now().to_string()),
            ("end", _) => {
                callers.shutdown().await;
                for cache in &caches {
                    cache.shutdown().await;
                }
                let met = met.lock().unwrap();
                met.tokens.iter().for_each(|token| say(&format!("took {token}")));
                met.errors.iter().for_each(|error| say(&format!("error {error}")));
                say(&format!("ended {} {}", met.calls, met.refused));
                return;
            }
            _ => panic!("{command}"),
        }
    }
}

async fn call(caches: &[TokenCache]) {
    let calls: Vec<_> = caches
        .iter()
        .cloned()
        .map(|cache| {
            tokio::spawn(async move {
                let begun = Instant::now();
                let token = cache.token().await.map(|token| token.to_owned());
                (token, begun.elapsed().as_millis())
            })
        })
        .collect();
    for call in calls {
        match call.await.unwrap() {
            (Ok(token), waited) => {
                say(&format!("token {} {} {waited}", token.secret(), token.remaining().unwrap().as_millis()));
            }
            (Err(error), _) => say(&format!("error {error}")),
        }
    }
    say("done");
}

/// Calls again and again, and shows the resource each new token, and now and then one that it has had for long.
async fn keep_calling(cache: TokenCache, pause: Duration, met: Arc<Mutex<Report>>) {
    let mut last = String::new();
    for round in 0.. {
        let (mut error, mut refused) = (None, false);
        match cache.token().await.map(|token| token.secret().to_owned()) {
            Ok(token) => {
                if token != last || round % 10 == 0 {
                    refused = !opens_the_resource(&token).await;
                }
                if token != last {
                    met.lock().unwrap().tokens.push(token.clone());
                }
                last = token;
            }
            Err(other) => error = Some(other.to_string()),
        }
        {
            let mut met = met.lock().unwrap();
            met.calls += 1;
            met.refused += u64::from(refused);
            met.errors.extend(error);
        }
        sleep(pause).await;
    }
}

async fn opens_the_resource(token: &str) -> bool {
    let mut stream = TcpStream::connect(told("FLEET_RESOURCE")).await.unwrap();
    let request =
        format!("GET /resource HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200 ")
}

fn say(line: &str) {
    // The harness leaves a line open, in which it tells the outcome later.
    println!("\n{MARK}{line}");
}

fn seconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn told(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is set"))
}

fn ring(base64: &str) -> KeyRing {
    KeyRing::from_base64(&BASE64_STANDARD.encode(NAME_KEY), base64.split(',')).unwrap()
}
