//! A server on loopback that isn't the sandbox: it counts connections and keeps what is sent to it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

/// A token response with this token.
pub fn token(token: &str) -> String {
    let body = format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":60,"scope":"VOP WERO"}}"#);
    answer("200 OK", "", &body)
}

/// An answer with one more header, or with none.
pub fn answer(status: &str, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

pub struct Server {
    pub address: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Server {
    /// Closes each connection at once.
    pub fn counting() -> Self {
        Self::listening("127.0.0.1:0", |_| Some(String::new())).unwrap()
    }

    /// Answers the nth request, counted from 0, so; or never.
    pub fn answering(answer: impl Fn(usize) -> Option<String> + Send + 'static) -> Self {
        Self::listening("127.0.0.1:0", answer).unwrap()
    }

    /// None where this machine doesn't have the address.
    pub fn listening(at: &str, answer: impl Fn(usize) -> Option<String> + Send + 'static) -> Option<Self> {
        let listener = TcpListener::bind(at).ok()?;
        let address = listener.local_addr().ok()?.to_string();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { address, connections: connections.clone(), requests: requests.clone() };
        // It ends with the test's process.
        thread::spawn(move || {
            let mut silent = Vec::new();
            for mut connection in listener.incoming().map_while(Result::ok) {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let answer = answer(number);
                if answer.as_deref() == Some("") {
                    continue;
                }
                let request = request(&mut connection);
                requests.lock().unwrap().push((Instant::now(), request));
                match answer {
                    Some(answer) => _ = connection.write_all(answer.as_bytes()),
                    None => silent.push(connection),
                }
            }
        });
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// All requests, each with when it was there.
    pub fn requests(&self) -> Vec<(Instant, String)> {
        self.requests.lock().unwrap().clone()
    }
}

/// Head and body.
fn request(connection: &mut TcpStream) -> String {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let length = connection.read(&mut part).unwrap_or(0);
        request.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&request);
        let body = text.split_once("\r\n\r\n").map(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        });
        if length == 0 || body == Some(true) {
            return text.into_owned();
        }
    }
}
