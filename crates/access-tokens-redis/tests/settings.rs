//! What a builder refuses, and what is shown of a store: both without a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use access_tokens::{Error, ErrorKind};
use access_tokens_redis::{RedisStore, RedisStoreBuilder};

const SECRET: &str = "planted-password";

#[test]
fn says_what_is_wrong() {
    let one = || RedisStore::builder(["redis://redis.example"]);
    let url = |url: &str| RedisStore::builder([url.replace("SECRET", SECRET)]);
    let urls = |urls: [&str; 2]| RedisStore::builder(urls.map(|url| url.replace("SECRET", SECRET)));
    let long = "x".repeat(101);
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let scheme = "the Redis URL must begin with redis:// or rediss://";
    let host = "the Redis URL has no host; it is redis://host:port/database";
    let path = "the path of the Redis URL isn't the number of a database; it is redis://host:port/database";
    let extra = "the Redis URL must not hold a query or fragment; give settings to the builder";
    let several = "several Redis URLs are for cluster() or sentinel(master); set one of the two";
    let prefix = "the prefix of Redis keys must be 1 to 100 visible ASCII characters without braces";
    let twice = "user name or password of Redis is set both in the URL and beside it; set it once";
    let no_roots = "the extra roots hold no PEM certificate";
    let for_tls = "roots and client certificates are for TLS; use rediss:// in the Redis URL";
    let table: Vec<(RedisStoreBuilder, &str)> = vec![
        (RedisStore::builder(Vec::<String>::new()), "a Redis store needs a URL, such as redis://redis.example:6379"),
        (url("redis.example"), "the Redis URL isn't one: relative URL without a base"),
        (url("redis://:SECRET@redis.example:99999"), "the Redis URL isn't one: invalid port number"),
        (url("redis.example:6379"), scheme),
        (url("http://:SECRET@redis.example"), scheme),
        (url("unix:///SECRET"), scheme),
        (url("redis:///1"), host),
        (url("redis://redis.example/SECRET"), path),
        (url("redis://redis.example/-1"), path),
        (url("redis://redis.example/1?password=SECRET"), extra),
        (url("rediss://:SECRET@redis.example/#insecure"), extra),
        (
            url("redis://:%ff@redis.example"),
            "user name or password in the Redis URL is no text; percent-encode it as UTF-8, or set it beside",
        ),
        (urls(["redis://a.example", "redis://:SECRET@b.example"]), several),
        (
            urls(["redis://a.example", "rediss://b.example"]).cluster(),
            "the Redis URLs must all begin with redis://, or all with rediss://",
        ),
        (
            urls(["redis://:one@a.example", "redis://:SECRET@b.example"]).cluster(),
            "the Redis URLs have passwords that differ; set it in one alone",
        ),
        (
            urls(["redis://one:SECRET@a.example", "redis://two:SECRET@b.example"]).cluster(),
            "the Redis URLs have user names that differ; set it in one alone",
        ),
        (
            urls(["redis://a.example/1", "redis://b.example/2"]).sentinel("m"),
            "the Redis URLs have databases that differ; set it in one alone",
        ),
        (one().cluster().sentinel("m"), "Redis is either a cluster or behind sentinels; set only one"),
        (one().sentinel(""), "the name of the sentinels' master is empty"),
        (one().sentinel_password(SECRET), "a user name or password of sentinels is set, and no sentinel(master)"),
        (
            url("redis://redis.example/1").cluster(),
            "a Redis cluster has no databases; leave the database out of the URL",
        ),
        (url("redis://:SECRET@redis.example").password("x"), twice),
        (url("redis://me:SECRET@redis.example").username("me"), twice),
        (one().password(""), "the password of Redis is empty"),
        (one().password(SECRET).username(""), "the username of Redis is empty"),
        (one().username("me"), "username is set for Redis, and no password"),
        (one().sentinel("m").sentinel_username("me"), "sentinel_username is set for Redis, and no sentinel_password"),
        (one().prefix(""), prefix),
        (one().prefix(&long), prefix),
        (one().prefix("a b"), prefix),
        (one().prefix("ä"), prefix),
        (one().prefix("a{b"), prefix),
        (one().prefix("a}b"), prefix),
        (one().add_roots_pem(pem), for_tls),
        (one().identity_pem(pem, SECRET), for_tls),
        (url("rediss://redis.example").add_roots_pem(""), no_roots),
        (url("rediss://redis.example").add_roots_pem(SECRET), no_roots),
        (
            url("rediss://redis.example").add_roots_pem(pem),
            "TLS can't use the extra roots; each must be the certificate of an authority",
        ),
    ];
    for (builder, expected) in table {
        assert!(!format!("{builder:?}").contains(SECRET));
        let error = builder.build().expect_err(expected);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains(SECRET));
    }
}

#[test]
fn takes_key_and_certificate_that_belong_together() -> Result<(), Box<dyn std::error::Error>> {
    let new = || -> Result<_, rcgen::Error> {
        let key = rcgen::KeyPair::generate()?;
        Ok((rcgen::CertificateParams::new(["me".to_owned()])?.self_signed(&key)?.pem(), key.serialize_pem()))
    };
    let ((certificate, key), (other, _)) = (new()?, new()?);
    let build = |certificate: &str, key: &str| -> Result<RedisStore, Error> {
        RedisStore::builder(["rediss://redis.example"])
            .add_roots_pem(other.as_str())
            .identity_pem(certificate, key)
            .build()
    };
    build(&certificate, &key)?;
    let swapped = build(&key, &certificate).unwrap_err();
    assert_eq!(swapped.to_string(), "the private key: it is a certificate; are key and certificate swapped?");
    let strangers = build(&other, &key).unwrap_err();
    assert_eq!(strangers.kind(), ErrorKind::Configuration);
    assert!(strangers.to_string().contains("belong"), "{strangers}");
    Ok(())
}

#[test]
fn shows_where_but_not_the_password() {
    let encoded = SECRET.replace('-', "%2D");
    for url in [format!("redis://me:{SECRET}@redis.example/3"), format!("valkey://me:{encoded}@redis.example:6379/3")] {
        let store = RedisStore::builder([url]).build().unwrap();
        assert_eq!(
            format!("{store:?}"),
            "RedisStore { prefix: \"access-tokens\", servers: Servers { addresses: [\"redis.example:6379\"], tls: false, \
             username: Some(\"me\"), database: 3, .. } }"
        );
    }
    let store = RedisStore::builder(["redis://a.example", "redis://[::1]:7000"]).sentinel("main").password(SECRET);
    let store = store.sentinel_username("me").sentinel_password(SECRET);
    for shown in [format!("{store:?}"), format!("{store:#?}"), format!("{:?}", store.clone().build().unwrap())] {
        assert!(!shown.contains(SECRET) && shown.contains("main"), "{shown}");
    }
    let shown = format!("{:?}", store.build().unwrap());
    assert!(shown.contains("[\"a.example:26379\", \"[::1]:7000\"]"), "{shown}");
}
