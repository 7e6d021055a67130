//! Where everything is kept in ZooKeeper, below the chroot of the cluster. A queue's node is never deleted: its epoch lives in it.

use skein_core::QueueName;
use skein_core::fleet::{MemberId, WishId};

/// One ephemeral node for each sender that is there.
pub(super) const MEMBERS: &str = "/members";
/// One ephemeral node for each sender's load; read with everything else, watched by nobody.
pub(super) const LOADS: &str = "/loads";
/// One node for each sender that ever joined, changed with each of its queues: that sender's only watch besides its own node.
pub(super) const CALLS: &str = "/calls";
/// One node for each queue: who owns it, its epoch and all that goes with it.
pub(super) const QUEUES: &str = "/queues";
/// One node for each wish of an operator, numbered.
pub(super) const WISHES: &str = "/wishes";
/// One node for each member that operators keep out.
pub(super) const QUARANTINES: &str = "/quarantines";
/// How the monitor decides.
pub(super) const POLICY: &str = "/policy";
/// The monitors that are there; the first of them leads.
pub(super) const MONITORS: &str = "/monitors";
/// Changed with everything that a monitor must look at: its only watch besides the list of members.
pub(super) const BELL: &str = "/bell";

/// The live settings of the fleet; its version is theirs.
pub(super) const LIVE: &str = "/live";
/// One node for each version of them that is kept.
pub(super) const LIVE_HISTORY: &str = "/live-history";
/// One ephemeral node for each process: which version it goes by.
pub(super) const LIVE_IN_FORCE: &str = "/live-in-force";
/// The same of each gateway, in a folder of theirs: who may make nodes in it speaks for no sender and no monitor.
pub(super) const GATEWAYS: &str = "/gateways";

/// The users, and with them everybody's rights. Made by `skein cluster init` alone.
pub(super) const RIGHTS: &str = "/rights";

/// Every node that must be there before anything else.
pub(super) const ALL: [&str; 13] = [
    MEMBERS,
    LOADS,
    CALLS,
    QUEUES,
    WISHES,
    QUARANTINES,
    POLICY,
    MONITORS,
    BELL,
    LIVE,
    LIVE_HISTORY,
    LIVE_IN_FORCE,
    GATEWAYS,
];
/// Those of them that a tree of an older version has not, and without which a fleet works.
pub(super) const ADDED: [&str; 4] = [LIVE, LIVE_HISTORY, LIVE_IN_FORCE, GATEWAYS];

const WISH: &str = "w-";

pub(super) fn queue(queue: &QueueName) -> String {
    format!("{QUEUES}/{queue}")
}

pub(super) fn member(member: &MemberId) -> String {
    format!("{MEMBERS}/{member}")
}

pub(super) fn load(member: &MemberId) -> String {
    format!("{LOADS}/{member}")
}

pub(super) fn call(member: &MemberId) -> String {
    format!("{CALLS}/{member}")
}

/// Below a member's calls, for as long as the session of whoever takes its place lives.
pub(super) fn successor(member: &MemberId) -> String {
    format!("{CALLS}/{member}/successor")
}

pub(super) fn quarantine(member: &MemberId) -> String {
    format!("{QUARANTINES}/{member}")
}

/// What the number of a new wish is appended to.
pub(super) fn new_wish() -> String {
    format!("{WISHES}/{WISH}")
}

pub(super) fn wish(wish: WishId) -> String {
    format!("{WISHES}/{WISH}{:010}", wish.0)
}

/// The number of a wish, from its node's name or path.
pub(super) fn wish_id(name: &str) -> Option<WishId> {
    name.rsplit('/').next()?.strip_prefix(WISH)?.parse().ok().map(WishId)
}

const VERSION: &str = "v-";

pub(super) fn live_history(version: u64) -> String {
    format!("{LIVE_HISTORY}/{VERSION}{version:010}")
}

/// The number of a version, from its node's name.
pub(super) fn live_version(name: &str) -> Option<u64> {
    name.strip_prefix(VERSION)?.parse().ok()
}

/// Where a gateway says which version it goes by; its role as others see it.
pub(super) const GATEWAY: &str = "gateway";

pub(super) fn live_in_force(role: &str, name: &str) -> String {
    match role {
        GATEWAY => format!("{GATEWAYS}/{name}"),
        _ => format!("{LIVE_IN_FORCE}/{role}:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_found_by_its_number() {
        let path = wish(WishId(12));
        assert_eq!(path, "/wishes/w-0000000012");
        assert_eq!(wish_id(&path), Some(WishId(12)));
        assert_eq!(wish_id("w-0000000012"), Some(WishId(12)));
        assert_eq!(wish_id("latch"), None);
    }
}
