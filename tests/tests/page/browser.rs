//! Chromium, headless, over the DevTools protocol on two pipes: what a person would see.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use skein_tests::{
    process::{Child, Program},
    services::chromium,
};
use tempfile::TempDir;

/// Longest wait for the answer to one command; a cold start of the browser on a busy machine is within it.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Most messages of the browser that wait to be read.
const MESSAGES_MAX: usize = 10_000;

/// The highest picture, in pixels.
const PICTURE_HEIGHT_MAX: u64 = 1300;

/// One tab.
pub struct Tab {
    orders: File,
    answers: Receiver<Value>,
    session: Option<String>,
    next: u64,
    /// What the page complained about: refused by its policy, thrown by its script.
    complaints: Vec<String>,
    _browser: Child,
    _folder: TempDir,
}

impl Tab {
    /// Starts a browser and opens a page in it.
    pub fn open(url: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("skein-browser-").tempdir().unwrap();
        let (to, from) = (folder.path().join("to"), folder.path().join("from"));
        for pipe in [&to, &from] {
            assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        let mut program = Program::new("sh");
        // Chromium reads orders from descriptor 3 and writes answers to 4.
        let script = r#"exec "$0" "$@" 3<"$TO" 4>"$FROM""#;
        program.command().args(["-c", script]).arg(chromium().expect("chromium is installed")).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--remote-debugging-pipe",
        ]);
        program.command().arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        let browser = program.env("TO", &to).env("FROM", &from).start().unwrap();
        // Opened for both ways, so that opening waits for nobody.
        let both = |path: &Path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let (orders, incoming) = (both(&to), both(&from));
        let (told, answers) = sync_channel(MESSAGES_MAX);
        std::thread::spawn(move || {
            let mut incoming = BufReader::new(incoming);
            let mut message = Vec::new();
            while incoming.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                let read = serde_json::from_slice(message.strip_suffix(&[0]).unwrap_or(&message));
                if read.is_ok_and(|read: Value| told.send(read).is_err()) {
                    break;
                }
                message.clear();
            }
        });
        let mut tab = Self {
            orders,
            answers,
            session: None,
            next: 0,
            complaints: Vec::new(),
            _browser: browser,
            _folder: folder,
        };
        let target = tab.order("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = tab.order("Target.attachToTarget", attach);
        tab.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            tab.order(domain, json!({}));
        }
        tab.order("Page.navigate", json!({"url": url}));
        tab
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.order("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].clone()
    }

    /// A picture of the page at a width, in a colour scheme (`light` or `dark`).
    pub fn picture(&mut self, scheme: &str, width: u32, to: &Path) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.order("Emulation.setEmulatedMedia", features);
        let size =
            |height: u64| json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.order("Emulation.setDeviceMetricsOverride", size(800));
        let height = self.value("document.documentElement.scrollHeight").as_u64().unwrap();
        self.order("Emulation.setDeviceMetricsOverride", size(height.min(PICTURE_HEIGHT_MAX)));
        let picture = self.order("Page.captureScreenshot", json!({"format": "png"}));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// What the page complained about so far.
    pub fn complaints(&mut self) -> Vec<String> {
        self.value("1");
        self.complaints.clone()
    }

    fn order(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut order = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        let end = Instant::now() + ANSWER_LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.answers.recv_timeout(left).unwrap_or_else(|e| panic!("{method}: {e}"));
            if message["id"] == self.next {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
            let entry = &message["params"]["entry"];
            match message["method"].as_str() {
                Some("Log.entryAdded") if entry["level"] == "error" => {
                    self.complaints.push(entry["text"].to_string())
                }
                Some("Runtime.exceptionThrown") => self.complaints.push(message["params"].to_string()),
                _ => {}
            }
        }
    }
}
