//! The plan at full size: even loads, and few moves on a loss. What it costs is measured by the example `plan_cost`.

mod fleet;

use fleet::{MEMBERS, QUEUES, Scale};

#[test]
fn a_full_fleet_is_even_and_a_loss_moves_its_share_only() {
    let mut fleet = Scale::new(7);
    fleet.give_out();
    assert!(fleet.worst_percent() <= 115, "max/mean is {} %", fleet.worst_percent());
    assert_eq!(fleet.step(), 0, "at rest there is nothing to do");
    fleet.lose(17);
    let moves = fleet.step();
    assert!(moves > 0 && moves <= QUEUES / MEMBERS + 1, "{moves} moves");
    assert!(fleet.worst_percent() <= 115, "max/mean is {} % after the loss", fleet.worst_percent());
    assert_eq!(fleet.step(), 0);
}
