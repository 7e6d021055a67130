//! Who may do what to which node: four users of the scheme `digest` beside the administrator's, and the list of rights of every
//! node. The users' digests (never a password) stand in the node `/rights`, so that whoever makes a node can give it its list.
//!
//! A tree without that node is as it was made: its maker's alone, or anybody's where there is no login.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::{Deserialize, Serialize};
use zookeeper_client::{Acl, Acls, AuthId, Permission};

use super::tree;

const SCHEME: &str = "digest";

/// A user of ZooKeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZooKeeperRole {
    /// `skein run sender`.
    Sender,
    /// `skein run monitor`.
    Monitor,
    /// `skein queue …`, `skein sender …`.
    Operator,
    /// `skein run gateway`.
    Gateway,
}

impl ZooKeeperRole {
    /// Each.
    pub const ALL: [Self; 4] = [Self::Sender, Self::Monitor, Self::Operator, Self::Gateway];

    /// The word in names of users and files.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Monitor => "monitor",
            Self::Operator => "operator",
            Self::Gateway => "gateway",
        }
    }
}

/// The name of a user as a list of rights has it: `user:base64(sha1(user:password))`, as ZooKeeper's own
/// `DigestAuthenticationProvider` makes it.
pub fn digest_of(user: &str, password: &str) -> String {
    let whole = zeroize::Zeroizing::new(format!("{user}:{password}"));
    // ZooKeeper knows no better digest; the passwords are 256 random bits, which no search finds.
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, whole.as_bytes());
    format!("{user}:{}", base64(hash.as_ref()))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut whole = [0; 3];
        whole[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, whole[0], whole[1], whole[2]]);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The users of a tree, and the lists of rights that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    users: Users,
    lists: BTreeMap<Kind, Vec<Acl>>,
}

/// What the node `/rights` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Users {
    admin: String,
    /// All but the gateway: processes of a version that knows none read this, too.
    roles: BTreeMap<ZooKeeperRole, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

impl Users {
    fn of(&self, role: ZooKeeperRole) -> Option<&String> {
        match role {
            ZooKeeperRole::Gateway => self.gateway.as_ref(),
            _ => self.roles.get(&role),
        }
    }
}

/// Nodes with the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Root,
    Rights,
    Members,
    Member,
    Calls,
    Call,
    Queues,
    Queue,
    Wishes,
    Wish,
    Quarantines,
    Quarantine,
    Policy,
    Monitors,
    Monitor,
    Bell,
    Live,
    LiveHistory,
    LiveVersion,
    LiveInForce,
    LiveWord,
    Gateways,
    Gateway,
    /// A node that a later version adds: read by all roles, written by the administrator until it has a row here.
    Other,
}

const KINDS: [Kind; 24] = [
    Kind::Root,
    Kind::Rights,
    Kind::Members,
    Kind::Member,
    Kind::Calls,
    Kind::Call,
    Kind::Queues,
    Kind::Queue,
    Kind::Wishes,
    Kind::Wish,
    Kind::Quarantines,
    Kind::Quarantine,
    Kind::Policy,
    Kind::Monitors,
    Kind::Monitor,
    Kind::Bell,
    Kind::Live,
    Kind::LiveHistory,
    Kind::LiveVersion,
    Kind::LiveInForce,
    Kind::LiveWord,
    Kind::Gateways,
    Kind::Gateway,
    Kind::Other,
];

impl Kind {
    fn of(path: &str) -> Self {
        let below = |parent: &str| path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'));
        match path {
            "" | "/" => Self::Root,
            tree::RIGHTS => Self::Rights,
            tree::MEMBERS | tree::LOADS => Self::Members,
            tree::CALLS => Self::Calls,
            tree::QUEUES => Self::Queues,
            tree::WISHES => Self::Wishes,
            tree::QUARANTINES => Self::Quarantines,
            tree::POLICY => Self::Policy,
            tree::MONITORS => Self::Monitors,
            tree::BELL => Self::Bell,
            tree::LIVE => Self::Live,
            tree::LIVE_HISTORY => Self::LiveHistory,
            tree::LIVE_IN_FORCE => Self::LiveInForce,
            tree::GATEWAYS => Self::Gateways,
            _ if below(tree::MEMBERS) || below(tree::LOADS) => Self::Member,
            _ if below(tree::CALLS) => Self::Call,
            _ if below(tree::QUEUES) => Self::Queue,
            _ if below(tree::WISHES) => Self::Wish,
            _ if below(tree::QUARANTINES) => Self::Quarantine,
            _ if below(tree::MONITORS) => Self::Monitor,
            _ if below(tree::LIVE_HISTORY) => Self::LiveVersion,
            _ if below(tree::LIVE_IN_FORCE) => Self::LiveWord,
            _ if below(tree::GATEWAYS) => Self::Gateway,
            _ => Self::Other,
        }
    }

    /// The rights of sender, monitor, operator and gateway: `r`ead, `w`rite, `c`reate and `d`elete children.
    const fn letters(self) -> [&'static str; 4] {
        match self {
            Self::Root => ["", "", "", ""],
            Self::Rights => ["r", "r", "r", "r"],
            Self::Other => ["r", "r", "r", ""],
            Self::Members => ["rcd", "r", "r", ""],
            Self::Member => ["rw", "r", "r", ""],
            // Made by whoever comes first; changed by the leader and by senders that hand a queue over, watched by its sender, which
            // finds its successor below it.
            Self::Calls => ["rc", "rc", "", ""],
            Self::Call => ["rwcd", "rw", "", ""],
            Self::Queues => ["r", "rc", "r", ""],
            // A sender says on its own queue that it is settled, released, claimed again.
            Self::Queue => ["rw", "rw", "r", ""],
            Self::Wishes => ["", "rd", "rc", ""],
            Self::Wish => ["", "r", "r", ""],
            Self::Quarantines => ["", "r", "rcd", ""],
            Self::Quarantine => ["", "r", "rw", ""],
            Self::Policy => ["", "rw", "r", ""],
            Self::Monitors => ["", "rcd", "r", ""],
            Self::Monitor => ["", "rw", "r", ""],
            Self::Bell => ["rw", "rw", "rw", ""],
            // Written by operators alone: who could write them could name another credential.
            Self::Live => ["r", "r", "rw", "r"],
            Self::LiveHistory => ["", "", "rcd", ""],
            Self::LiveVersion => ["", "", "r", ""],
            Self::LiveInForce => ["rcd", "rcd", "r", ""],
            Self::LiveWord => ["rw", "rw", "r", ""],
            // The front door is told, and says what it goes by, to operators alone.
            Self::Gateways => ["", "", "r", "cd"],
            Self::Gateway => ["", "", "r", "w"],
        }
    }
}

impl Rights {
    /// For an administrator and the users of the roles, each as [`digest_of`] names it.
    pub fn new(admin: String, mut roles: BTreeMap<ZooKeeperRole, String>) -> Self {
        let gateway = roles.remove(&ZooKeeperRole::Gateway);
        Self::of(Users { admin, roles, gateway })
    }

    pub(super) fn of(users: Users) -> Self {
        let lists = KINDS.into_iter().map(|kind| (kind, list(kind, &users))).collect();
        Self { users, lists }
    }

    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    /// What a node's list of rights must be.
    pub(super) fn acls(&self, path: &str) -> Acls<'_> {
        match self.lists.get(&Kind::of(path)) {
            Some(list) => Acls::new(list),
            None => Acls::creator_all(),
        }
    }

    /// Whether a node has exactly that list.
    pub(super) fn are(&self, path: &str, found: &[Acl]) -> bool {
        let wanted = self.acls(path);
        let text = |acl: &Acl| (acl.scheme().to_owned(), acl.id().to_owned(), acl.permission().to_string());
        let sorted = |acls: &[Acl]| {
            let mut all: Vec<_> = acls.iter().map(text).collect();
            all.sort();
            all
        };
        sorted(&wanted) == sorted(found)
    }
}

fn list(kind: Kind, users: &Users) -> Vec<Acl> {
    let admin = Acl::new(Permission::ALL, AuthId::new(SCHEME, &users.admin));
    let roles = ZooKeeperRole::ALL.into_iter().zip(kind.letters());
    let others = roles.filter_map(|(role, letters)| {
        let user = users.of(role).filter(|user| **user != users.admin)?;
        (!letters.is_empty()).then(|| Acl::new(permission(letters), AuthId::new(SCHEME, user)))
    });
    std::iter::once(admin).chain(others).collect()
}

fn permission(letters: &str) -> Permission {
    letters.chars().fold(Permission::NONE, |all, letter| {
        all | match letter {
            'r' => Permission::READ,
            'w' => Permission::WRITE,
            'c' => Permission::CREATE,
            'd' => Permission::DELETE,
            _ => Permission::NONE,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of ZooKeeper's own manual and of `DigestAuthenticationProvider`.
    #[test]
    fn a_digest_is_zookeepers_own() {
        assert_eq!(digest_of("super", "superpw"), "super:g9oN2HttPfn8MMWJZ2r45Np/LIA=");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"abc"), "YWJj");
    }

    fn rights() -> Rights {
        let roles = ZooKeeperRole::ALL.map(|role| (role, format!("{}:x", role.label())));
        Rights::new("admin:x".to_owned(), roles.into())
    }

    fn may(path: &str, user: &str) -> String {
        let rights = rights();
        let list = rights.acls(path);
        list.iter().find(|acl| acl.id() == user).map_or_else(String::new, |acl| acl.permission().to_string())
    }

    #[test]
    fn nobody_but_the_administrator_changes_rights() {
        for path in tree::ALL.iter().copied().chain(["/", "/queues/im.q0", "/members/a", "/later/x"]) {
            let rights = rights();
            for acl in rights.acls(path).iter() {
                assert_eq!(acl.scheme(), "digest", "{path}: nothing is anybody's");
                assert_eq!(acl.permission().has(Permission::ADMIN), acl.id() == "admin:x", "{path}");
            }
        }
    }

    #[test]
    fn each_role_has_what_it_does() {
        assert_eq!(may("/queues/im.q0", "sender:x"), "READ|WRITE");
        assert_eq!(may("/queues", "sender:x"), "READ");
        assert_eq!(may("/policy", "sender:x"), "");
        assert_eq!(may("/monitors", "sender:x"), "");
        assert_eq!(may("/members/a", "monitor:x"), "READ");
        assert_eq!(may("/wishes", "operator:x"), "READ|CREATE");
        assert_eq!(may("/queues/im.q0", "operator:x"), "READ");
        assert_eq!(may("/live", "sender:x"), "READ", "a sender is told, it does not tell");
        assert_eq!(may("/live", "operator:x"), "READ|WRITE");
        assert_eq!(may("/live-history/v-0000000001", "monitor:x"), "");
    }

    /// P9: the front door is nearest to strangers.
    #[test]
    fn a_gateway_is_told_what_is_live_and_says_what_it_goes_by() {
        for (path, rights) in
            [("/live", "READ"), ("/rights", "READ"), ("/gateways", "CREATE|DELETE"), ("/gateways/a", "WRITE")]
        {
            assert_eq!(may(path, "gateway:x"), rights, "{path}");
        }
        for path in tree::ALL.iter().copied().filter(|path| ![tree::LIVE, tree::GATEWAYS].contains(path)) {
            for path in [path.to_owned(), format!("{path}/x")] {
                assert_eq!(may(&path, "gateway:x"), "", "{path}");
            }
        }
        assert_eq!(may("/gateways/a", "sender:x"), "");
        assert_eq!(may("/later", "gateway:x"), "");
    }

    /// A fleet is upgraded process by process: whoever knows no gateway reads the users all the same.
    #[test]
    fn an_older_version_reads_the_users() {
        #[derive(Deserialize)]
        struct Older {
            roles: BTreeMap<String, String>,
        }
        let users = serde_json::to_string(rights().users()).expect("JSON");
        let older: Older = serde_json::from_str(&users).expect("read");
        assert_eq!(older.roles.keys().collect::<Vec<_>>(), ["monitor", "operator", "sender"]);
        let before = users.replace(",\"gateway\":\"gateway:x\"", "");
        assert_ne!(before, users);
        let before: Users = serde_json::from_str(&before).expect("those of an older version");
        assert_eq!(Rights::of(before).acls("/live").len(), rights().acls("/live").len() - 1);
    }

    #[test]
    fn a_list_is_compared_without_its_order() {
        let rights = rights();
        let mut list = rights.acls("/bell").to_vec();
        list.reverse();
        assert!(rights.are("/bell", &list));
        list.pop();
        assert!(!rights.are("/bell", &list));
    }
}
