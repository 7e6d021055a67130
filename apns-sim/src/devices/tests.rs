//! What devices finally show, in times of the test's own making.

use super::*;

const TOKEN: u64 = 7;

fn push(id: u128) -> Delivery {
    let text = Some(format!("text {id}").into_boxed_str());
    Delivery {
        token: TOKEN,
        id,
        badge: Some(id as u64),
        sequence: Some(id as u64),
        text,
        ..Delivery::default()
    }
}

struct Bench {
    devices: Devices,
    faults: DeviceFaults,
    now_ms: u64,
}

impl Bench {
    fn new(faults: DeviceFaults) -> Self {
        Self { devices: Devices::default(), faults, now_ms: 1_000_000 }
    }

    fn scene(&self) -> Scene<'_> {
        Scene { faults: &self.faults, seed: 1, now_ms: self.now_ms }
    }

    fn deliver(&self, pushes: impl IntoIterator<Item = Delivery>) {
        self.devices.deliver(self.scene(), pushes.into_iter());
    }

    fn online(&self, online: bool) {
        assert!(self.devices.set_online(self.scene(), TOKEN, Some(online)));
    }

    fn shown(&self) -> Shown {
        self.devices.shown(self.scene(), TOKEN).expect("known")
    }
}

#[test]
fn a_device_shows_the_last_push_and_the_last_badge() {
    let bench = Bench::new(DeviceFaults::default());
    bench.deliver([push(1), Delivery { badge: None, ..push(2) }]);
    let shown = bench.shown();
    assert_eq!((shown.id, shown.badge, shown.sequence, shown.delivered), (2, Some(1), Some(2), 2));
    assert_eq!((shown.text.as_deref(), shown.out_of_order, shown.online), (Some("text 2"), 0, true));
    bench.deliver([push(1)]);
    assert_eq!(bench.shown().out_of_order, 1);
    assert_eq!(bench.devices.shown(bench.scene(), 8), None);
    bench.devices.clear();
    assert_eq!(bench.devices.shown(bench.scene(), TOKEN), None);
}

#[test]
fn one_slot_for_each_topic_while_offline_and_the_newest_stays() {
    let bench = Bench::new(DeviceFaults::default());
    bench.online(false);
    bench.deliver([
        push(1),
        push(2),
        Delivery { topic: 5, ..push(9) },
        Delivery { expiration: Some(0), ..push(3) },
    ]);
    let shown = bench.shown();
    assert_eq!((shown.delivered, shown.overwritten, shown.dropped, shown.stored.len()), (0, 1, 1, 2));
    bench.online(true);
    let shown = bench.shown();
    assert_eq!((shown.delivered, shown.stored.len()), (2, 0));
    assert_eq!(shown.notices.iter().map(|notice| notice.id).collect::<Vec<_>>(), [2, 9]);
}

#[test]
fn what_waits_expires_by_its_own_time_or_after_thirty_days() {
    let mut bench = Bench::new(DeviceFaults::default());
    bench.online(false);
    bench.deliver([Delivery { expiration: Some(1_001), ..push(1) }]);
    bench.now_ms = 1_000_999;
    assert_eq!(bench.shown().stored.len(), 1);
    bench.now_ms = 1_001_000;
    assert_eq!((bench.shown().stored.len(), bench.shown().expired), (0, 1));
    bench.deliver([push(2)]);
    bench.now_ms += STORED_MS_MAX;
    bench.online(true);
    assert_eq!((bench.shown().delivered, bench.shown().expired), (0, 2));
}

#[test]
fn a_burst_overwrites_itself_while_the_device_has_not_acknowledged() {
    let mut bench = Bench::new(DeviceFaults { ack_delay_ms: 50, ..DeviceFaults::default() });
    bench.deliver([push(1), push(2), push(3)]);
    let shown = bench.shown();
    assert_eq!((shown.id, shown.overwritten, shown.stored[0].id), (1, 1, 3));
    bench.now_ms += 50;
    assert_eq!((bench.shown().id, bench.shown().delivered), (3, 2));
}

#[test]
fn in_a_race_the_older_one_may_stay() {
    let bench = Bench::new(DeviceFaults { race: 1.0, ..DeviceFaults::default() });
    bench.online(false);
    bench.deliver([push(1), push(2)]);
    bench.online(true);
    assert_eq!((bench.shown().id, bench.shown().overwritten), (1, 1));
}

#[test]
fn neighbours_may_change_places() {
    let mut bench = Bench::new(DeviceFaults { reorder: 1.0, ..DeviceFaults::default() });
    bench.deliver([push(1), push(2)]);
    let shown = bench.shown();
    assert_eq!((shown.id, shown.delivered, shown.out_of_order), (1, 2, 1));
    bench.deliver([push(3)]);
    assert_eq!(bench.shown().delivered, 2);
    bench.now_ms += REORDER_MS_MAX;
    assert_eq!((bench.shown().id, bench.shown().delivered), (3, 3), "no other came to overtake it");
}

#[test]
fn a_collapse_id_replaces_what_the_screen_shows() {
    let bench = Bench::new(DeviceFaults::default());
    bench.deliver([
        Delivery { collapse: Some(1), ..push(1) },
        push(2),
        Delivery { collapse: Some(1), ..push(3) },
        Delivery { text: None, ..push(4) },
    ]);
    let shown = bench.shown();
    assert_eq!(
        shown.notices.iter().map(|notice| notice.id).collect::<Vec<_>>(),
        [2, 3],
        "a badge alone is no notice"
    );
    assert_eq!((shown.id, shown.badge, shown.delivered), (4, Some(4), 4));
    bench.deliver((10..20).map(push));
    assert_eq!(bench.shown().notices.len(), NOTICES_MAX);
}

#[test]
fn a_share_of_the_devices_is_offline_by_seed_or_by_name() {
    let faults =
        DeviceFaults { offline: 0.3, offline_tokens: vec!["ab".repeat(32)], ..DeviceFaults::default() };
    let offline: Vec<u64> = (0..1000).filter(|token| !faults.is_online(1, *token)).collect();
    assert!((200..400).contains(&offline.len()));
    assert_eq!(offline, (0..1000).filter(|token| !faults.is_online(1, *token)).collect::<Vec<_>>());
    assert!(!faults.is_online(1, fingerprint_of_hex(&"ab".repeat(32)).expect("hex")));
}
