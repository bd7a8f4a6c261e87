//! What a builder refuses, and what is shown of a store: both without a server.
#![cfg(test)]

use access_tokens::{ErrorKind, Identity};
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
    let no_roots =
        "the root certificates: it isn't an X.509 certificate in PEM or DER, or is cut off; give the whole of one";
    let for_tls = "roots and client certificates are for TLS; use rediss:// in the Redis URL";
    let table: Vec<(RedisStoreBuilder, &str)> = vec![
        (RedisStore::builder(Vec::<String>::new()), "a Redis store needs a URL, such as redis://redis.example:6379"),
        (url("redis.example"), "the Redis URL isn't a URL; write it in full, as in redis://host:port"),
        (
            url("redis://:SECRET@redis.example:99999"),
            "the Redis URL isn't a URL (invalid port number); write it as in redis://host:port",
        ),
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
        (one().password(""), "the password is empty"),
        (one().password(SECRET).username(""), "the user name is empty"),
        (one().password("planted-\n"), "the password holds a line feed (U+000A); remove it"),
        (one().password(SECRET).username("\u{feff}me"), "the user name holds a byte order mark (U+FEFF); remove it"),
        (
            one().sentinel("m").sentinel_password("planted\u{200b}"),
            "the sentinels' password holds an invisible character (U+200B); remove it",
        ),
        (one().sentinel("m "), "the name of the sentinels' master begins or ends with a space; remove it"),
        (url("redis://:a%0Ab@redis.example"), "the password holds a line feed (U+000A); remove it"),
        (url("redis://redis.example:6379\n"), "the Redis URL holds a line feed (U+000A); remove it"),
        (
            url("'redis://redis.example'"),
            "the Redis URL is in quotes, which became a part of it; write it without them",
        ),
        (
            url("redis://:SECRET@$REDIS_HOST"),
            "the Redis URL holds a $VARIABLE, which no shell has replaced; write what it stands for",
        ),
        (one().username("me"), "username is set for Redis, and no password"),
        (one().sentinel("m").sentinel_username("me"), "sentinel_username is set for Redis, and no sentinel_password"),
        (one().prefix(""), prefix),
        (one().prefix(&long), prefix),
        (one().prefix("a b"), prefix),
        (one().prefix("ä"), prefix),
        (one().prefix("a{b"), prefix),
        (one().prefix("a}b"), prefix),
        (one().add_roots_pem(pem), for_tls),
        (one().identity(identity()), for_tls),
        (url("rediss://redis.example").add_roots_pem(""), "the root certificates: it is empty"),
        (url("rediss://redis.example").add_roots_pem(SECRET), no_roots),
        (
            url("rediss://redis.example").add_roots_pem(pem),
            "the root certificates: it isn't an X.509 certificate, or is damaged; copy it again",
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

/// A key with its certificate, and the certificate in PEM.
fn new_identity() -> Result<(Identity, String), Box<dyn std::error::Error>> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["me".to_owned()])?.self_signed(&key)?.pem();
    Ok((Identity::new(key.serialize_pem(), Some(certificate.as_ref()), None)?, certificate))
}

fn identity() -> Identity {
    new_identity().unwrap().0
}

#[test]
fn takes_an_identity_and_roots_in_pem_and_der() -> Result<(), Box<dyn std::error::Error>> {
    let (_, root) = new_identity()?;
    let store = || RedisStore::builder(["rediss://redis.example"]).identity(identity());
    let der = access_tokens::root_certificates(root.as_bytes())?.remove(0);
    for roots in [root.clone().into_bytes(), format!("\u{feff}{root}").into_bytes(), der] {
        store().add_roots_pem(roots).build()?;
    }
    let error =
        store().add_roots_pem(root).add_roots_pem(new_identity()?.0.with_pem(str::to_owned)).build().unwrap_err();
    assert_eq!((error.setting(), error.item()), (Some(access_tokens::Setting::Roots), Some(1)));
    let message = "the root certificates: section 1 of the root certificates is a private key; leave only certificates";
    assert_eq!(error.to_string(), message);
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
