//! The producers of `examples/producers/`, built as their page says.

use std::process::Command;

use skein_tests::{
    skipped::lacks,
    toolchain::{Step, built},
    workspace_folder,
};

/// A program's words, ready for its arguments; `None`, and noted as skipped, where its tools are missing.
pub type Make = fn() -> Option<Vec<String>>;

pub fn go() -> Option<Vec<String>> {
    if lacks(&["go"]) {
        return None;
    }
    let folder = built("examples/producers/go", |sources, results| {
        let go = |arguments: &[&str]| {
            let mut go = Command::new("go");
            go.current_dir(sources)
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", "-mod=readonly")
                .args(arguments);
            go
        };
        let mut build = go(&["build", "-buildvcs=false", "-o"]);
        build.arg(results.join("producer"));
        vec![Step::Fetch(go(&["mod", "download"])), Step::Build(build)]
    })?;
    Some(vec![folder.join("producer").display().to_string()])
}

pub fn java() -> Option<Vec<String>> {
    if lacks(&["mvn", "javac"]) {
        return None;
    }
    let folder = built("examples/producers/java", |sources, results| {
        let (jars, classes) = (results.join("lib"), results.join("classes"));
        let mut fetch = Command::new("mvn");
        fetch.args(["--quiet", "--batch-mode", "--file"]).arg(sources.join("pom.xml"));
        fetch.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", jars.display()));
        let mut compile = Command::new("javac");
        compile.arg("-d").arg(classes).arg("-cp").arg(jars.join("*"));
        compile.args(
            ["Contract", "Message", "Producer", "Main"].map(|name| sources.join(format!("{name}.java"))),
        );
        vec![Step::Fetch(fetch), Step::Build(compile)]
    })?;
    let classes = format!("{0}/classes:{0}/lib/*", folder.display());
    let words = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &classes, "Main"];
    Some(words.map(str::to_owned).to_vec())
}

pub fn python() -> Option<Vec<String>> {
    if lacks(&["pika"]) {
        return None;
    }
    let script = workspace_folder().join("examples/producers/python/producer.py");
    Some(vec!["python3".to_owned(), script.display().to_string()])
}
