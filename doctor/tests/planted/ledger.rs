//! What can be wrong at PostgreSQL.

use crate::site::Site;
use skein_test_site::standby::set;

const HOLDS: &str = "postgresql.holds";
const DURABILITY: &str = "postgresql.durability";

pub async fn plant(site: &mut Site) {
    rights(site).await;
    schema(site).await;
    durability(site).await;
}

async fn rights(site: &mut Site) {
    site.query("REVOKE INSERT ON skein.final FROM \"{prefix}-rights-sender\"").await;
    site.named(HOLDS, "sender: INSERT on table final: missing").await;
    site.init().await;

    site.query("GRANT DELETE ON skein.final TO \"{prefix}-rights-sender\"").await;
    site.named(HOLDS, "sender: DELETE on table final: too much").await;
    site.init().await;

    site.query("ALTER ROLE \"{prefix}-gateway\" PASSWORD 'another'").await;
    site.named(HOLDS, "gateway: not as it must be (the password of the folder)").await;
    site.init().await;
}

async fn schema(site: &mut Site) {
    site.query("CREATE TABLE public.kept AS SELECT * FROM skein._sqlx_migrations").await;
    site.query("DELETE FROM skein._sqlx_migrations WHERE version = (SELECT max(version) FROM skein._sqlx_migrations)").await;
    site.named(HOLDS, "schema skein, its tables and functions: not as it must be (at this version)").await;
    site.query("INSERT INTO skein._sqlx_migrations SELECT * FROM public.kept ON CONFLICT DO NOTHING").await;

    site.query("DROP SCHEMA skein CASCADE").await;
    site.named(HOLDS, "schema skein, its tables and functions: missing").await;
    site.init().await;
}

async fn durability(site: &mut Site) {
    site.standby.demanded(&site.postgresql, "").await;
    site.named(DURABILITY, "PostgreSQL has no synchronous standby").await;
    site.standby.demanded(&site.postgresql, "standby").await;

    site.standby.lose(&site.postgresql).await;
    site.named(DURABILITY, "is connected: every commit waits").await;
    site.standby.connect(&site.postgresql).await;

    set(&site.postgresql, "fsync = off").await;
    site.named(DURABILITY, "PostgreSQL has fsync off").await;
    set(&site.postgresql, "fsync = on").await;
}
