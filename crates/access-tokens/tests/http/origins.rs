//! Where a token may go, and where it goes.

use access_tokens::{
    ErrorKind,
    http::{BearerLayer, Origins},
};
use http::{Request, Uri, header::AUTHORIZATION, uri};
use tower::{Layer, ServiceExt};

use crate::recorder::{NoBody, Recorder, tokens};

#[test]
fn what_is_no_origin_is_refused_by_what_is_wrong_with_it() {
    let cases: [(&[&str], &str); 17] = [
        (&[], "at least one origin"),
        (&["api.1nce.com"], "origin 1 isn't one"),
        (&[""], "origin 1 isn't one"),
        (&["https://"], "origin 1 isn't one"),
        (&["https://api.1nce.com", "http://api.1nce.com"], "origin 2 must be https"),
        (&["http://localhost.example"], "origin 1 must be https"),
        (&["http://192.168.0.1"], "origin 1 must be https"),
        (&["ftp://localhost"], "origin 1 must be https"),
        (&["file:///etc/passwd"], "origin 1 must be https"),
        (&["https://user@api.1nce.com"], "origin 1 must not have a user name or password"),
        (&["https://:planted@api.1nce.com"], "origin 1 must not have a user name or password"),
        (&["https://api.1nce.com/management-api"], "origin 1 must not have a path, query or fragment"),
        (&["https://api.1nce.com//"], "origin 1 must not have a path, query or fragment"),
        (&["https://api.1nce.com?planted"], "origin 1 must not have a path, query or fragment"),
        (&["https://api.1nce.com/#planted"], "origin 1 must not have a path, query or fragment"),
        (&["https://*.1nce.com"], "origin 1 must name its host"),
        (&["https://planted@api.1nce.com:99999"], "origin 1 isn't one"),
    ];
    for (origins, message) in cases {
        let error = Origins::new(origins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{origins:?}");
        assert!(error.to_string().contains(message), "{origins:?}: {error}");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
}

#[tokio::test]
async fn scheme_host_and_port_say_whether_a_token_goes_along() {
    // The origin that is allowed, URLs of it, and URLs of others.
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (
            "https://api.1nce.com",
            &["https://api.1nce.com/", "https://api.1nce.com:443/v1/sims?q=1", "HTTPS://API.1nce.COM/"],
            &[
                "http://api.1nce.com/",
                "http://api.1nce.com:443/",
                "https://api.1nce.com:8443/",
                "https://1nce.com/",
                "https://evil-api.1nce.com/",
                "https://api.1nce.com.evil.example/",
                "https://evil.example/https://api.1nce.com/",
                "https://api.1nce.com@evil.example/",
                "https://evil.example/?https://api.1nce.com",
            ],
        ),
        ("https://API.example:8443/", &["https://api.example:8443/"], &["https://api.example/"]),
        ("http://localhost:8080", &["http://localhost:8080/"], &["http://localhost/", "http://127.0.0.1:8080/"]),
        ("http://127.0.0.1", &["http://127.0.0.1/", "http://127.0.0.1:80/"], &["https://127.0.0.1/"]),
        ("http://[::1]:8080", &["http://[::1]:8080/"], &["http://[::2]:8080/", "http://[::1]/"]),
    ];
    for (allowed, of_it, of_others) in cases {
        let origins = Origins::new([allowed]).unwrap();
        let (cache, endpoint) = tokens(["abc"]);
        for (urls, expected) in [(of_others, None), (of_it, Some("Bearer abc"))] {
            for url in urls {
                let recorder = Recorder::default();
                recorder.send(&cache, &origins, Request::get(*url).body(NoBody::new()).unwrap()).await;
                for seen in recorder.seen() {
                    let carried = seen.headers.get(AUTHORIZATION).map(|header| header.to_str().unwrap());
                    assert_eq!(carried, expected, "{allowed}: {url}");
                }
            }
            assert_eq!(endpoint.exchanges(), u64::from(expected.is_some()), "{allowed}");
        }
    }
}

#[tokio::test]
async fn a_relative_uri_gets_no_token() {
    let (cache, endpoint) = tokens(["abc"]);
    let layer = BearerLayer::new(cache, Origins::new(["https://api.1nce.com"]).unwrap());
    let authority = uri::Builder::new().authority("api.1nce.com").build().unwrap();
    for uri in [Uri::from_static("/v1/sims"), Uri::from_static("*"), authority] {
        let recorder = Recorder::default();
        let request = Request::get(uri.clone()).header("host", "api.1nce.com").body(NoBody::new()).unwrap();
        layer.layer(recorder.clone()).oneshot(request).await.unwrap();
        assert!(!recorder.seen()[0].headers.contains_key(AUTHORIZATION), "{uri}");
    }
    assert_eq!(endpoint.exchanges(), 0);
}

#[tokio::test]
async fn each_of_several_gets_tokens() {
    let origins = Origins::new(["https://api.1nce.com", "https://portal.1nce.com"]).unwrap();
    assert_eq!(format!("{origins:?}"), "{https://api.1nce.com:443, https://portal.1nce.com:443}");
    let (cache, _) = tokens(["abc"]);
    for url in ["https://api.1nce.com/", "https://portal.1nce.com/"] {
        let recorder = Recorder::default();
        recorder.send(&cache, &origins, Request::get(url).body(NoBody::new()).unwrap()).await;
        assert!(recorder.seen().iter().all(|seen| seen.headers[AUTHORIZATION] == "Bearer abc"), "{url}");
    }
}
