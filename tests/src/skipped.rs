//! What could not be tested here, by name: `target/skipped.txt`, which `tests/run` prints at its end.

use std::{fs::OpenOptions, io::Write as _};

/// Notes that `test` did not run because `why`; also printed, so that it shows without `tests/run`.
///
/// # Panics
/// When the file can't be written: a skipped test must never look like one that passed.
pub fn note(test: &str, why: &str) {
    let folder = crate::target_folder();
    let path = folder.join("skipped.txt");
    let line = format!("{test}: {why}\n");
    std::fs::create_dir_all(&folder)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|e| panic!("cannot note a skipped test in {}: {e}", path.display()));
    eprint!("skipped: {line}");
}

/// True, and noted in `target/skipped.txt` under the running test's name, when one of `services`
/// (`rabbitmq`, `zookeeper`, `postgresql`, `pika`; `nghttpd`, `go`, `node`, `mvn`, `javac`, `chromium`) is not installed.
///
/// Those that `SKEIN_REQUIRE_SERVICES` lists (`tests/run` puts in what it found) must be there. First line of a test:
/// see [`crate::need`].
///
/// # Panics
/// When one is required and absent, or the name is none of these.
#[must_use]
pub fn lacks(services: &[&str]) -> bool {
    let absent: Vec<&str> =
        services.iter().copied().filter(|name| !crate::services::is_present(name)).collect();
    if absent.is_empty() {
        return false;
    }
    let test = this_test();
    let why = format!("{} not installed", absent.join(", "));
    let required = std::env::var("SKEIN_REQUIRE_SERVICES").unwrap_or_default();
    let required = absent.iter().find(|name| required.split(',').any(|listed| listed == **name));
    assert_eq!(required, None, "{test}: {why}");
    note(&test, &why);
    true
}

/// The running test's name, its binary's before it: for [`note`].
#[must_use]
pub fn this_test() -> String {
    format!("{}::{}", binary(), std::thread::current().name().unwrap_or("main"))
}

/// Returns from the test, noted as skipped, unless the named services are installed.
///
/// ```no_run
/// # async fn test() {
/// skein_tests::need!("rabbitmq", "postgresql");
/// # }
/// ```
#[macro_export]
macro_rules! need {
    ($($service:literal),+ $(,)?) => {
        if $crate::skipped::lacks(&[$($service),+]) {
            return;
        }
    };
}

fn binary() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    name.rsplit_once('-').map_or(name.clone(), |(stem, _hash)| stem.to_owned())
}
