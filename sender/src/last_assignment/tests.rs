//! What is kept, when it is gone by, and that the coordinator's word counts alone.

use skein_core::fleet::{Cause, Change, Incarnation};
use skein_core::memory::{MemoryCoordinator, MemoryFleet};
use skein_core::seam::{FleetStore as _, Lead as _, Planned};
use uuid::Uuid;

use super::*;

fn member(life: u128) -> Member {
    let text = r#"{"id":"s1","incarnation":"00000000-0000-0000-0000-000000000001","host":"h","version":"1",
        "pools":[{"pool":"im"}],"connection_prefix":"s1","since":"2026-11-21T12:00:00Z"}"#;
    Member { incarnation: Incarnation(Uuid::from_u128(life)), ..serde_json::from_str(text).unwrap() }
}

struct Host {
    fleet: MemoryFleet,
    folder: tempfile::TempDir,
}

impl Host {
    /// One pool of two queues, both assigned to the first life.
    async fn new() -> Self {
        let fleet = MemoryFleet::new();
        fleet.seed(&PoolName::parse("im").unwrap(), 2, 100).await.unwrap();
        Self { fleet, folder: tempfile::tempdir().unwrap() }
    }

    async fn change(&self, change: impl Fn(&skein_core::fleet::QueueAssignment) -> Change) {
        let lead = self.fleet.lead().await.unwrap();
        let view = self.fleet.read().await.unwrap();
        let planned = |on: skein_core::seam::StoredQueue| Planned { change: change(&on.assignment), on };
        let planned: Vec<Planned> = view.queues.into_iter().map(planned).collect();
        lead.apply(&planned).await.unwrap();
    }

    fn start(&self, life: u128) -> Arc<Remembered<MemoryCoordinator, FileNotebook>> {
        let inner = Arc::new(self.fleet.join(member(life)));
        let notebook = FileNotebook::new(self.folder.path(), &member(life).id);
        let slots = BTreeMap::from([(PoolName::parse("im").unwrap(), SlotMap::even(2))]);
        let one = Arc::new(Remembered::new(inner, Some(notebook), slots));
        let run = Arc::clone(&one);
        tokio::spawn(async move { run.run().await });
        one
    }

    fn written(&self) -> Vec<Kept> {
        FileNotebook::new(self.folder.path(), &member(1).id).read()
    }
}

async fn until(told: &mut watch::Receiver<Assignment>, what: impl Fn(&Assignment) -> bool) -> Assignment {
    let wait = told.wait_for(|now| what(now));
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time").unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn p7_killed_and_restarted_while_the_coordinator_is_away_it_goes_on_with_what_it_had() {
    let host = Host::new().await;
    let first = host.start(1);
    let mut told = first.assignment();
    host.change(|_| {
        let to = member(1).owner();
        Change::Assign { to, cause: Cause::New, predecessor_dead: true, ended_ms: 0 }
    })
    .await;
    assert_eq!(until(&mut told, |now| now.queues.len() == 2).await.queues[0].epoch, 1);
    assert_eq!(host.written().len(), 2);

    host.fleet.set_away(true);
    let second = host.start(2);
    let mut told = second.assignment();
    let began = tokio::time::Instant::now();
    let stood_in = until(&mut told, |now| !now.queues.is_empty()).await;
    assert!(began.elapsed() >= SILENT_MAX, "a coordinator that is there is waited for");
    for owned in &stood_in.queues {
        assert_eq!((owned.epoch, owned.prefetch, &owned.tenure), (1, 100, &Tenure::Hold));
        assert!(!owned.predecessor_gone && !owned.left_clean, "P3: anybody may have had it meanwhile");
    }

    host.fleet.set_away(false);
    let inherited = |now: &Assignment| matches!(now.queues[0].tenure, Tenure::Inherited(_));
    until(&mut told, inherited).await;
    let claimed = second.reclaim(&stood_in.queues[0].queue, 1, true).await.unwrap();
    assert_eq!((claimed.epoch, &claimed.tenure), (2, &Tenure::Hold));
    second.release(&claimed.queue, 2, true).await.unwrap();
    let left: Vec<_> = host.written().into_iter().map(|kept| kept.queue.number).collect();
    assert_eq!(left, [1], "what is released is not gone on with");
}

#[tokio::test(start_paused = true)]
async fn p2_what_the_coordinator_says_counts_alone() {
    let host = Host::new().await;
    let kept = Kept { queue: QueueName::parse("im.q1").unwrap(), epoch: 7, prefetch: 50 };
    FileNotebook::new(host.folder.path(), &member(1).id).write(&[kept]);
    let one = host.start(1);
    let told = one.assignment();
    tokio::time::sleep(SILENT_MAX * 3).await;
    assert!(told.borrow().queues.is_empty(), "it says that nothing is this member's");
    assert!(host.written().is_empty());
}

#[test]
fn a_file_that_can_t_be_read_is_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let notebook = FileNotebook::new(folder.path(), &member(1).id);
    assert!(notebook.read().is_empty());
    std::fs::write(folder.path().join("s1.assignment"), "[{\"queue\":").unwrap();
    assert!(notebook.read().is_empty());
}
