//! The roles of a cluster on one machine, each a process of this program.

use std::time::Duration;

use anyhow::Context as _;
use skein_dev_services::ports::Port;
use skein_dev_services::process::{Child, Program};
use skein_dev_services::{http, until};

use super::site::{self, Site};
use crate::args::DevCluster;
use crate::exit::Failure;

/// Longest wait until a role is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Longest orderly end of a role; then it is killed.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What runs.
pub struct Roles {
    all: Vec<Role>,
}

struct Role {
    name: String,
    child: Child,
    pages: Port,
    again: String,
    told: bool,
}

impl Roles {
    /// Starts them and waits until each is ready: monitors first, since they make what is missing of the store.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn start(site: &Site, arguments: &DevCluster) -> Result<Self, Failure> {
        let monitors = (1..=arguments.monitors).map(|n| ("monitor", format!("monitor-{n}")));
        let senders = (1..=arguments.senders).map(|n| ("sender", site::sender(n)));
        let gateway = [("gateway", "gateway".to_owned())];
        let mut all = Vec::new();
        for (role, name) in monitors.chain(senders).chain(gateway) {
            all.push(Role::start(site, role, name)?);
        }
        let mut roles = Self { all };
        for role in &mut roles.all {
            let url = format!("http://127.0.0.1:{}/readyz", role.pages);
            let ready = role.child.wait_ready(&url, READY_LIMIT).await;
            ready.with_context(|| {
                format!(
                    "{} does not become ready; see {}",
                    role.name,
                    site.path(&format!("{}.log", role.name)).display()
                )
            })?;
        }
        // Only now is there something to be seen: new queues are given out when the fleet has assembled.
        let fleet = format!("{}v1/fleet", site.page());
        let owned = async || {
            let answer = http::get(&fleet).await.ok()?.json().ok()?;
            let queues = answer["queues"].as_array()?;
            (!queues.is_empty() && queues.iter().all(|queue| !queue["owner"].is_null())).then_some(())
        };
        until("every queue to have an owner", READY_LIMIT, owned).await.context("see the monitors' logs")?;
        Ok(roles)
    }

    /// Each role's name, pages and process id.
    pub fn shown(&self) -> impl Iterator<Item = (&str, String, u32)> {
        self.all
            .iter()
            .map(|role| (role.name.as_str(), format!("http://127.0.0.1:{}", role.pages), role.child.id()))
    }

    /// The senders with their process ids.
    pub fn senders(&self) -> impl Iterator<Item = (&str, u32)> {
        let senders = self.all.iter().filter(|role| role.name.starts_with("sender"));
        senders.map(|role| (role.name.as_str(), role.child.id()))
    }

    /// Those that have ended since it was asked last: name, how, and how to start it again.
    pub fn ended(&mut self) -> Vec<(String, String, String)> {
        let mut ended = Vec::new();
        for role in self.all.iter_mut().filter(|role| !role.told) {
            if let Some(status) = role.child.exit_status() {
                role.told = true;
                ended.push((role.name.clone(), status.to_string(), role.again.clone()));
            }
        }
        ended
    }

    /// Ends them in order: the senders leave their queues while the rest is still there.
    pub async fn end(mut self) {
        for prefix in ["gateway", "sender", "monitor"] {
            let mut some: Vec<&mut Role> =
                self.all.iter_mut().filter(|role| role.name.starts_with(prefix)).collect();
            some.iter_mut().for_each(|role| role.child.terminate());
            for role in some {
                if role.child.wait_exit(END_LIMIT).await.is_err() {
                    role.child.kill9();
                }
            }
        }
    }
}

impl Role {
    fn start(site: &Site, role: &str, name: String) -> Result<Self, Failure> {
        let pages = Port::claim();
        let mut own = format!("[http]\nlisten = \"127.0.0.1:{pages}\"\n");
        if role == "sender" {
            let state = site.path(&format!("{name}.state"));
            std::fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
            let state = state.canonicalize().context("the folder has gone")?;
            own.push_str(&format!(
                "\n[sender]\nmember = \"{name}\"\nshards = 1\nstate_folder = \"{}\"\n",
                state.display()
            ));
        }
        if let Some(number) = name.strip_prefix("monitor-").and_then(|n| n.parse::<usize>().ok()) {
            let listen = &site.monitors[number - 1];
            own.push_str(&format!("\n[monitor]\nname = \"{name}\"\nlisten = \"127.0.0.1:{listen}\"\n"));
        }
        let own = site.file(&format!("{name}.toml"), &own)?;
        let program = std::env::current_exe().context("this program does not know where it is")?;
        let files = format!("{},{}", site.config().display(), own.display());
        let mut program = Program::new(&program).outputs_in(&site.path(""), &name);
        program.command().args(["run", role, "--config", &files]).env_remove("SKEIN_CONFIG");
        let child = program.start().with_context(|| format!("cannot start {name}"))?;
        let again = format!("skein run {role} --config {files}");
        Ok(Self { name, child, pages, again, told: false })
    }
}
