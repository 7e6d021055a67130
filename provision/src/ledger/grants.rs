//! What each role may do in the database: one row a right, nothing else is granted.

use std::collections::BTreeSet;

use crate::role::Role;

/// The roles that hold rights; a login is a member of one of them.
pub(super) const GROUPS: [&str; 3] = ["sender", "gateway", "support"];
/// Roles that an earlier version gave rights and a login of the same name: they have neither any more.
pub(super) const RETIRED: [&str; 1] = ["monitor"];

/// One right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    /// Whose: a role of [`GROUPS`] or [`RETIRED`], or `public`.
    pub group: String,
    /// `schema`, `table`, `column` or `function`.
    pub kind: String,
    /// The object, a column as `table.column`.
    pub object: String,
    /// `SELECT`, `INSERT`, …
    pub privilege: String,
}

/// Devices without the sealed token.
const DEVICE_UNSEALED: [&str; 9] =
    ["token", "registered_at", "found_gone_at", "badge", "slot", "pool", "gone_cause", "app", "user_print"];
/// Which version the schema has; whether the ledger is there at all.
const LOOKED_AT: [&str; 2] = ["_sqlx_migrations", "final_default"];
/// The functions that run with the owner's rights, since they make and drop partitions.
pub(super) const OWNERS_FUNCTIONS: [&str; 2] = ["make_day", "drop_days_before"];

/// The group of a role's login; none without a login.
pub(crate) fn group_of(role: &Role) -> Option<&'static str> {
    match role {
        Role::Sender(_) => Some("sender"),
        Role::Gateway => Some("gateway"),
        Role::Support => Some("support"),
        Role::Monitor | Role::MonitorApi | Role::Producer(_) | Role::Operator => None,
    }
}

/// Every right of every group in a schema.
pub(super) fn wanted(schema: &str) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for group in GROUPS {
        let mut grant = |kind: &str, object: String, privilege: &str| {
            all.insert(Right {
                group: group.to_owned(),
                kind: kind.to_owned(),
                object,
                privilege: privilege.to_owned(),
            });
        };
        grant("schema", schema.to_owned(), "USAGE");
        LOOKED_AT.iter().for_each(|table| grant("table", (*table).to_owned(), "SELECT"));
        let (tables, columns) = rows(group);
        for (table, privileges) in tables {
            privileges.iter().for_each(|privilege| grant("table", (*table).to_owned(), privilege));
        }
        for (table, privilege, columns) in columns {
            columns.iter().for_each(|column| grant("column", format!("{table}.{column}"), privilege));
        }
        if group == "sender" {
            OWNERS_FUNCTIONS.iter().for_each(|name| grant("function", (*name).to_owned(), "EXECUTE"));
            grant("function", "day_start".to_owned(), "EXECUTE");
        }
        if group == "gateway" {
            grant("function", "day_start".to_owned(), "EXECUTE");
        }
    }
    all
}

type Tables = Vec<(&'static str, &'static [&'static str])>;
type Columns = Vec<(&'static str, &'static str, &'static [&'static str])>;

fn rows(group: &str) -> (Tables, Columns) {
    match group {
        // Appends, never changes or deletes: what is recorded stays recorded.
        "sender" => (
            vec![
                ("final", &["SELECT", "INSERT"]),
                ("note", &["SELECT", "INSERT"]),
                ("submitted", &["SELECT", "INSERT"]),
                // What has no day's partition is looked for where it then stands.
                ("note_default", &["SELECT"]),
                ("submitted_default", &["SELECT"]),
            ],
            vec![
                (
                    "device",
                    "SELECT",
                    &["token", "registered_at", "found_gone_at", "badge", "slot", "pool", "gone_cause"],
                ),
                ("device", "INSERT", &["token", "slot", "pool", "badge", "found_gone_at", "gone_cause"]),
                ("device", "UPDATE", &["badge", "found_gone_at", "gone_cause", "pool"]),
            ],
        ),
        "gateway" => (
            vec![("final", &["SELECT"]), ("note", &["SELECT"]), ("submitted", &["SELECT"])],
            vec![
                // What an upsert reads of the row that it would insert counts as read; the gateway seals tokens anyway.
                (
                    "device",
                    "SELECT",
                    &["token", "pool", "user_print", "app", "registered_at", "token_sealed"],
                ),
                (
                    "device",
                    "INSERT",
                    &["token", "slot", "pool", "user_print", "app", "registered_at", "token_sealed"],
                ),
                ("device", "UPDATE", &["pool", "user_print", "app", "registered_at", "token_sealed"]),
            ],
        ),
        "support" => (
            vec![("final", &["SELECT"]), ("note", &["SELECT"]), ("submitted", &["SELECT"])],
            vec![("device", "SELECT", &DEVICE_UNSEALED)],
        ),
        _ => (Vec::new(), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(group: &str, object: &str, privilege: &str) -> bool {
        wanted("skein").iter().any(|right| {
            let of_column = right.object.split('.').next() == Some(object);
            right.group == group && (right.object == object || of_column) && right.privilege == privilege
        })
    }

    #[test]
    fn p1_nobody_deletes_or_rewrites_a_verdict() {
        for group in GROUPS {
            for table in ["final", "note", "submitted"] {
                for privilege in ["UPDATE", "DELETE", "TRUNCATE", "TRIGGER"] {
                    assert!(!has(group, table, privilege), "{group} {privilege} {table}");
                }
            }
        }
        assert!(has("sender", "final", "INSERT") && !has("support", "final", "INSERT"));
    }

    #[test]
    fn p9_the_sealed_token_is_read_by_who_seals_it_alone() {
        let sealed = |right: &Right| {
            right.object == "device.token_sealed" && right.privilege == "SELECT" && right.group != "gateway"
        };
        assert!(!wanted("skein").iter().any(sealed));
        assert!(!wanted("skein").iter().any(|right| right.kind == "table" && right.object == "device"));
    }
}
