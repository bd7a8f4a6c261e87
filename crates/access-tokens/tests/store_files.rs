//! The keys of a shared store, in files that change while it is in use.
#![cfg(test)]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use access_tokens::{
    Error, ErrorKind,
    store::{KeyRing, SharedStore},
    testing::MemoryStore,
};
use tokio::time::{Instant, sleep};

const NAME_KEY: [u8; 32] = [1; 32];

fn ring(path: &Path) -> Result<KeyRing, Error> {
    let failed = |e| Error::new(ErrorKind::Configuration, "the key can't be read").with_source(e);
    KeyRing::new(&NAME_KEY, [fs::read(path).map_err(failed)?])
}

/// What the store's `Debug` says of its ring: how many keys it has. Of one key, which that is can't be seen.
fn keys(store: &SharedStore) -> usize {
    let text = format!("{store:?}");
    let (_, keys) = text.split_once("keys: KeyRing { keys: ").unwrap();
    keys.split(',').next().unwrap().parse().unwrap()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < end, "{what} never comes");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn follow_their_file_and_outlive_what_is_wrong_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let write = |keys: &[u8]| fs::write(&file, keys).unwrap();
    write(&[2; 32]);
    let reads = Arc::new(AtomicUsize::new(0));
    let store = SharedStore::new(MemoryStore::new(), ring(&file).unwrap());
    store
        .watch_keys([&file], {
            let (file, reads) = (file.clone(), reads.clone());
            move || {
                reads.fetch_add(1, Ordering::Relaxed);
                let failed = |e| Error::new(ErrorKind::Configuration, "the key can't be read").with_source(e);
                let keys = fs::read(&file).map_err(failed)?;
                KeyRing::new(&NAME_KEY, keys.chunks(32))
            }
        })
        .unwrap();
    assert_eq!((keys(&store), reads.load(Ordering::Relaxed)), (1, 1));

    write(&[[2; 32], [3; 32]].concat());
    until("the second key", || keys(&store) == 2).await;

    // Cut off midway, then gone: what was there before stays.
    write(&[2; 40]);
    until("a look at what was cut off", || reads.load(Ordering::Relaxed) >= 3).await;
    fs::remove_file(&file).unwrap();
    until("a look at what is gone", || reads.load(Ordering::Relaxed) >= 4).await;
    assert_eq!(keys(&store), 2);
    assert!(store.check().await.is_ok());

    write(&[[2; 32], [3; 32], [4; 32]].concat());
    until("the third key", || keys(&store) == 3).await;
}

/// Whatever was in it when the store was made.
#[test]
fn are_those_of_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, [[2; 32], [3; 32]].concat()).unwrap();
    let store = SharedStore::new(MemoryStore::new(), KeyRing::new(&NAME_KEY, [[9; 32]]).unwrap());
    let read = move || KeyRing::new(&NAME_KEY, fs::read(&file).unwrap().chunks(32));
    store.watch_keys([folder.path().join("keys")], read).unwrap();
    assert_eq!(keys(&store), 2);

    let wrong = store.watch_keys(["/nowhere"], || ring(Path::new("/nowhere")));
    assert_eq!((wrong.unwrap_err().kind(), keys(&store)), (ErrorKind::Configuration, 2));
}

/// What reads them must not keep the store, nor what it is for, alive.
#[tokio::test]
async fn are_watched_while_there_is_a_handle() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, [2; 32]).unwrap();
    let alive = Arc::new(());
    let store = SharedStore::new(MemoryStore::new(), ring(&file).unwrap());
    let (held, read) = (alive.clone(), file.clone());
    store
        .watch_keys([&file], move || {
            let _ = &held;
            ring(&read)
        })
        .unwrap();
    let further = store.clone();
    drop(store);
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(further);
    until("the end of the watch", || Arc::strong_count(&alive) == 1).await;
}
