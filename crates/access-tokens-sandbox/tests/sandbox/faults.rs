//! Faults: each effect on the wire, how long they last, how they combine, and which are refused.

use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime};

use access_tokens_sandbox::{Endpoint, EndpointFault, Fault, FaultError, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clients::{
    ask_onence, ask_worldline, http, json_of, raw, raw_worldline_request, read_to_end, soon, token, visit,
};

/// One fault for each row of the table in the crate's docs, as JSON and, where Rust has it, as Rust, and what to look at.
fn rows() -> Vec<(&'static str, Value, Option<Fault>, Look)> {
    let second = Duration::from_secs(1);
    vec![
        ("status", json!({"status": 503}), Some(Fault::status(503).into()), Look::Answer(503, &[], "")),
        (
            "retry_after",
            json!({"status": 503, "retry_after": 5}),
            Some(Fault::status(503).retry_after(5).into()),
            Look::Answer(503, &[("retry-after", "5")], ""),
        ),
        (
            "retry_after",
            json!({"status": 429, "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
            Some(Fault::status(429).retry_after_text("Wed, 21 Oct 2026 07:28:00 GMT").into()),
            Look::Answer(429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], ""),
        ),
        (
            "location",
            json!({"status": 307, "location": "http://127.0.0.1:9/x"}),
            Some(Fault::redirect(307, "http://127.0.0.1:9/x").into()),
            Look::Answer(307, &[("location", "http://127.0.0.1:9/x")], ""),
        ),
        (
            "error",
            json!({"status": 401, "error": "invalid_client"}),
            Some(Fault::status(401).error("invalid_client").into()),
            Look::Answer(401, &[("content-type", "application/json")], r#"{"error":"invalid_client"}"#),
        ),
        (
            "error_description",
            json!({"status": 400, "error": "invalid_scope", "error_description": "no"}),
            Some(Fault::status(400).error_with_description("invalid_scope", "no").into()),
            Look::Answer(400, &[], r#"{"error":"invalid_scope","error_description":"no"}"#),
        ),
        (
            "body",
            json!({"status": 200, "body": "{}"}),
            None,
            Look::Answer(200, &[("content-type", "application/json")], "{}"),
        ),
        (
            "content_type",
            json!({"status": 404, "content_type": "text/html", "body": "<h1>no</h1>"}),
            Some(Fault::body(404, "text/html", "<h1>no</h1>").into()),
            Look::Answer(404, &[("content-type", "text/html")], "<h1>no</h1>"),
        ),
        (
            "latency_ms",
            json!({"latency_ms": 300}),
            Some(Fault::latency(Duration::from_millis(300))),
            Look::Latency(Duration::from_millis(300)),
        ),
        ("reset", json!({"reset": true}), Some(Fault::reset()), Look::Reset),
        ("garbage", json!({"garbage": true}), Some(Fault::garbage()), Look::Garbage),
        ("truncated", json!({"truncated": true}), Some(Fault::truncated()), Look::Truncated),
        (
            "oversized_bytes",
            json!({"oversized_bytes": 200_000}),
            Some(Fault::oversized(200_000)),
            Look::Oversized(200_000),
        ),
        ("endless", json!({"endless": true}), Some(Fault::endless()), Look::Endless),
        (
            "without_token",
            json!({"without_token": true}),
            Some(Fault::without_token()),
            Look::Member("access_token", Value::Null),
        ),
        (
            "token_type",
            json!({"token_type": "mac"}),
            Some(Fault::wrong_token_type("mac")),
            Look::Member("token_type", "mac".into()),
        ),
        ("clock_skew_s", json!({"clock_skew_s": -3600}), Some(Fault::clock_skew(-3600)), Look::Date(-3600)),
        ("clock_skew_s", json!({"clock_skew_s": 3600}), Some(Fault::clock_skew(3600)), Look::Date(3600)),
        (
            "times",
            json!({"status": 503, "times": 3}),
            Some(Fault::status(503).times(3)),
            Look::Answers(&[503, 503, 503, 200]),
        ),
        (
            "lasting_ms",
            json!({"status": 503, "lasting_ms": 1000}),
            Some(Fault::status(503).lasting(second)),
            Look::OverAfter(second),
        ),
        (
            "until_cleared",
            json!({"status": 503, "until_cleared": true}),
            Some(Fault::status(503).until_cleared()),
            Look::Answers(&[503, 503, 503, 503, 503]),
        ),
    ]
}

enum Look {
    /// Status, headers, body.
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The statuses of the next requests.
    Answers(&'static [u16]),
    OverAfter(Duration),
    Latency(Duration),
    Reset,
    Garbage,
    Truncated,
    Oversized(u64),
    Endless,
    Member(&'static str, Value),
    /// The `Date` header is off by so many seconds.
    Date(i64),
}

#[tokio::test]
async fn every_row_of_the_table_does_what_it_says() {
    for (key, json, fault, look) in rows() {
        let what = json.to_string();
        assert!(json.get(key).is_some(), "{what}");
        let parsed: Fault = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&parsed).unwrap(), json);
        if let Some(fault) = fault {
            assert_eq!(parsed, fault, "{what}");
        }
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.fault(Endpoint::Worldline, parsed).unwrap();
        look.at(&sandbox, &what).await;
        if !matches!(look, Look::Answers(_)) {
            let after = ask_worldline(&sandbox).send().await.unwrap().status();
            assert_eq!(after, 200, "{what}: once is enough");
        }
    }
}

#[test]
fn the_documented_table_is_what_is_tried_and_what_is_accepted() {
    let (_, section) = include_str!("../../src/lib.rs").split_once("//! # Faults as JSON").unwrap();
    let (_, table) = section.split_once("//! | --- | --- | --- |\n").unwrap();
    let rows_of_docs: Vec<(&str, &str)> = table
        .lines()
        .map_while(|line| line.strip_prefix("//! | `")?.split_once('`'))
        .map(|(key, rest)| (key, rest.split('|').nth(2).unwrap()))
        .collect();
    let documented: Vec<&str> = rows_of_docs.iter().map(|(key, _)| *key).collect();

    let mut tried: Vec<&str> = rows().iter().map(|(key, ..)| *key).collect();
    tried.dedup();
    assert_eq!(documented, tried);

    let unknown = serde_json::from_str::<Fault>(r#"{"x":1}"#).unwrap_err().to_string();
    let (_, accepted) = unknown.split_once("expected one of ").unwrap();
    let accepted: Vec<&str> = accepted.split('`').skip(1).step_by(2).collect();
    assert_eq!(documented, accepted);

    let effects = rows_of_docs.iter().filter(|(_, what)| what.starts_with(" effect: ")).map(|(key, _)| *key);
    let listed = format!("a fault needs one effect: {}", effects.collect::<Vec<_>>().join(", "));
    assert_eq!(serde_json::from_str::<Fault>("{}").unwrap_err().to_string(), listed);
}

impl Look {
    async fn at(&self, sandbox: &Sandbox, what: &str) {
        match self {
            Look::Answer(status, headers, body) => {
                let response = ask_worldline(sandbox).send().await.unwrap();
                assert_eq!(response.status().as_u16(), *status, "{what}");
                for (name, value) in *headers {
                    assert_eq!(response.headers()[*name], value, "{what}");
                }
                assert_eq!(response.text().await.unwrap(), *body, "{what}");
            }
            Look::Answers(statuses) => {
                for status in *statuses {
                    let response = ask_worldline(sandbox).send().await.unwrap();
                    assert_eq!(response.status().as_u16(), *status, "{what}");
                }
            }
            Look::OverAfter(time) => {
                let start = Instant::now();
                let mut refused = 0;
                while ask_worldline(sandbox).send().await.unwrap().status() == 503 {
                    refused += 1;
                    assert!(start.elapsed() < *time * 2, "{what}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                assert!(start.elapsed() >= *time / 2, "{what}");
                assert!(refused > 1, "{what}");
            }
            Look::Latency(latency) => {
                let start = Instant::now();
                assert_eq!(ask_worldline(sandbox).send().await.unwrap().status(), 200, "{what}");
                assert!(start.elapsed() >= *latency, "{what}");
            }
            Look::Reset => {
                let mut stream = raw(sandbox, &raw_worldline_request()).await;
                let (read, end) = read_to_end(&mut stream).await;
                assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset, "{what}");
                assert!(read.is_empty(), "{what}");
            }
            Look::Garbage => {
                let response = ask_worldline(sandbox).send().await.unwrap();
                assert_eq!(response.status(), 200, "{what}");
                assert!(response.text().await.unwrap().contains("<html>"), "{what}");
            }
            Look::Truncated => {
                let mut stream = raw(sandbox, &raw_worldline_request()).await;
                let (read, end) = read_to_end(&mut stream).await;
                end.unwrap();
                let read = String::from_utf8(read).unwrap();
                let (head, body) = read.split_once("\r\n\r\n").unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.unwrap().parse().unwrap();
                assert_eq!(body.len(), length / 2, "{what}");
                assert!(body.len() > 100, "{what}");
            }
            Look::Oversized(bytes) => {
                let response = ask_worldline(sandbox).send().await.unwrap();
                assert_eq!(response.content_length(), Some(*bytes), "{what}");
                let body = response.bytes().await.unwrap();
                assert_eq!(body.len() as u64, *bytes, "{what}");
                let answer: Value = serde_json::from_slice(&body).unwrap();
                assert!(answer["access_token"].is_string(), "{what}: only a limit refuses it");
            }
            Look::Endless => {
                let mut stream = raw(sandbox, &raw_worldline_request()).await;
                let mut buffer = vec![0; 10_000_000];
                stream.read_exact(&mut buffer).await.unwrap();
                let head = String::from_utf8_lossy(&buffer[..500]).into_owned();
                assert!(head.starts_with("HTTP/1.1 200 OK"), "{what}: {head}");
                assert!(head.contains("transfer-encoding: chunked"), "{what}: {head}");
                drop(stream);
                soon("the end of the connection", async || sandbox.connections() == 0).await;
            }
            Look::Member(name, value) => {
                let (status, answer) = json_of(ask_worldline(sandbox).send().await.unwrap()).await;
                assert_eq!(status, 200, "{what}");
                assert_eq!(answer.get(*name).cloned().unwrap_or_default(), *value, "{what}");
                assert_eq!(answer["expires_in"], 300, "{what}: the rest is as usual");
            }
            Look::Date(skew) => {
                let response = ask_worldline(sandbox).send().await.unwrap();
                let date = response.headers()["date"].to_str().unwrap();
                let date = httpdate::parse_http_date(date).unwrap();
                let off = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
                let off = off(date) - off(SystemTime::now());
                assert!((off - skew).abs() <= 5, "{what}: off by {off}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_takes_the_endpoints_own_shape() {
    let sandbox = Sandbox::start().await.unwrap();
    let fault = || Fault::status(401).error_with_description("Code", "text");
    sandbox.fault(Endpoint::Onence, fault()).unwrap();
    sandbox.fault(Endpoint::Resource, fault()).unwrap();

    let (status, answer) = json_of(ask_onence(&sandbox).send().await.unwrap()).await;
    let expected = json!({ "statusCode": 401, "errorCode": "Code", "message": "text" });
    assert_eq!((status.as_u16(), answer), (401, expected));

    let response = http().get(sandbox.resource_url()).send().await.unwrap();
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer realm="sandbox", error="Code", error_description="text""#
    );
    assert_eq!(json_of(response).await.1, json!({ "error": "Code", "error_description": "text" }));
}

#[tokio::test]
async fn faults_come_in_their_order_and_only_at_their_endpoint() {
    let sandbox = Sandbox::start().await.unwrap();
    for fault in [Fault::status(500).times(2), Fault::status(502).into(), Fault::garbage()] {
        sandbox.fault(Endpoint::Onence, fault).unwrap();
    }
    for expected in [500, 500, 502, 200, 200] {
        assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), expected);
        assert_eq!(ask_worldline(&sandbox).send().await.unwrap().status(), 200);
    }
    assert_eq!(sandbox.requests(Endpoint::Onence), 5);
    assert_eq!(sandbox.requests(Endpoint::Worldline), 5);
    assert_eq!(sandbox.requests(Endpoint::Resource), 0);
    assert_eq!(sandbox.tokens_issued(), 6, "an answer in place of the usual one makes no token");
}

#[tokio::test]
async fn latency_and_skew_combine_with_another_fault() {
    let sandbox = Sandbox::start().await.unwrap();
    let latency = Duration::from_millis(200);
    for fault in [Fault::status(503).into(), Fault::latency(latency).times(2), Fault::clock_skew(86_400).times(2)] {
        sandbox.fault(Endpoint::Onence, fault).unwrap();
    }
    let day_off = SystemTime::now() + Duration::from_secs(86_000);
    for expected in [503, 200] {
        let start = Instant::now();
        let response = ask_onence(&sandbox).send().await.unwrap();
        assert_eq!(response.status(), expected);
        assert!(start.elapsed() >= latency);
        let date = response.headers()["date"].to_str().unwrap();
        assert!(httpdate::parse_http_date(date).unwrap() > day_off, "{date}");
    }
    assert!(sandbox.faults().is_empty());
}

#[tokio::test]
async fn two_of_a_kind_wait_for_each_other() {
    let sandbox = Sandbox::start().await.unwrap();
    let latencies = [Duration::from_millis(100), Duration::from_millis(300)];
    for latency in latencies {
        sandbox.fault(Endpoint::Onence, Fault::latency(latency)).unwrap();
    }
    for latency in latencies {
        let start = Instant::now();
        assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), 200);
        assert!(start.elapsed() >= latency);
    }
    assert!(sandbox.faults().is_empty());
}

#[tokio::test]
async fn clearing_ends_every_fault() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Onence, Fault::status(503).until_cleared()).unwrap();
    sandbox.fault(Endpoint::Worldline, Fault::status(503).lasting(Duration::MAX)).unwrap();
    assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), 503);
    assert_eq!(sandbox.clear_faults(), 2);
    assert_eq!(ask_onence(&sandbox).send().await.unwrap().status(), 200);
    assert_eq!(ask_worldline(&sandbox).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_queue_shows_what_is_left() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Onence, Fault::status(503).times(3)).unwrap();
    ask_onence(&sandbox).send().await.unwrap();
    sandbox.fault(Endpoint::Resource, Fault::reset()).unwrap();
    sandbox.fault(Endpoint::Resource, Fault::status(503).lasting(Duration::from_secs(60))).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;

    let queued = sandbox.faults();
    let left = EndpointFault { endpoint: Endpoint::Onence, fault: Fault::status(503).times(2) };
    let once = EndpointFault { endpoint: Endpoint::Resource, fault: Fault::reset().times(1) };
    assert_eq!(queued[..2], [left, once]);
    let lasting_ms = serde_json::to_value(&queued[2]).unwrap()["lasting_ms"].as_u64().unwrap();
    assert!((50_000..60_000).contains(&lasting_ms), "{lasting_ms}");
}

#[test]
fn a_body_is_not_shown() {
    let fault = Fault::body(200, "application/json", r#"{"access_token":"planted"}"#);
    let shown = r#"Fault({"status":200,"body":"[26 bytes]","content_type":"application/json"})"#;
    assert_eq!(format!("{fault:?}"), shown);
    assert_eq!(format!("{:?}", fault.times(2)), shown.replace("})", r#","times":2})"#));
}

#[tokio::test]
async fn a_fault_changes_the_usual_answer_even_when_that_is_an_error() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Worldline, Fault::without_token()).unwrap();
    let wrong = crate::clients::secret_form_with("client_secret", Some("wrong"));
    let url = crate::clients::worldline_url(&sandbox);
    let (status, answer) = json_of(http().post(url).form(&wrong).send().await.unwrap()).await;
    assert_eq!((status.as_u16(), &answer["error"]), (401, &json!("unauthorized_client")));
    assert!(sandbox.faults().is_empty());
}

#[tokio::test]
async fn a_fault_on_the_resource_leaves_the_token_good() {
    let sandbox = Sandbox::start().await.unwrap();
    let token = token(ask_onence(&sandbox)).await;
    sandbox.fault(Endpoint::Resource, Fault::status(401)).unwrap();
    assert_eq!(visit(&sandbox, &token).await, 401);
    assert_eq!(visit(&sandbox, &token).await, 200);
}

#[tokio::test]
async fn an_answer_waits_for_the_whole_request() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Resource, Fault::status(503)).unwrap();
    let half = "x".repeat(1000);
    let head = "POST /resource HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n";
    let mut stream = raw(&sandbox, &format!("{head}{half}")).await;
    let early = tokio::time::timeout(Duration::from_millis(200), stream.readable()).await;
    assert!(early.is_err(), "an answer before the request was there");
    stream.write_all(half.as_bytes()).await.unwrap();
    let (read, end) = read_to_end(&mut stream).await;
    end.unwrap();
    assert!(read.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&read));
}

#[tokio::test]
async fn a_client_that_gives_up_during_the_latency_frees_its_connection() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fault(Endpoint::Onence, Fault::latency(Duration::from_secs(60))).unwrap();
    let impatient = ask_onence(&sandbox).timeout(Duration::from_millis(100)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    soon("the end of the connection", async || sandbox.connections() == 0).await;
    assert_eq!(sandbox.requests(Endpoint::Onence), 1);
    assert_eq!(sandbox.tokens_issued(), 0);
}

#[test]
fn what_excludes_each_other_in_json_is_refused() {
    let cases = [
        (json!({}), "a fault needs one effect: status, latency_ms, "),
        (json!({"times": 2}), "a fault needs one effect: status, latency_ms, "),
        (json!({"reset": false}), "a fault needs one effect: status, latency_ms, "),
        (json!({"status": 503, "reset": true}), "`status` and `reset` don't go together in one fault"),
        (json!({"latency_ms": 1, "endless": true}), "`latency_ms` and `endless` don't go together"),
        (json!({"retry_after": 1}), "`retry_after` goes with `status` only"),
        (json!({"garbage": true, "location": "/"}), "`location` goes with `status` only"),
        (json!({"reset": true, "error": "x"}), "`error` goes with `status` only"),
        (json!({"reset": true, "body": "x"}), "`body` goes with `status` only"),
        (json!({"status": 400, "error_description": "x"}), "`error_description` goes with `error` only"),
        (json!({"status": 400, "content_type": "x"}), "`content_type` goes with `body` only"),
        (json!({"status": 400, "error": "x", "body": "y"}), "`error` and `body` don't go together"),
        (json!({"reset": true, "times": 1, "lasting_ms": 1}), "`times` and `lasting_ms` don't go together"),
        (json!({"reset": true, "times": 1, "until_cleared": true}), "`times` and `until_cleared` don't go"),
        (json!({"reset": true, "lasting_ms": 1, "until_cleared": true}), "`lasting_ms` and `until_cleared`"),
    ];
    for (json, message) in cases {
        let error = serde_json::from_value::<Fault>(json.clone()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{json}: {error}");
    }
}

#[tokio::test]
async fn a_fault_that_cannot_be_served_is_refused_when_queued() {
    let cases = [
        (json!({"status": 199}), "`status` must be from 200 to 599"),
        (json!({"status": 600}), "`status` must be from 200 to 599"),
        (json!({"status": 307, "location": "a\nb"}), "`location` can't be sent in a header"),
        (json!({"status": 503, "retry_after": "a\nb"}), "`retry_after` can't be sent in a header"),
        (json!({"clock_skew_s": i64::MIN}), "`clock_skew_s` must be within ten years either way"),
        (json!({"status": 503, "times": 0}), "`times` must be at least 1"),
        (json!({"status": 200, "body": "x", "content_type": "a\nb"}), "`content_type` can't be sent in a header"),
    ];
    let sandbox = Sandbox::start().await.unwrap();
    for (json, message) in cases {
        let fault: Fault = serde_json::from_value(json.clone()).unwrap();
        let error: FaultError = sandbox.fault(Endpoint::Onence, fault).unwrap_err();
        assert!(error.to_string().starts_with(message), "{json}: {error}");
    }
    assert!(sandbox.faults().is_empty());
}
