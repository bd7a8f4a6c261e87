//! Programs outside of our workspace, beside this file, that take our crates as services do: from a git repository, vendored
//! without a network, and packaged. They build, run against the sandbox, and have no generator in their lock files. Beside that,
//! each feature alone, and the Rust that `Cargo.toml` states.
//!
//! What takes minutes or fetches from the network is ignored by plain `cargo test`; `.ci/run` runs it.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Instant,
};

use access_tokens_sandbox::Sandbox;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::work_tree::{cargo, commit, copy_work_tree, output_of, skipped, target};

/// What none of them may have in its lock file.
const GENERATOR: [&str; 7] =
    ["access-tokens-codegen", "progenitor-impl", "progenitor", "typify", "openapiv3", "serde_yaml", "prettyplease"];

struct Consumer {
    /// The folder beside this file.
    name: &'static str,
    /// All of our crates that it may have in its lock file.
    ours: &'static [&'static str],
}

const ALL: [Consumer; 3] = [
    Consumer { name: "minimal", ours: &["access-tokens", "access-tokens-raw"] },
    Consumer {
        name: "every-feature",
        ours: &["access-tokens", "access-tokens-config", "access-tokens-raw", "access-tokens-redis"],
    },
    Consumer { name: "axum-service", ours: &["access-tokens", "access-tokens-raw"] },
];

#[test]
fn the_minimal_consumer_is_the_readmes_first_program() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, block) = readme.split_once("```rust,no_run\n").unwrap();
    let (program, _) = block.split_once("```").unwrap();
    assert_eq!(fs::read_to_string("tests/consumers/minimal/src/main.rs").unwrap(), program);
}

#[test]
fn the_consumer_with_every_feature_has_every_feature() {
    let facade = shipped().into_iter().find(|package| package["name"] == "access-tokens").unwrap();
    let manifest = Path::new("tests/consumers/every-feature/Cargo.toml");
    let consumer = metadata(&["--no-deps", "--manifest-path", manifest.to_str().unwrap()])["packages"][0].clone();
    let dependencies = consumer["dependencies"].as_array().unwrap();
    let dependency = dependencies.iter().find(|dependency| dependency["name"] == "access-tokens").unwrap();
    let taken: BTreeSet<_> = dependency["features"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    assert_eq!(taken, features(&facade).into_iter().collect());
}

#[test]
fn there_is_one_minimal_rust_version_and_it_is_documented() {
    for package in metadata(&["--no-deps"])["packages"].as_array().unwrap() {
        assert_eq!(package["rust_version"], env!("CARGO_PKG_RUST_VERSION"), "{}", package["name"]);
    }
    for page in ["README.md", "CONTRIBUTING.md"] {
        let said = concat!("Rust (", env!("CARGO_PKG_RUST_VERSION"), " or newer)");
        assert!(fs::read_to_string(page).unwrap().contains(said), "{page} doesn't say {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn all_consumers_build_from_git() {
    let Some(repository) = repository() else { return };
    for consumer in &ALL {
        let service = consumer.put_into(&temporary("git"), &by_git(repository));
        consumer.build("by git", &mut cargo(&service));
        consumer.check(&service, target()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and fetches what is vendored"]
async fn all_consumers_build_from_vendored_and_from_packaged_sources_without_a_network() {
    let (Some(repository), Some(cut_off)) = (repository(), cut_off()) else { return };
    let (folder, target) = (empty("cut-off"), temporary("cut-off-target"));
    let (vendor, home) = (folder.join("vendor"), folder.join("home"));
    // No cache of the registry or of git helps.
    let cargo_without_network = |service: &Path| {
        let mut cargo = Command::new("unshare");
        cargo.args(cut_off).args([env!("CARGO"), "--offline"]).current_dir(service);
        cargo.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", &target);
        cargo
    };

    let services = ALL.each_ref().map(|consumer| consumer.put_into(&folder, &by_git(repository)));
    let others = services.iter().skip(1).flat_map(|service| [PathBuf::from("--sync"), service.join("Cargo.toml")]);
    let settings = output_of(cargo(&services[0]).arg("vendor").args(others).arg(&vendor));
    fs::create_dir(folder.join(".cargo")).unwrap();
    fs::write(folder.join(".cargo/config.toml"), settings).unwrap();
    for (consumer, service) in ALL.iter().zip(services) {
        consumer.build("vendored", cargo_without_network(&service).arg("--locked"));
        consumer.check(&service, &target).await;
    }

    // The packages take the place of what came by git, as if they had come from the registry with the others.
    package_into(&vendor, repository);
    for consumer in &ALL {
        let service = consumer.put_into(&folder, concat!("version = \"", env!("CARGO_PKG_VERSION"), "\""));
        consumer.build("packaged", &mut cargo_without_network(&service));
        consumer.check(&service, &target).await;
    }
    remove([folder, target]);
}

#[test]
#[ignore = "takes minutes"]
fn each_feature_compiles_alone_and_all_of_them_together() {
    for package in shipped() {
        let name = package["name"].as_str().unwrap();
        let features = features(&package);
        let mut sets = vec![vec!["--no-default-features"]];
        sets.extend(features.iter().map(|feature| vec!["--no-default-features", "--features", *feature]));
        if features.len() > 1 {
            sets.push(vec!["--all-features"]);
        }
        for set in sets {
            let begun = Instant::now();
            let clippy = ["clippy", "--quiet", "--locked", "--package", name];
            output_of(cargo(Path::new(".")).args(clippy).args(&set).args(["--", "--deny", "warnings"]));
            println!("{name} {set:?}: {:.0?}", begun.elapsed());
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn what_ships_and_all_consumers_compile_with_the_minimal_rust_version() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let (folder, target) = (empty("minimal-rust"), temporary("minimal-rust-target"));
    let cargo = |at: &Path| {
        let mut cargo = Command::new("rustup");
        cargo.args(["run", version, "cargo"]).current_dir(at).env("CARGO_TARGET_DIR", &target);
        cargo
    };
    let found = cargo(&folder).arg("--version").output().is_ok_and(|output| output.status.success());
    let called = format!("Rust {version} (`rustup toolchain install {version} --profile minimal`)");
    if !support::is_there("rustup", &called, found, "whether it compiles what ships") {
        return;
    }
    let Some(repository) = repository() else { return };
    let begun = Instant::now();
    output_of(cargo(Path::new(".")).args(["check", "--quiet", "--locked", "--all-features"]));
    println!("what ships, with Rust {version}: {:.0?}", begun.elapsed());
    for consumer in &ALL {
        let service = consumer.put_into(&folder, &by_git(repository));
        let begun = Instant::now();
        output_of(cargo(&service).args(["check", "--quiet"]));
        println!("{}, with Rust {version}: {:.0?}", consumer.name, begun.elapsed());
    }
    remove([folder, target]);
}

impl Consumer {
    /// A copy that takes our crates otherwise than by path, with the versions that this workspace has: those are on this machine,
    /// and compiled already where the features are the same.
    fn put_into(&self, folder: &Path, how: &str) -> PathBuf {
        let (from, to) = (Path::new("tests/consumers").join(self.name), folder.join(self.name));
        let manifest = fs::read_to_string(from.join("Cargo.toml")).unwrap();
        let mut taken = String::new();
        for line in manifest.lines() {
            match line.split_once("path = \"../../../crates/") {
                Some((before, path)) => taken.extend([before, how, path.split_once('"').unwrap().1, "\n"]),
                None => taken.extend([line, "\n"]),
            }
        }
        assert!(!taken.contains("path = "), "{taken}");
        fs::create_dir_all(to.join("src")).unwrap();
        fs::write(to.join("Cargo.toml"), taken).unwrap();
        fs::copy(from.join("src/main.rs"), to.join("src/main.rs")).unwrap();
        fs::copy("Cargo.lock", to.join("Cargo.lock")).unwrap();
        to
    }

    fn build(&self, how: &str, cargo: &mut Command) {
        let begun = Instant::now();
        // As this workspace has it, unless the environment says otherwise, so that what is compiled already serves again.
        if std::env::var_os("CARGO_PROFILE_DEV_DEBUG").is_none() {
            cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        }
        let output = cargo.args(["build", "--color", "never"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("warning:"), "{} {how}: {said}", self.name);
        println!("{} {how}: {:.0?}", self.name, begun.elapsed());
    }

    /// What it has in its lock file, and that it does what it is for.
    async fn check(&self, service: &Path, target: &Path) {
        let lock = fs::read_to_string(service.join("Cargo.lock")).unwrap();
        let names: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
        for name in GENERATOR {
            assert!(!names.contains(&name), "{name} is in the lock file of {}", self.name);
        }
        let ours: Vec<_> = names.into_iter().filter(|name| name.starts_with("access-tokens")).collect();
        assert_eq!(ours, self.ours);

        let sandbox = Sandbox::start().await.unwrap();
        let program = target.join("debug").join(self.name);
        let mut program = Command::new(program);
        program.env("NO_PROXY", "127.0.0.1").envs([
            ("ONENCE_BASE_URL", sandbox.onence_base_url()),
            ("ONENCE_USERNAME", sandbox.onence().username.clone()),
            ("ONENCE_PASSWORD", sandbox.onence().password.clone()),
        ]);
        match self.name {
            "minimal" => {
                let said = output_of(&mut program);
                assert!(said.starts_with("all until Some("), "{said}");
            }
            "every-feature" => every_feature_does_something(program, &sandbox),
            _ => the_service_serves(program, &sandbox).await,
        }
    }
}

fn every_feature_does_something(mut program: Command, sandbox: &Sandbox) {
    let identity = Path::new("tests/fixtures/keys/p256.legacy.p12");
    let said = output_of(program.envs([
        ("ACCESS_TOKENS__SOURCES__SIMS__PROVIDER", "onence"),
        ("ACCESS_TOKENS__SOURCES__SIMS__BASE_URL", &sandbox.onence_base_url()),
        ("ACCESS_TOKENS__SOURCES__SIMS__USERNAME", &sandbox.onence().username),
        ("ACCESS_TOKENS__SOURCES__SIMS__PASSWORD__ENV", "ONENCE_PASSWORD"),
        ("API_URL", sandbox.url()),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("IDENTITY", identity.to_str().unwrap()),
        ("IDENTITY_PASSPHRASE", "test key: öffne dich"),
    ]));
    let (first, others) = said.split_once('\n').unwrap();
    assert!(first.starts_with("token until Some("), "{said}");
    assert_eq!(others, "identity of O=Test keys, CN=p256\nanswer 404 Not Found\nmiddleware 200 OK\nlayer 200 OK\n");
}

async fn the_service_serves(mut program: Command, sandbox: &Sandbox) {
    program.env("SIMS_URL", sandbox.resource_url()).env("LISTEN", "127.0.0.1:0");
    let mut service = Running(program.stdout(Stdio::piped()).spawn().unwrap());
    let mut url = String::new();
    BufReader::new(service.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| {
        let answer = client.get(format!("{}{path}", url.trim())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };

    let (status, said) = get("/health").await;
    assert!(status == 200 && said.starts_with("a token until Some("), "{status} {said}");
    assert_eq!(get("/sims").await.0, 200);
    // It asks again, with another token.
    sandbox.revoke_all();
    let (status, said) = get("/sims").await;
    assert!(status == 200 && said.contains("\"provider\":\"onence\""), "{status} {said}");

    // And ends as somebody at a terminal ends it.
    output_of(Command::new("kill").args(["-INT", &service.0.id().to_string()]));
    assert!(service.0.wait().unwrap().success());
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A clean clone: one commit with all that is there now.
fn repository() -> Option<&'static Path> {
    static REPOSITORY: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        let repository = temporary("repository");
        copy_work_tree(&repository).and_then(|()| commit(&repository)).map(|()| repository)
    });
    REPOSITORY.as_deref().map_err(|why| skipped(why)).ok()
}

fn by_git(repository: &Path) -> String {
    format!("git = \"file://{}\"", repository.display())
}

/// Puts what is packaged of our crates where what came by git was.
fn package_into(vendor: &Path, repository: &Path) {
    // On the clean clone: cargo refuses to package what isn't committed.
    output_of(cargo(repository).args(["package", "--quiet", "--workspace", "--no-verify"]));
    let packages = target().join("package");
    for entry in fs::read_dir(vendor).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("access-tokens") {
            continue;
        }
        fs::remove_dir_all(vendor.join(&name)).unwrap();
        let package = packages.join(format!(concat!("{}-", env!("CARGO_PKG_VERSION"), ".crate"), name));
        let bytes = fs::read(&package).unwrap();
        let folder = package.file_stem().unwrap();
        output_of(Command::new("tar").arg("xzf").arg(&package).arg("-C").arg(vendor));
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let checksum = json!({ "files": {}, "package": sha256 });
        fs::write(vendor.join(folder).join(".cargo-checksum.json"), checksum.to_string()).unwrap();
    }
}

/// With which arguments `unshare` starts a program that has no network, if it can.
fn cut_off() -> Option<&'static [&'static str]> {
    let found = [["--net"].as_slice(), &["--map-root-user", "--net"]].into_iter().find(|arguments| {
        let seen = Command::new("unshare").args(*arguments).args(["cat", "/proc/net/dev"]).output();
        // Two lines of headings, and one for each interface: the loopback's alone.
        seen.is_ok_and(|seen| {
            let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
            let interfaces: Vec<_> = seen.lines().skip(2).collect();
            matches!(interfaces[..], [one] if one.trim().starts_with("lo:"))
        })
    });
    support::is_there("unshare", "a network of its own (`unshare --net`)", found.is_some(), "builds without a network");
    found
}

/// The packages that plain `cargo` commands are for.
fn shipped() -> Vec<Value> {
    let metadata = metadata(&["--no-deps"]);
    let (packages, shipped) = (metadata["packages"].as_array().unwrap(), &metadata["workspace_default_members"]);
    packages.iter().filter(|package| shipped.as_array().unwrap().contains(&package["id"])).cloned().collect()
}

fn features(package: &Value) -> Vec<&str> {
    let features = package["features"].as_object().unwrap();
    features.keys().map(String::as_str).filter(|&name| name != "default").collect()
}

fn metadata(arguments: &[&str]) -> Value {
    let metadata = ["metadata", "--quiet", "--offline", "--format-version", "1"];
    serde_json::from_str(&output_of(cargo(Path::new(".")).args(metadata).args(arguments))).unwrap()
}

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumers").join(name)
}

/// What takes gigabytes, once all is well; after a failure it's there to look at, and what is compiled serves again.
fn remove(folders: [PathBuf; 2]) {
    for folder in folders {
        fs::remove_dir_all(folder).unwrap();
    }
}

/// A folder with nothing in it.
fn empty(name: &str) -> PathBuf {
    let folder = temporary(name);
    // There is none the first time.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
