//! What somebody learns who has all that Redis has, and all that goes there.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use access_tokens::{onence, store::KeyRing};
use access_tokens_sandbox::{Client, ClientAuth, Onence, Sandbox, Worldline};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use tokio::time::sleep;

use crate::{
    instance::{self, NAME_KEY},
    support::{RedisServer, Reply, redis_or_skip},
    worker::{Settings, Worker},
};

const USERNAME: &str = "planted-user@1nce.example";
const PASSWORD: &str = "planted-password-7Gq";
const CLIENT_ID: &str = "planted-client-id";
const CLIENT_SECRET: &str = "planted-client-secret-9Xw";
const USER_ID: &str = "planted-user-id";

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_redis_and_all_that_is_sent_there_hold_no_client_secret_or_token() {
    if !redis_or_skip("that a dump holds no secrets") {
        return;
    }
    let lifetime = Duration::from_secs(3);
    let redis = RedisServer::start_with(&["--rdbcompression", "no"]);
    let sandbox = planted(lifetime).await;
    let monitor = Monitor::start(redis.port());
    let settings = Settings::new(&sandbox, &redis.url()).caches(5).worldline(CLIENT_ID, CLIENT_SECRET);
    let mut workers = vec![Worker::start(&settings).await, Worker::start(&settings).await];
    for worker in &mut workers {
        worker.load().await;
    }
    // An invalidated token, too: the fleet remembers that one by a mark.
    let cache = instance::onence(&sandbox, &instance::handle(&redis.url()));
    let refused = cache.token().await.unwrap().to_owned();
    assert!(cache.invalidate(&refused));
    let mut tokens = vec![refused.secret().to_owned(), instance::secret(&cache).await];
    let mut dumps = Vec::new();
    for _ in 0..5 {
        sleep(lifetime / 4).await;
        dumps.push(dump(&redis));
    }
    for worker in workers {
        let report = worker.end().await;
        assert_eq!(report.errors, [""; 0]);
        tokens.extend(report.tokens);
    }
    drop(cache);
    dumps.push(dump(&redis));
    dumps.push(monitor.end(&redis));
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len() as u64, sandbox.tokens_issued(), "each token is known here");
    assert!(tokens.len() >= 5, "{}", tokens.len());

    let mut planted = [USERNAME, PASSWORD, CLIENT_ID, CLIENT_SECRET, USER_ID, "planted"].map(str::to_owned).to_vec();
    planted.push(format!("{USERNAME}:{PASSWORD}"));
    // Any part of a token.
    planted.extend(
        tokens.iter().flat_map(|token| [0, token.len() / 2].map(|from| token.get(from..from + 20).unwrap().to_owned())),
    );
    let wanted: Vec<_> = planted.iter().flat_map(|planted| spellings(planted.as_bytes())).collect();
    let (mut bytes, mut found) = (0, Vec::new());
    for dump in &dumps {
        bytes += dump.len();
        found.extend(wanted.iter().filter(|wanted| contains(dump, wanted)));
    }
    println!("{bytes} bytes, {} tokens, {} spellings", tokens.len(), wanted.len());
    assert!(found.is_empty(), "{:?}", found.iter().map(|one| String::from_utf8_lossy(one)).collect::<Vec<_>>());
    // What was searched is what a fleet writes: each has the keys of two names, and the last the commands.
    assert!(dumps.iter().all(|dump| contains(dump, b"access-tokens:{")));
    assert!(contains(&dumps[dumps.len() - 1], b"EVALSHA") || contains(&dumps[dumps.len() - 1], b"evalsha"));
}

/// The search itself finds what is there: with a token that is stored as it is, each way to a dump shows it.
#[tokio::test(flavor = "multi_thread")]
async fn the_search_finds_what_is_not_sealed() {
    if !redis_or_skip("the search through dumps") {
        return;
    }
    let redis = RedisServer::start_with(&["--rdbcompression", "no"]);
    let monitor = Monitor::start(redis.port());
    for (key, value) in [
        ("as it is", PASSWORD.to_owned()),
        ("in base64", BASE64_STANDARD_NO_PAD.encode(format!("12{PASSWORD}"))),
        ("in hex", hex(PASSWORD.as_bytes())),
    ] {
        redis.command(&["SET", key, &value]);
        let dump = dump(&redis);
        assert!(spellings(PASSWORD.as_bytes()).iter().any(|wanted| contains(&dump, wanted)), "{key}");
        redis.command(&["DEL", key]);
    }
    let sent = monitor.end(&redis);
    assert_eq!(spellings(PASSWORD.as_bytes()).iter().filter(|wanted| contains(&sent, wanted)).count(), 3);
}

/// Another client, another secret or another key: another name.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_a_hash_with_a_key() {
    if !redis_or_skip("that names are hashes with a key") {
        return;
    }
    let redis = RedisServer::start();
    let sandbox = instance::sandbox(Duration::from_secs(60)).await;
    let username = &sandbox.onence().username;
    let right = instance::client(&sandbox);
    let guessed = onence::Client::builder(onence::Credentials::new(username, "guessed"));
    let guessed = Arc::new(guessed.base_url(sandbox.onence_base_url()).build().unwrap());
    for name_key in [NAME_KEY, [7; 32]] {
        let store = instance::patient(&redis.url(), KeyRing::new(&name_key, [[8; 32]]).unwrap());
        instance::cache(&right, &store).token().await.unwrap();
        // The name of a client without his secret isn't his: nobody is given a token for it.
        instance::cache(&guessed, &store).token().await.unwrap_err();
        instance::worldline(&sandbox, &store).token().await.unwrap();
    }
    // Nobody waits for what is stored.
    instance::until("an entry for each", || instance::keys(&redis).len() == 6).await;
}

async fn planted(lifetime: Duration) -> Arc<Sandbox> {
    let (username, password) = (USERNAME.to_owned(), PASSWORD.to_owned());
    let onence = Onence { username, password, lifetime, user_id: USER_ID.into(), ..Onence::default() };
    let client = Client { client_id: CLIENT_ID.to_owned(), auth: ClientAuth::Secret(CLIENT_SECRET.to_owned()) };
    let worldline = Worldline { clients: vec![client], lifetime, ..Worldline::default() };
    Arc::new(Sandbox::builder().onence(onence).worldline(worldline).start().await.unwrap())
}

/// The file that Redis saves, all that it says of each key, and the log of what was slow.
fn dump(redis: &RedisServer) -> Vec<u8> {
    assert_eq!(redis.command(&["SAVE"]).text(), "OK");
    let folder = redis.command(&["CONFIG", "GET", "dir"]).array()[1].text();
    let mut all = std::fs::read(Path::new(&folder).join("dump.rdb")).unwrap();
    for key in redis.command(&["KEYS", "*"]).array() {
        all.extend(key.text().bytes());
        for command in ["DUMP", "GET"] {
            // It may have gone meanwhile.
            if let Reply::Text(value) = redis.command(&[command, &key.text()]) {
                all.extend(value);
            }
        }
    }
    all
}

/// All commands that Redis is sent.
struct Monitor(TcpStream, thread::JoinHandle<Vec<u8>>);

impl Monitor {
    fn start(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut ok = [0; 5];
        stream.read_exact(&mut ok).unwrap();
        assert_eq!(&ok, b"+OK\r\n");
        let mut reading = stream.try_clone().unwrap();
        let thread = thread::spawn(move || {
            let mut all = Vec::new();
            let _ = reading.read_to_end(&mut all);
            all
        });
        Self(stream, thread)
    }

    fn end(self, redis: &RedisServer) -> Vec<u8> {
        // Comes after all that was sent before.
        redis.command(&["PING"]);
        thread::sleep(Duration::from_millis(200));
        self.0.shutdown(std::net::Shutdown::Both).unwrap();
        self.1.join().unwrap()
    }
}

/// As it is, in base64 (both alphabets, wherever it begins), and in hex.
fn spellings(planted: &[u8]) -> Vec<Vec<u8>> {
    let mut spellings = vec![planted.to_vec(), hex(planted).into_bytes(), hex(planted).to_uppercase().into_bytes()];
    for before in 0..3 {
        let padded = [&[0; 2][..before.min(2)], planted].concat();
        for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded);
            // Less what its neighbours have a part in.
            let (first, last) = ([0, 2, 3][before], text.len() - usize::from(padded.len() % 3 != 0));
            spellings.push(text.as_bytes()[first..last].to_vec());
        }
    }
    spellings.dedup();
    spellings
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    // A first byte that fits is found fast.
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| *byte == needle[0]) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
