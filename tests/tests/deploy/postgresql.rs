//! PostgreSQL as `deploy/services/postgresql` has it at its first start: settings, database, who may come.

use std::fs;

use skein_tests::services::PostgreSql;

use crate::deploy;

/// What a machine for tests does not have, or this server has of its own.
const OF_THE_MACHINE: [&str; 2] = ["listen_addresses", "shared_buffers"];

/// The lines `name = 'value'` of `postgresql.conf`.
pub fn settings() -> Vec<(String, String)> {
    let lines = read("postgresql.conf");
    let settings =
        lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    settings.map(|(name, value)| (name.to_owned(), value.trim().trim_matches('\'').to_owned())).collect()
}

/// The database, its administrator and its standby, with these passwords, and who may come; with a rule that lets this test in.
pub async fn first_start(server: &mut PostgreSql, admin: &str, replica: &str) {
    // But for the program psql's own words.
    let mut database = "postgres";
    for statement in read("database.sql").split(";\n") {
        let lines = statement.lines().filter(|line| !line.starts_with("--"));
        let mut statement: String = lines.collect::<Vec<_>>().join("\n");
        if let Some((_, rest)) = statement.split_once("\\connect skein") {
            (database, statement) = ("skein", rest.to_owned());
        }
        for (name, password) in [("admin", admin), ("replica", replica)] {
            statement =
                statement.replace(&format!(":'{name}'"), &format!("'{}'", password.replace('\'', "''")));
        }
        server.query(database, &statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    let rows = server.query("postgres", "SHOW hba_file").await.unwrap();
    let rules = format!("host all postgres 127.0.0.1/32 trust\n{}", read("pg_hba.conf"));
    fs::write(rows[0][0].as_deref().unwrap(), rules).unwrap();
    server.restart().await.unwrap();
}

/// The settings of the file, which make it wait for its standby.
pub async fn with_settings(server: &mut PostgreSql) {
    for (name, value) in settings().iter().filter(|(name, _)| !OF_THE_MACHINE.contains(&name.as_str())) {
        let sql = format!("ALTER SYSTEM SET {name} = '{value}'");
        server.query("postgres", &sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    server.restart().await.unwrap();
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy("services/postgresql").join(name)).unwrap()
}
