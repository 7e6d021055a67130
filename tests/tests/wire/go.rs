//! Go's `net/http`.

use crate::scenarios::{Make, contract};
use skein_tests::process::Program;
use skein_tests::skipped::lacks;
use skein_tests::target_folder;
use skein_tests::toolchain::{Step, built};
use std::process::Command;

fn program() -> Option<Make> {
    if lacks(&["go"]) {
        return None;
    }
    built("tests/wire-servers/go", |sources, results| {
        let mut build = Command::new("go");
        // The standard library alone: nothing is fetched.
        build.current_dir(sources).args(["build", "-buildvcs=false", "-o"]).arg(results.join("server"));
        build.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "-mod=readonly");
        vec![Step::Build(build)]
    })?;
    Some(|arguments| {
        let mut program = Program::new(target_folder().join("built/tests/wire-servers/go/server"));
        program.command().args(arguments);
        program
    })
}

// Go may count a stream as open after its last frame has left: its loop has not yet heard of it from the goroutine that
// wrote the frame (https://github.com/golang/go/issues/47635).
contract!(program, resets: true, says_why: true);
