//! P9 for settings: secrets come from files or the environment, and nothing prints one.

use crate::{Folder, set_mode, words};
use skein_config::{Config, Sources, render_faults, show, shown};

const SECRET: &str = "hunter2-hunter2";

#[test]
fn from_file_variable_or_the_environment_itself() {
    let folder = Folder::new();
    folder.write("password", &format!("{SECRET}\n"));
    let login = "[broker]\nusername = \"me\"\n";
    let by_file = folder.load(&format!("{login}password_file = \"password\"\n"));
    let by_variable = folder.load_with(&format!("{login}password_env = \"PW\"\n"), &[("PW", SECRET)], &[]);
    let by_itself = folder.load_with(login, &[("SKEIN_BROKER__PASSWORD", SECRET)], &[]);
    let over_the_file = folder.load_with(
        &format!("{login}password_file = \"none\"\n"),
        &[("SKEIN_BROKER__PASSWORD", SECRET)],
        &[],
    );
    let in_the_url =
        folder.load_with("", &[("SKEIN_BROKER__URLS", &format!("amqp://me:{SECRET}@rabbit"))], &[]);
    for loaded in [by_file, by_variable, by_itself, over_the_file, in_the_url] {
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
        let broker = &loaded.config.broker;
        let password = broker.password.as_ref().or_else(|| broker.urls.as_ref()?[0].password.as_ref());
        assert_eq!(password.expect("a password").expose(), SECRET);
        let json = serde_json::to_string(&shown(&loaded, false)).expect("json");
        let printed = format!("{loaded:?} {} {json}", show(&loaded, false));
        assert!(!printed.contains(SECRET), "{printed}");
    }
}

#[test]
fn show_masks() {
    let folder = Folder::new();
    folder.write("password", SECRET);
    let loaded = folder.load("[ledger]\nusername = \"me\"\npassword_file = \"password\"\n").expect("loads");
    assert!(show(&loaded, true).contains("ledger.password = \"(secret)\"  # "), "{}", show(&loaded, true));
}

#[test]
fn written_inline_it_is_refused_and_not_repeated() {
    let folder = Folder::new();
    let text = format!(
        "[broker]\nusername = \"me\"\npassword = \"{SECRET}\"\nurls = [\"amqp://me:{SECRET}@rabbit\"]\n\
         [ledger]\nurl = \"postgres://h/db?password={SECRET}\"\npassword_env = \"{SECRET}\"\npasswort = \"{SECRET}\"\n\
         fingerprint_key = \"{SECRET}\"\n"
    );
    let flag = format!("ledger.password={SECRET}");
    let faults =
        folder.load_with(&text, &[("SKEIN_LEDGER__PARKING_KEY", SECRET)], &[&flag]).expect_err("refused");
    let rendered = render_faults(&faults, true);
    let json = serde_json::to_string(&faults).expect("json");
    assert!(![format!("{faults:?} {faults}"), rendered, json].concat().contains(SECRET), "{faults}");
    let found: Vec<_> = faults.0.iter().map(|f| (f.key.as_str(), f.what.as_str())).collect();
    for expected in [
        ("broker.password", "is a secret written in a file that is not only for it"),
        ("broker.urls", "has a password in it"),
        ("ledger.fingerprint_key", "is a secret written in a file that is not only for it"),
        ("ledger.password", "is a secret on the command line, where every user of the machine sees it"),
        ("ledger.password_env", "is not the name of an environment variable"),
        ("ledger.passwort", "is no setting of Skein"),
        ("ledger.url", "has a password in it"),
        ("ledger.parking_key", "is not a key of 64 hex digits"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:#?}");
    }
    let inline = faults.0.iter().find(|f| f.key == "broker.password").expect("a fault");
    assert_eq!(
        inline.remedy,
        "set broker.password_file to a file with it (mode 0600), broker.password_env to a variable, or SKEIN_BROKER__PASSWORD"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = Folder::new();
    for name in ["password", "key.p8", "keys"] {
        set_mode(&folder.write(name, SECRET), 0o640);
    }
    let text = "[broker]\nusername = \"me\"\npassword_file = \"password\"\n[gateway]\napi_keys_file = \"keys\"\n\
                [pools.im]\nenvironment = \"sandbox\"\ntopics = [\"a.b\"]\n\
                credential = { kind = \"token\", key_file = \"key.p8\", key_id = \"ABCDE12345\", team_id = \"ABCDE12345\" }\n";
    let faults = folder.load(text).expect_err("refused");
    let keys: Vec<_> = faults.0.iter().map(|f| f.key.as_str()).collect();
    assert_eq!(keys, ["broker.password_file", "gateway.api_keys_file", "pools.im.credential.key_file"]);
    for fault in &faults.0 {
        assert!(fault.what.contains("has mode 0640") && fault.remedy.starts_with("chmod 0600 /"), "{fault}");
    }
}

#[test]
fn a_source_that_gives_nothing_is_named() {
    let folder = Folder::new();
    folder.write("empty", "\n");
    let text = "[broker]\nusername = \"me\"\npassword_file = \"empty\"\n[ledger]\nusername = \"me\"\npassword_env = \"NONE\"\n";
    let faults = folder.load(text).expect_err("refused");
    let found: Vec<_> = faults.0.iter().map(|f| (f.key.as_str(), f.what.as_str())).collect();
    assert_eq!(
        found,
        [
            ("broker.password_file", "what it names is empty"),
            ("ledger.password_env", "the variable NONE is not set")
        ]
    );
    let twice = "[broker]\nusername = \"me\"\npassword_file = \"empty\"\npassword_env = \"PW\"\n";
    let faults = folder.load_with(twice, &[("PW", SECRET)], &[]).expect_err("refused");
    assert_eq!(faults.0[0].remedy, "leave one of them");
}

#[test]
fn a_later_file_may_name_another_source() {
    let folder = Folder::new();
    let first = folder.write("first.toml", "[broker]\nusername = \"me\"\npassword_file = \"none\"\n");
    let second = folder.write("second.toml", "broker.password_env = \"PW\"\n");
    let sources = Sources { files: vec![first, second], ..words(&[("PW", SECRET)], &[]) };
    let loaded = Config::load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.config.broker.password.expect("a password").expose(), SECRET);
}

#[test]
fn sources_do_not_print_the_environment() {
    let sources = words(&[("SKEIN_BROKER__PASSWORD", SECRET)], &[&format!("a={SECRET}")]);
    assert!(!format!("{sources:?}").contains(SECRET));
    assert!(Config::load(&sources).is_err_and(|faults| !format!("{faults:?}").contains(SECRET)));
}
