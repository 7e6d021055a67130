//! The command that makes what is missing, with the arguments that this one was given.

use crate::args::{Common, Doctor};

/// What a setting's name has that holds a secret: it is left out, and given as it was before.
const SECRET: [&str; 2] = ["password", "key"];

/// `skein cluster init …`, as a shell takes it.
pub fn init(common: &Common, asked: &Doctor) -> String {
    let mut words = vec!["skein".to_owned(), "cluster".to_owned(), "init".to_owned()];
    let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), quoted(&value)]);
    common.files.iter().for_each(|file| add("-c", file.display().to_string()));
    let open = common.settings.iter().filter(|setting| {
        let name = setting.split('=').next().unwrap_or_default();
        !SECRET.iter().any(|secret| name.contains(secret))
    });
    open.for_each(|setting| add("--set", setting.clone()));
    asked.senders.iter().for_each(|member| add("--sender", member.to_string()));
    asked.producers.iter().for_each(|name| add("--producer", name.clone()));
    if asked.user_prefix != "skein" {
        add("--user-prefix", asked.user_prefix.clone());
    }
    if let Some(folder) = &asked.credentials_folder {
        add("--credentials-folder", folder.display().to_string());
    }
    words.join(" ")
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_what_a_shell_takes_and_no_secret() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        let common = Common {
            files: vec!["admin.toml".into()],
            settings: vec!["broker.queues=4".into(), "broker.password=hunter2".into()],
            json: false,
        };
        let asked = Doctor {
            credentials_folder: Some("c".into()),
            role: crate::args::RoleName::Sender,
            senders: Vec::new(),
            producers: vec!["chat".into()],
            user_prefix: "skein".into(),
        };
        let command = init(&common, &asked);
        let wanted =
            "skein cluster init -c admin.toml --set broker.queues=4 --producer chat --credentials-folder c";
        assert_eq!(command, wanted);
    }
}
