//! The pictures of the dashboards in `docs/pictures`, drawn with `SKEIN_WRITE_PICTURES=1` from the fleet that the dashboards are tested on: a
//! sender of it is killed in the meantime, and comes back.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use skein_dashboards::{Dashboard, picture::drawn};
use skein_tests::process::{Child, skein};
use tokio::time::Instant;

use crate::dashboards::Watched;

/// What a picture shows: figures over five minutes need a while to tell something.
const SHOWN: Duration = Duration::from_secs(480);
const KILLED_AFTER: Duration = Duration::from_secs(240);
const BACK_AFTER: Duration = Duration::from_secs(300);
const ABOUT: &str =
    "a sender is killed after 4 minutes and started again after 5; APNs refuses and cuts as on a bad day";

/// Draws each dashboard, if asked to; eight minutes.
pub async fn draw_if_asked(watched: &Watched, dashboards: &[Dashboard]) {
    if std::env::var_os("SKEIN_WRITE_PICTURES").is_none() {
        return;
    }
    let began = Instant::now();
    used_until(watched, began + KILLED_AFTER).await;
    let roles = watched.told["roles"].as_array().unwrap();
    let victim = roles.iter().find(|role| role["role"].as_str().unwrap().starts_with("sender")).unwrap();
    let pid = Pid::from_raw(victim["pid"].as_i64().unwrap() as i32).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    used_until(watched, began + BACK_AFTER).await;
    let own = watched.folder.path().join("skein-dev");
    let files = ["skein", victim["role"].as_str().unwrap()].map(|name| own.join(format!("{name}.toml")));
    let files = files.map(|file| file.display().to_string()).join(",");
    let _again: Child = skein(["run", "sender", "--config", &files]).unwrap().start().unwrap();
    used_until(watched, began + SHOWN).await;

    let to = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let span = (to - SHOWN.as_secs_f64(), to);
    let folder = skein_tests::workspace_folder().join("docs/pictures");
    fs::create_dir_all(&folder).unwrap();
    for dashboard in dashboards {
        let svg = drawn(dashboard, &watched.prometheus.at, span, ABOUT).await.unwrap();
        fs::write(folder.join(format!("{}.svg", dashboard.uid)), svg).unwrap();
    }
}

/// Somebody submits at the front door each second until then.
async fn used_until(watched: &Watched, then: Instant) {
    while Instant::now() < then {
        watched.submit().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
