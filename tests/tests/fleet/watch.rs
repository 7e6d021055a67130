//! Looking at a fleet and waiting for it: by what ZooKeeper holds, by the simulator's log, by a monitor's page.

use std::time::Duration;

use skein_apns_sim::clock::monotonic_ns;
use skein_core::{
    fleet::{Health, Member, QueueAssignment},
    seam::{FleetStore as _, FleetView, StoredQueue},
};
use skein_test_site::load::Load;
use skein_tests::{http, until};

use crate::{
    rig::{Owners, QUEUES, REST_LIMIT, Rig, START_LIMIT},
    takeover::Fault,
    timeline::Timeline,
};

/// How often the simulator's whole log is looked through.
const LOOK_EVERY: Duration = Duration::from_millis(80);

impl Rig {
    /// What ZooKeeper holds.
    pub async fn view(&self) -> Option<FleetView> {
        self.store.read().await.ok()
    }

    /// Waits until every running sender is a member.
    pub async fn all_present(&self) {
        let running = self.senders.iter().filter(|sender| sender.is_running()).count();
        let present = async || (self.view().await?.members.len() == running).then_some(());
        if until("every sender to join", START_LIMIT, present).await.is_err() {
            panic!("{running} senders run, and these are members: {:#?}", self.view().await);
        }
    }

    /// The monitor that leads.
    pub async fn leader(&self) -> String {
        let leads = async || self.store.monitors().await.ok()?.into_iter().next();
        until("a leading monitor", REST_LIMIT, leads).await.unwrap()
    }

    /// Waits until a sender says that APNs answers it: until then the plan gives it nothing, and forgets who asked for that.
    pub async fn reaches_apns(&self, sender: usize) {
        let id = self.member(sender);
        let well = |member: &Member| member.pools.iter().all(|pool| pool.apns == Health::Healthy);
        let reaches = async || {
            self.view().await?.members.iter().any(|member| member.id == id && well(member)).then_some(())
        };
        until("a sender whom APNs answers", REST_LIMIT, reaches).await.unwrap();
    }

    /// Waits until every queue has a present owner that need not wait for its predecessor, and nothing is on its way.
    pub async fn at_rest(&self) {
        let settled = async || {
            let view = self.view().await?;
            let here = |q: &&StoredQueue| {
                let q = &q.assignment;
                let present =
                    |member: &Member| q.owner.as_ref().is_some_and(|owner| *owner == member.owner());
                q.predecessor_gone && q.successor.is_none() && view.members.iter().any(present)
            };
            (view.queues.iter().filter(here).count() == usize::from(QUEUES)).then_some(())
        };
        if until("a fleet at rest", REST_LIMIT, settled).await.is_err() {
            panic!(
                "the fleet does not come to rest: {:#?}; {:#?}",
                self.view().await,
                self.fleet_page().await
            );
        }
    }

    /// Who owns what, by what ZooKeeper holds.
    pub async fn owners(&self) -> Owners {
        let view = until("ZooKeeper's word", REST_LIMIT, async || self.view().await).await.unwrap();
        let owner = |q: &QueueAssignment| q.owner.as_ref().map(|owner| owner.member.as_str().to_owned());
        view.queues.iter().map(|q| (q.assignment.queue.number, owner(&q.assignment))).collect()
    }

    /// The queues of the sender with this number.
    pub async fn queues_of(&self, number: u8) -> Vec<u16> {
        let name = &self.senders[usize::from(number)].name;
        let owners = self.owners().await;
        owners.iter().filter(|(_, owner)| owner.as_ref() == Some(name)).map(|(queue, _)| *queue).collect()
    }

    /// The running sender that owns most.
    pub async fn busiest(&self) -> usize {
        let mut best = (0, 0);
        for sender in self.senders.iter().filter(|sender| sender.is_running()) {
            let count = self.queues_of(sender.number).await.len();
            if count > best.0 {
                best = (count, usize::from(sender.number));
            }
        }
        best.1
    }

    /// What the first monitor that answers says of the fleet.
    pub async fn fleet_page(&self) -> Option<serde_json::Value> {
        for monitor in self.monitors.iter().filter(|monitor| monitor.child.is_some()) {
            let url = format!("http://127.0.0.1:{}/v1/fleet", monitor.api.number());
            if let Ok(page) = http::get(&url).await {
                return page.json().ok();
            }
        }
        None
    }

    /// Waits until the simulator has read so many more requests.
    pub async fn flowing(&self, more: u64) {
        let from = self.site.simulator.stats().requests;
        let flows = async || (self.site.simulator.stats().requests >= from + more).then_some(());
        if until("traffic", REST_LIMIT, flows).await.is_err() {
            panic!("no {more} more requests in {REST_LIMIT:?}: {:#?}", self.fleet_page().await);
        }
    }

    /// Waits until somebody else has written for each queue of the fault.
    pub async fn taken_over(&self, load: &Load, fault: &Fault) {
        self.taken(load, fault, fault.queues.len()).await;
    }

    /// Waits until somebody else has written for one queue of the fault.
    pub async fn any_taken_over(&self, load: &Load, fault: &Fault) {
        self.taken(load, fault, 1).await;
    }

    /// Waits until something was written for each queue: an owner that ends before has nothing to vouch for.
    pub async fn all_written(&self, load: &Load) {
        let all = async || {
            let lives = self.senders.iter().map(|sender| sender.lives.clone()).collect();
            let timeline = Timeline::new(&self.site.simulator.log(), load.slots(), QUEUES, lives);
            (timeline.queues.len() == usize::from(QUEUES)).then_some(())
        };
        if until("a write for each queue", REST_LIMIT, all).await.is_err() {
            panic!("not every queue is written for: {:#?}", self.fleet_page().await);
        }
    }

    async fn taken(&self, load: &Load, fault: &Fault, count: usize) {
        let taken = async || {
            // What is measured comes from the log, not from here: a look takes nothing of the machine that is measured while it
            // happens, however long the log has grown.
            tokio::time::sleep(LOOK_EVERY).await;
            let lives = self.senders.iter().map(|sender| sender.lives.clone()).collect();
            let log = self.site.simulator.log_since(fault.at_ns);
            let timeline = Timeline::new(&log, load.slots(), QUEUES, lives);
            let first =
                |queue: &&u16| timeline.first_by_another(**queue, fault.at_ns, fault.writer).is_some();
            (fault.queues.iter().filter(first).count() >= count).then_some(())
        };
        if until("another owner to write", REST_LIMIT, taken).await.is_err() {
            let (view, page) = (self.view().await, self.fleet_page().await);
            panic!("nobody writes for all of {:?}: {view:#?}; {page:#?}", fault.queues);
        }
    }

    /// Waits until so long after an instant of the fault's clock: the fault itself lasts that long.
    pub async fn until_after(&self, at_ns: u64, lasts: Duration) {
        let over = async || (monotonic_ns() >= at_ns + lasts.as_nanos() as u64).then_some(());
        until("a fault to have lasted", lasts + REST_LIMIT, over).await.unwrap();
    }

    /// How many queues have another owner than before.
    pub async fn moves_since(&self, before: &Owners) -> usize {
        let now = self.owners().await;
        now.iter().filter(|(queue, owner)| before.get(queue) != Some(owner)).count()
    }
}
