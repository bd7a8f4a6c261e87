//! A web page of another origin, in a real browser, against the control endpoint.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use access_tokens_sandbox::{Endpoint, Fault, Sandbox};
use axum::Router;
use axum::extract::RawQuery;
use axum::response::Html;
use axum::routing::get;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::clients::{ask_onence, token, visit};

/// Tries all that a page can send without asking the server first, and then what its own origin may send. Reports what came of
/// that to its own server.
const PAGE: &str = r#"<!DOCTYPE html>
<iframe name="frame"></iframe>
<form id="form" method="post" enctype="text/plain" target="frame" action="SANDBOX/_sandbox/faults">
  <input name='{"endpoint":"onence","status":200,"body":"' value='"}'>
</form>
<script>
const fault = '{"endpoint":"onence","status":200,"body":"attacker"}';
const simple = (path, body) => fetch('SANDBOX/_sandbox' + path, { method: 'POST', mode: 'no-cors', body });
const json = { method: 'POST', body: fault, headers: { 'content-type': 'application/json' } };
const done = new Promise(resolve => document.querySelector('iframe').addEventListener('load', resolve));
(async () => {
  document.getElementById('form').submit();
  await done;
  await simple('/faults', fault);
  await simple('/faults', new Blob([fault], { type: 'text/plain' }));
  await simple('/faults', new URLSearchParams(fault));
  await simple('/revoke', '{"all":true}');
  navigator.sendBeacon('SANDBOX/_sandbox/faults', fault);
  const shown = await fetch('SANDBOX/_sandbox').then(answer => answer.status, () => 'unreadable');
  const sent = await fetch('SANDBOX/_sandbox/faults', json).then(answer => answer.status, () => 'unreadable');
  await fetch('REPORTS/report?' + shown + '-' + sent, { mode: 'no-cors' });
})();
</script>"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_does_nothing_in_a_browser() {
    if !is_there() {
        return;
    }
    let sandbox = Sandbox::start().await.unwrap();
    let port = sandbox.local_addr().port();
    let (reporting, mut reports) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other_port = listener.local_addr().unwrap().port();
    let page = |sandbox_url: &str| {
        PAGE.replace("SANDBOX", sandbox_url).replace("REPORTS", &format!("http://127.0.0.1:{other_port}"))
    };
    let shown = page(sandbox.url());
    let report = async move |RawQuery(query): RawQuery| reporting.send(query.unwrap()).unwrap();
    let other = Router::new().route("/", get(async move || Html(shown))).route("/report", get(report));
    tokio::spawn(axum::serve(listener, other).into_future());

    // What a page of the sandbox's own origin is like, and one whose name was led to the sandbox when the page was there (DNS
    // rebinding): to the browser both are of one origin with the control endpoint.
    let own = sandbox.resource_url();
    let rebound = format!("http://attacker.example:{port}");
    let cases = [
        ("another site", format!("http://localhost:{other_port}/"), None, "unreadable-unreadable", false),
        ("another port", format!("http://127.0.0.1:{other_port}/"), None, "unreadable-unreadable", false),
        ("a rebound name", format!("{rebound}/resource"), Some(rebound.as_str()), "421-421", false),
        ("the sandbox's own origin", own, Some(sandbox.url()), "200-200", true),
    ];
    let token = token(ask_onence(&sandbox)).await;
    for (what, url, serve_for, report, may) in cases {
        if let Some(serve_for) = serve_for {
            sandbox.fault(Endpoint::Resource, Fault::body(200, "text/html", page(serve_for))).unwrap();
        }
        let browser = Browser::show(&url);
        let reported = tokio::time::timeout(Duration::from_secs(60), reports.recv()).await.expect("the page runs");
        drop(browser);
        assert_eq!(reported.as_deref(), Some(report), "{what}: what the page got");
        assert_eq!(sandbox.clear_faults(), usize::from(may), "{what}");
        assert_eq!(visit(&sandbox, &token).await, 200, "{what}");
    }
}

/// A browser that shows a page until it is dropped.
struct Browser {
    process: Child,
    profile: TempDir,
}

impl Browser {
    fn show(url: &str) -> Browser {
        let profile = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let process = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--no-proxy-server",
                "--disable-dev-shm-usage",
            ])
            .arg("--host-resolver-rules=MAP attacker.example 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Browser { process, profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All of its processes. Some of them go on writing into the profile for a moment.
        let _ = Command::new("kill").args(["--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
        for _ in 0..100 {
            if fs::remove_dir_all(self.profile.path()).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether Chromium is there; if not, the test says what it skips, or fails where `ACCESS_TOKENS_DEMAND` (names with commas
/// between) has its name.
fn is_there() -> bool {
    let found = Command::new("chromium").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let demanded = std::env::var("ACCESS_TOKENS_DEMAND").unwrap_or_default();
        let demanded = demanded.split(',').any(|one| one.trim() == "chromium");
        assert!(!demanded, "chromium isn't there, and ACCESS_TOKENS_DEMAND demands it");
        println!("skipped, because chromium isn't there: web pages against the control endpoint");
    }
    found
}
