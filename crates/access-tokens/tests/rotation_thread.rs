//! The thread that looks at files; alone in its process, since all endpoints share it.
#![cfg(target_os = "linux")]
#![cfg(test)]

use std::{fs, thread::sleep, time::Duration};

use access_tokens::{RotatingEndpoint, testing::FixedEndpoint};

#[test]
fn one_thread_looks_at_all_files_and_ends_with_the_last_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = |name: String| {
        let file = folder.path().join(name);
        fs::write(&file, "secret").unwrap();
        RotatingEndpoint::watching([file], || FixedEndpoint::new("token")).unwrap()
    };
    for round in 0..2 {
        let endpoints: Vec<_> = (0..20).map(|number| endpoint(format!("{round}-{number}"))).collect();
        sleep(Duration::from_millis(100));
        assert_eq!(threads(), 1);
        drop(endpoints);
        sleep(Duration::from_secs(1));
        assert_eq!(threads(), 0);
    }
}

/// By their name, of which Linux keeps 15 characters.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.unwrap().path().join("comm")).unwrap();
    tasks.map(name).filter(|name| "access-tokens-files".starts_with(name.trim_end())).count()
}
