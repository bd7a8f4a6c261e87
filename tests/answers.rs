//! What servers, gateways and networks answer that no specification shows, met elsewhere by users of other software: each is
//! the error it is, or no error at all.
#![cfg(test)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use access_tokens::{Error, ErrorKind, TokenCache, TokenEndpoint, onence, worldline};
use support::{Server, answer, json, read_request, token_response};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use ErrorKind::{Contract, Credentials, Request, Throttled, Unavailable};

/// What both clients make of an answer: a gateway before either server may give it.
async fn errors(bytes: impl Into<Vec<u8>>) -> [Error; 2] {
    let server = Server::answering(bytes).await;
    [server.onence().exchange().await, server.worldline().exchange().await].map(Result::unwrap_err)
}

#[tokio::test]
async fn a_429_and_a_5xx_decide_whatever_code_is_in_them() {
    let bodies = [
        r#"{"error":"invalid_client"}"#,
        r#"{"error":"invalid_scope"}"#,
        r#"{"statusCode":429,"errorCode":"BadCredentials","message":"m"}"#,
        r#"{"error":"temporarily_unavailable"}"#,
    ];
    for body in bodies {
        for (status, headers, kind) in [
            (429, &[][..], Throttled),
            (429, &["retry-after: 7"], Throttled),
            (500, &[], Unavailable),
            (502, &[], Unavailable),
            (503, &[], Unavailable),
            (503, &["retry-after: 7"], Throttled),
            (504, &[], Unavailable),
        ] {
            for error in errors(answer(status, headers, body)).await {
                assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{status} {body}");
                assert_eq!(error.retry_after().is_some(), !headers.is_empty());
                assert!(error.code().is_some(), "the code is told all the same: {error}");
            }
        }
    }
    for code in ["temporarily_unavailable", "server_error"] {
        for error in errors(json(400, &format!(r#"{{"error":"{code}"}}"#))).await {
            assert_eq!((error.kind(), error.code()), (Unavailable, Some(code)));
        }
    }
}

#[tokio::test]
async fn a_403_without_a_known_code_is_no_matter_of_credentials() {
    let cases = [
        answer(403, &["content-type: text/html"], "<html>Request blocked.</html>"),
        json(403, r#"{"message":"Missing Authentication Token"}"#),
        json(403, r#"{"error":"forbidden"}"#),
        answer(403, &[], ""),
    ];
    for bytes in cases {
        for error in errors(bytes).await {
            assert_eq!(error.kind(), Request, "{error}");
            for part in ["access was refused before", "check the base URL", "address is allowed"] {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }
    for error in errors(json(403, r#"{"error":"access_denied"}"#)).await {
        assert_eq!(error.kind(), Credentials, "{error}");
    }
}

#[tokio::test]
async fn words_where_a_code_is_expected_are_told() {
    let cases = [
        (404, r#"{"error":"Realm does not exist"}"#, "Realm does not exist"),
        (
            404,
            r#"{"error":"Unable to find \u202ematching\u200b target","error_description":"see log"}"#,
            "Unable to find matching target: see log",
        ),
        (400, r#"{"errorCode":"no good","message":"Call us."}"#, "no good: Call us."),
        (403, r#"{"message":"Forbidden"}"#, "Forbidden"),
        (400, r#"{"error":"","error_description":"x"}"#, "x"),
        (404, r#"{"error":"twice","error":"said twice"}"#, "said twice"),
    ];
    for (status, body, said) in cases {
        for error in errors(json(status, body)).await {
            assert_eq!((error.description(), error.code(), error.kind()), (Some(said), None, Request), "{body}");
        }
    }
}

#[tokio::test]
async fn an_error_that_comes_as_200_is_the_error() {
    let cases = [
        (r#"{"error":"invalid_client","error_description":"d"}"#, "invalid_client", Credentials),
        (r#"{"error":"invalid_scope"}"#, "invalid_scope", Request),
        (r#"{"error":"temporarily_unavailable"}"#, "temporarily_unavailable", Unavailable),
        (r#"{"statusCode":400,"errorCode":"BadCredentials","message":"m"}"#, "BadCredentials", Credentials),
        (r#"{"statusCode":400,"errorCode":"BadCredentials","token_type":17}"#, "BadCredentials", Credentials),
    ];
    for (body, code, kind) in cases {
        for error in errors(json(200, body)).await {
            assert_eq!((error.kind(), error.code(), error.status()), (kind, Some(code), Some(200)), "{body}");
        }
    }
    // What isn't documented is no error of theirs, and told.
    for (body, code, said) in [
        (r#"{"error":"slow_down","error_description":"take it easy"}"#, Some("slow_down"), Some("take it easy")),
        (r#"{"error":"Realm does not exist"}"#, None, Some("Realm does not exist")),
        (r#"{"error":"","error_description":"\u200b"}"#, None, None),
    ] {
        for error in errors(json(200, body)).await {
            assert_eq!((error.kind(), error.code(), error.description()), (Contract, code, said), "{body}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_compressed_says_so() {
    let cases = [
        (&["content-encoding: gzip"][..], "gzip"),
        (&["content-encoding: br"], "br"),
        (&["content-encoding: zstd, gzip"], "zstd, gzip"),
        (&["content-encoding: identity", "content-encoding: gzip"], "identity, gzip"),
        (&["content-encoding: a\u{9b}b"], "of an odd name"),
    ];
    for (headers, shown) in cases {
        for (status, kind) in [(200, Contract), (400, Request), (401, Credentials), (503, Unavailable)] {
            for error in errors(answer(status, headers, "\u{1f}\u{8b}\u{8}\u{0}")).await {
                assert_eq!(error.kind(), kind, "{error}");
                assert!(error.to_string().contains(&format!("Content-Encoding: {shown})")), "{error}");
            }
        }
    }
    // One that isn't, whatever it says, or could be read, isn't said.
    for (headers, body) in
        [(&["content-encoding: Identity"][..], ""), (&["content-encoding: gzip"], r#"{"message":"m"}"#)]
    {
        for error in errors(answer(404, headers, body)).await {
            assert!(!error.to_string().contains("compressed"), "{error}");
        }
    }
    // Not even where the HTTP client could, as in these tests.
    let gzip = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 74, 45, 42, 202, 47, 82, 178, 82, 202, 204, 43, 75, 204, 201, 76,
        137, 79, 206, 201, 76, 205, 43, 81, 170, 5, 0, 171, 132, 41, 160, 26, 0, 0, 0,
    ];
    let head = format!("HTTP/1.1 400 Bad\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gzip.len());
    for error in errors([head.as_bytes(), &gzip].concat()).await {
        assert!(error.to_string().contains("Content-Encoding: gzip"), "{error}");
    }
    // It is only said where it matters.
    let server = Server::answering(answer(200, &["content-encoding: identity"], BODY)).await;
    server.onence().exchange().await.unwrap();
    assert!(server.requests()[0].contains("accept-encoding: identity\r\n"), "{:?}", server.requests());
}

const BODY: &str = r#"{"access_token":"eyJ.a.b","token_type":"bearer","expires_in":300,"userId":"u"}"#;

#[tokio::test]
async fn json_in_another_encoding_is_read() {
    let with_body = |status, body: &[u8]| {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let marked = [b"\xef\xbb\xbf", BODY.as_bytes()].concat();
    let token = Server::answering(with_body(200, &marked)).await.onence().exchange().await.unwrap();
    assert_eq!((token.secret(), token.user_id()), ("eyJ.a.b", Some("u")));
    let latin = BODY.replace(r#":"u""#, ":\"M\u{fc}ller\"").chars().map(|c| c as u8).collect::<Vec<_>>();
    let token = Server::answering(with_body(200, &latin)).await.onence().exchange().await.unwrap();
    assert_eq!((token.secret(), token.user_id()), ("eyJ.a.b", Some("M\u{fc}ller")));

    let marked = b"\xef\xbb\xbf{\"error\":\"invalid_client\"}";
    let latin = b"{\"error\":\"invalid_client\",\"error_description\":\"ung\xfcltig\"}";
    for (body, said) in [(&marked[..], None), (&latin[..], Some("ung\u{fc}ltig"))] {
        for error in errors(with_body(400, body)).await {
            assert_eq!((error.code(), error.description()), (Some("invalid_client"), said));
        }
    }
}

#[tokio::test]
async fn a_retry_after_with_a_fraction_counts_as_whole_seconds() {
    for (value, seconds) in
        [("120.5", Some(121)), ("0.2", Some(1)), ("7.0", Some(7)), ("1e3", None), (".5", None), ("1.2.3", None)]
    {
        for error in errors(answer(429, &[&format!("retry-after: {value}")], "")).await {
            assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{value}");
        }
    }
}

#[tokio::test]
async fn what_isnt_http_breaks_the_contract_and_says_how() {
    let lines = (0..101).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let cases = [
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), "invalid HTTP version"),
        ("HTTP/1.1 abc What\r\n\r\n".to_owned(), "invalid HTTP status-code"),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{BODY}"), "content-length"),
        (format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\n{{}}"), "head is too large"),
    ];
    for (bytes, what) in cases {
        for error in errors(bytes).await {
            assert_eq!((error.kind(), error.is_retryable()), (Contract, false), "{error}");
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_whose_end_cant_be_told_breaks_the_contract() {
    let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{rest}");
    for error in errors(chunked("zz\r\n{}\r\n0\r\n\r\n")).await {
        assert_eq!(error.kind(), Contract, "{error}");
    }
    // One that only ends too early may be whole another time.
    for error in errors(chunked("9\r\n{\"a\"")).await {
        assert_eq!(error.kind(), Unavailable, "{error}");
    }
}

#[tokio::test]
async fn a_sloppy_answer_that_is_whole_is_read() {
    let length = BODY.len();
    let heads = [
        format!("content-length: {length}\r\nx-folded: a\r\n b\r\n"),
        format!("content-length: {length}\r\nx-folded: a\r\n\tb\r\nx-other: c\r\n"),
        format!("content-length : {length}\r\n"),
        format!("x blank name: a\r\ncontent-length: {length}\r\n"),
        // Too long a length, and none.
        format!("content-length: {}\r\n", length + 5),
        String::new(),
    ];
    for head in heads {
        let server = Server::answering(format!("HTTP/1.1 200 OK\r\n{head}\r\n{BODY}")).await;
        for token in [server.onence().exchange().await, server.worldline().exchange().await] {
            assert_eq!(token.unwrap().secret(), "eyJ.a.b", "{head}");
        }
        let body = r#"{"statusCode":400,"errorCode":"BadCredentials","message":"m"}"#;
        let head = head.replace(&length.to_string(), &body.len().to_string());
        for error in errors(format!("HTTP/1.1 400 Bad\r\n{head}\r\n{body}")).await {
            assert_eq!((error.kind(), error.code()), (Credentials, Some("BadCredentials")), "{head}");
        }
    }
}

#[tokio::test]
async fn sloppy_headers_count() {
    for head in [
        "retry-after: soon\r\nretry-after: 7",
        "retry-after:\r\n 7",
        "retry-after: \r\n\t7",
        "retry-after : 7",
        "a blank: b\r\nretry-after: 7",
    ] {
        for error in errors(format!("HTTP/1.1 429 Slow\r\n{head}\r\ncontent-length: 0\r\n\r\n")).await {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{head:?}");
        }
    }
}

#[tokio::test]
async fn each_exchange_has_a_connection_of_its_own() {
    // Keeps its connections, and closes each on the second request without a word, as a balancer does.
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = (connections.clone(), requests.clone(), closed.clone());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.0.fetch_add(1, Ordering::Relaxed);
            let (requests, closed) = (counted.1.clone(), counted.2.clone());
            tokio::spawn(async move {
                if read_request(&mut connection).await.is_empty() {
                    return;
                }
                requests.fetch_add(1, Ordering::Relaxed);
                let kept = String::from_utf8(token_response(serde_json::json!({}))).unwrap();
                let kept = kept.replace("connection: close\r\n", "");
                let _ = connection.write_all(kept.as_bytes()).await;
                read_request(&mut connection).await;
                closed.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    let client = onence::Client::builder(onence::Credentials::new("u", "p")).base_url(&url).build().unwrap();
    for _ in 0..5 {
        client.exchange().await.unwrap();
    }
    assert_eq!((connections.load(Ordering::Relaxed), requests.load(Ordering::Relaxed)), (5, 5));
    // None is left open, however many clients there are: a process has but so many file descriptors.
    let open = || connections.load(Ordering::Relaxed) - closed.load(Ordering::Relaxed);
    for _ in 0..50 {
        let credentials = onence::Credentials::new("u", "p");
        onence::Client::builder(credentials).base_url(&url).build().unwrap().exchange().await.unwrap();
    }
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(if open() == 0 { 0 } else { 50 })).await;
    }
    assert_eq!(open(), 0);
}

/// In another runtime than the one in which a connection was made, that would hang.
#[test]
fn a_client_works_in_one_runtime_after_another() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let served = tokio::runtime::Runtime::new().unwrap();
    let kept = String::from_utf8(token_response(serde_json::json!({}))).unwrap().replace("connection: close\r\n", "");
    let listener = served.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    served.spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                while !read_request(&mut connection).await.is_empty() {
                    let _ = connection.write_all(kept.as_bytes()).await;
                }
            });
        }
    });
    let client = onence::Client::builder(onence::Credentials::new("u", "p")).base_url(&url).build().unwrap();
    // None of them is driven any more after its exchange, nor dropped, as in a function that is frozen.
    let runtimes = [runtime(), runtime(), runtime()];
    for runtime in &runtimes {
        let exchange = async { tokio::time::timeout(Duration::from_secs(5), client.exchange()).await };
        runtime.block_on(exchange).unwrap().unwrap();
    }
    // Nor while its thread waits for a token of the same client.
    let client = Arc::new(client);
    let (sender, token) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            client.exchange().await.unwrap();
            let blocking = TokenCache::builder(client).build_blocking().unwrap();
            sender.send(blocking.token().is_ok()).unwrap();
        });
    });
    assert_eq!(token.recv_timeout(Duration::from_secs(5)), Ok(true));
}

#[tokio::test]
async fn a_text_that_holds_a_secret_is_left_out_whole() {
    let body = |text: &str| serde_json::json!({ "error": "invalid_client", "error_description": text }).to_string();
    let cases = [
        ("x", "User does not exist."),
        ("open sesame", "no Open  Sesame here"),
        ("p@ss w+rd", "bad p%40ss+w%2Brd"),
        ("p@ss w+rd", "bad p%2540ss%20w%252Brd"),
        ("a\"b", "bad a&quot;b"),
        ("a\"b", "bad a\\\"b"),
        ("pass", "p\u{200b}ass"),
        ("open sesame", "b3BlbiBzZXNhbWU="),
    ];
    for (secret, text) in cases {
        let server = Server::answering(json(401, &body(text))).await;
        let error = server.worldline_with(worldline::ClientSecret::new("id", secret)).exchange().await.unwrap_err();
        assert_eq!((error.code(), error.description()), (Some("invalid_client"), None), "{text}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("redacted"), "{shown}");
    }
    // A code that nobody knows counts as text, and in the place of one, too.
    for said in ["my-secret-code", "my secret code"] {
        let server = Server::answering(json(400, &format!(r#"{{"error":"{said}"}}"#))).await;
        let error = server.worldline_with(worldline::ClientSecret::new("id", "secret")).exchange().await.unwrap_err();
        assert_eq!((error.code(), error.description()), (None, None));
    }
}

#[tokio::test]
async fn every_failure_names_the_host_and_the_cause() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = onence::Client::builder(onence::Credentials::new("u", "p")).base_url(format!("http://{nobody}"));
    let error = refused.build().unwrap().exchange().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(error.to_string().contains(&nobody.to_string()) && cause.to_string().contains("refused"), "{error:?}");
    assert!(cause.source().is_none(), "the cause comes first, not at the end of a chain");

    let cases = [
        json(401, r#"{"error":"invalid_client"}"#),
        json(503, ""),
        json(200, "{}"),
        answer(302, &["location: /"], ""),
        b"SSH-2.0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec(),
        Vec::new(),
    ];
    for bytes in cases {
        let server = Server::answering(bytes).await;
        let error = server.onence().exchange().await.unwrap_err();
        let host = server.url.trim_start_matches("http://");
        assert!(error.to_string().contains(host), "{error}");
    }
}
