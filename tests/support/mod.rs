//! A server that gives one literal answer and keeps what it was sent, so that tests see the bytes on the wire.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

pub mod work_tree;

use std::sync::{Arc, Mutex};

use access_tokens::{Transport, onence, worldline};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub const USERNAME: &str = "a@b.example";
pub const PASSWORD: &str = "open sesame: planted-password";
pub const CLIENT_SECRET: &str = "p@ss w+rd&=%é";

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers every request with these bytes and closes the connection.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Vec<u8> = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let request = read_request(&mut connection).await;
                kept.lock().unwrap().push(request);
                // The client may be gone already, as it is when an answer is too long.
                let _ = connection.write_all(&answer).await;
                let _ = connection.shutdown().await;
            }
        });
        Self { url, requests }
    }

    /// Everything that came, head and body, one text a request.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn onence(&self) -> onence::Client {
        let credentials = onence::Credentials::new(USERNAME, PASSWORD);
        onence::Client::builder(credentials).base_url(&self.url).transport(Transport::new()).build().unwrap()
    }

    pub fn worldline(&self) -> worldline::Client {
        self.worldline_with(worldline::ClientSecret::new("Worldline-000021", CLIENT_SECRET))
    }

    pub fn worldline_with(&self, credentials: impl Into<worldline::Credentials>) -> worldline::Client {
        let realm = worldline::Realm::new("example-realm").unwrap();
        let base_url = format!("{}/auth", self.url);
        worldline::Client::builder(base_url, realm, "VOP WERO".parse().unwrap(), credentials).build().unwrap()
    }
}

pub async fn read_request(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = connection.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let complete = text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0));
        if read == 0 || complete {
            return text.into_owned();
        }
    }
}

/// A specification as published.
pub fn upstream(module: &str) -> serde_json::Value {
    let specs = access_tokens_codegen::generate("specs".as_ref()).unwrap().specs;
    specs.into_iter().find(|spec| spec.module == module).unwrap().upstream
}

/// A JWT's header and claims, read by a library that isn't ours.
pub fn decoded(jwt: &str) -> (serde_json::Value, serde_json::Value) {
    let header = serde_json::to_value(jsonwebtoken::decode_header(jwt).unwrap()).unwrap();
    (header, jsonwebtoken::dangerous::insecure_decode(jwt).unwrap().claims)
}

/// An answer of this status with a JSON body.
pub fn json(status: u16, body: &str) -> Vec<u8> {
    answer(status, &["content-type: application/json"], body)
}

/// An answer of this status with these header lines and this body.
pub fn answer(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status} Whatever\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// A token response with these members; `null` takes one out.
pub fn token_response(change: serde_json::Value) -> Vec<u8> {
    let mut members =
        serde_json::json!({ "access_token": "eyJ.planted-token.sig", "token_type": "bearer", "expires_in": 300 });
    for (name, value) in change.as_object().unwrap() {
        match value {
            serde_json::Value::Null => _ = members.as_object_mut().unwrap().remove(name),
            value => members[name] = value.clone(),
        }
    }
    json(200, &members.to_string())
}

/// The bytes of a JWT's header (0), claims (1) or signature (2).
pub fn bytes_of(jwt: &str, part: usize) -> Vec<u8> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(part).unwrap()).unwrap()
}

/// A JWT's header (0) or claims (1) as they are.
pub fn part(jwt: &str, part: usize) -> serde_json::Value {
    serde_json::from_slice(&bytes_of(jwt, part)).unwrap()
}

/// Whether another program that a test needs is there; if not, the test says what it skips, or fails where `ACCESS_TOKENS_DEMAND`
/// (names with commas between) has its name.
pub fn is_there(name: &str, called: &str, found: bool, skipped: &str) -> bool {
    if !found {
        let demanded = std::env::var("ACCESS_TOKENS_DEMAND").unwrap_or_default();
        let demanded = demanded.split(',').any(|one| one.trim() == name);
        assert!(!demanded, "{called} isn't there, and ACCESS_TOKENS_DEMAND demands it");
        println!("skipped, because {called} isn't there: {skipped}");
    }
    found
}
