//! No token in what is logged or printed.

use std::{
    io,
    sync::{Arc, Mutex},
};

use access_tokens::http::{BearerLayer, BearerMiddleware, Origins};
use access_tokens_sandbox::Sandbox;
use tower::Layer;
use tracing::{Dispatch, subscriber::NoSubscriber};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    clients::{Call, each},
    recorder::tokens,
};

// One thread does it all, so its log has every line: the client's, the server's, ours.
#[tokio::test(flavor = "current_thread")]
async fn no_log_line_holds_the_token() {
    // With a single subscriber, the thread that comes by a log line first would say for all whether anybody wants it.
    let _second = Dispatch::new(NoSubscriber::new());
    each(async |setup| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        let installed = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
        let mut secrets = Vec::new();
        for _ in 0..2 {
            setup.send(setup.visit()).await.unwrap();
            secrets.push(setup.cache.token().await.unwrap().secret().to_owned());
            setup.sandbox.revoke_all();
        }
        let other = Sandbox::start().await.unwrap();
        setup.send(Call { url: format!("{}?planted", other.resource_url()), ..Call::default() }).await.unwrap();
        drop(installed);

        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let name = setup.name;
        assert!(log.contains("TRACE") && log.contains("hyper"), "{name}: the log is there to be searched");
        assert!(log.contains("sent again with another"), "{name}: {log}");
        let port = format!("port={}", other.local_addr().port());
        let told = log.lines().find(|line| line.contains("no token goes to this origin")).unwrap();
        assert!(told.contains("DEBUG") && told.contains(&port) && !told.contains("planted"), "{name}: {told}");
        assert!(secrets.len() == 2 && secrets[0] != secrets[1], "{name}");
        for secret in secrets {
            assert!(!log.contains(&secret) && !log.contains(secret.get(..100).unwrap()), "{name} logs a token");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_printed_holds_the_token() {
    let (cache, _) = tokens(["planted"]);
    cache.token().await.unwrap();
    let origins = Origins::new(["https://api.1nce.com"]).unwrap();
    let layer = BearerLayer::new(cache.clone(), origins.clone());
    let middleware = BearerMiddleware::new(cache.clone(), origins);
    let printed = format!("{layer:#?} {:#?} {middleware:#?}", layer.layer("inner"));
    assert!(printed.contains("https://api.1nce.com:443") && printed.contains("[redacted]"), "{printed}");
    assert!(!printed.contains("planted"), "{printed}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
