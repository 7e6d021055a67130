//! P4: what may be open at APNs changes while a sender runs, and nothing is lost or cut for it.

use super::crowd::{Kind, config, credential, run, simulator};
use super::rig::{Pool, Rig};
use skein_apns_sim::faults::RequestFaults;
use skein_apns_sim::log::Row;
use skein_apns_sim::{Faults, SimulatorConfig};
use skein_core::retry_schedule::RetrySchedule;
use skein_core::seam::Windows;
use skein_sender::credential::slot::Slot;

const POOL: &str = "windows";
const DEVICES: u64 = 400;
const SHARDS: usize = 2;

#[test]
fn p4_windows_change_while_a_sender_runs() {
    let request = RequestFaults { delay_ms: 20, ..RequestFaults::default() };
    let faults = Faults { request, ..Faults::default() };
    let simulator = simulator(SimulatorConfig { faults, ..SimulatorConfig::default() });
    let pool = Pool {
        name: POOL,
        config: config(&simulator),
        credential: Slot::new(Some(credential(&simulator, Kind::Certificate))),
    };
    run(async {
        let mut rig = Rig::start(vec![pool], RetrySchedule::default(), (1.0, 1_000));
        let mut confirmed = rig.submit(POOL, 0..DEVICES).await;
        rig.settled(POOL).await;
        let wide = simulator.log().rows.len();
        let narrow = Windows { connections_max: 1, in_flight_max: 3 };
        rig.resize(narrow);
        confirmed.extend(rig.submit(POOL, 0..DEVICES).await);
        rig.settled(POOL).await;

        let log = simulator.log();
        let (before, after) = log.rows.split_at(wide);
        let bound = SHARDS * narrow.in_flight_max;
        assert!(at_once(before) > bound, "nothing is narrower than it was: {}", at_once(before));
        assert!(at_once(after) <= bound, "{} at once", at_once(after));
        let report = rig.books(POOL).check(&confirmed, &log);
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(simulator.stats().connections, SHARDS as u64, "no connection was cut");
        rig.end().await;
    });
}

/// The most that were read and not answered at one time.
fn at_once(rows: &[Row]) -> usize {
    let open_at =
        |at: u64| rows.iter().filter(|row| row.read_ns() <= at && row.written_ns().unwrap() > at).count();
    rows.iter().map(|row| open_at(row.read_ns())).max().unwrap()
}
