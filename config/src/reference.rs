//! The settings' page of the documentation, made from `default.toml`.

use crate::schema::{Key, key_table, schema};
use crate::word_layer::environment_name;

/// Every setting as Markdown: a table for each section, in the order of `default.toml`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Settings\n\nMade from `config/default.toml`; do not edit. A change of a *live* setting takes effect while \
         running, of a *restart* setting at the next start. Durations and sizes are text with a unit (`\"700ms\"`, \
         `\"64MiB\"`). The environment sets a key by its name there, such as `SKEIN_SENDER__LEASE`; the command line \
         by `--set sender.lease=800ms`.\n",
    );
    for (section, doc) in &schema().sections {
        let keys: Vec<&Key> =
            key_table().iter().filter(|k| k.key.rsplit_once('.').map_or("", |(s, _)| s) == section).collect();
        if keys.is_empty() {
            continue;
        }
        if !section.is_empty() {
            page.push_str(&format!("\n## `[{section}]`\n\n{doc}\n"));
        }
        page.push_str("\n| key | default | type | change | meaning |\n| --- | --- | --- | --- | --- |\n");
        for key in keys {
            let name = key.key.rsplit('.').next().unwrap_or(&key.key);
            let default = match (&key.default, &key.example) {
                (Some(default), _) => format!("`{default}`"),
                (None, Some(example)) => format!("not set, e.g. `{example}`"),
                (None, None) => String::new(),
            };
            let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
            page.push_str(&format!(
                "| `{name}` | {default} | {} | {} | {} |\n",
                cell(&key.kind_text),
                key.reload.label(),
                cell(&key.doc)
            ));
        }
    }
    let example = environment_name("broker.password");
    page.push_str(&format!(
        "\nA secret may also be set itself in the environment (such as `{example}`); in a file or flag it is refused.\n"
    ));
    page
}
