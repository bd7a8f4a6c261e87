//! Certificates that end soon.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use access_tokens::{Identity, TokenEndpoint, assertion::ClientAssertion};
use tracing_subscriber::util::SubscriberInitExt;

use crate::{
    exchange::{Bank, CLIENT},
    keys::{KINDS, params},
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_certificate_that_ends_within_30_days_is_warned_of_once_a_day() {
    for (left, warnings) in
        [(HOUR, 1), (29 * DAY, 1), (30 * DAY - HOUR, 1), (30 * DAY + HOUR, 0), (31 * DAY, 0), (300 * DAY, 0)]
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ((), text) = logged(|| runtime.block_on(sign_twice(left)));
        assert_eq!(text.matches("the certificate ends soon").count(), warnings, "{left:?}: {text}");
        assert_eq!(text.lines().count(), warnings, "{left:?}: {text}");
        assert!(warnings == 0 || text.contains("subject=\"CN=ending\"") && text.contains("not_after="), "{text}");
    }
}

/// What `run` returns, and the warnings that it logs on this thread.
pub(crate) fn logged<R>(run: impl FnOnce() -> R) -> (R, String) {
    let log = Log::default();
    let writer = log.clone();
    let _collecting = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish()
        .set_default();
    let result = run();
    (result, log.text())
}

async fn sign_twice(left: Duration) {
    let key = KINDS[1].make();
    let mut params = params("ending");
    params.not_after = (SystemTime::now() + left).into();
    let certificate = params.self_signed(&key).unwrap();
    let bank = Bank::knowing([("ending".to_owned(), certificate.der().to_vec())].into()).await;
    let identity = Identity::new(key.serialize_pem(), Some(certificate.pem().as_ref()), None).unwrap();
    let client = bank.client(ClientAssertion::new(CLIENT, identity).unwrap());
    client.exchange().await.unwrap();
    client.exchange().await.unwrap();
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
