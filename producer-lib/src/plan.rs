//! Which notifications go out in one message: those that share their content, without changing the order of any token.

use std::sync::Arc;

use hashbrown::HashMap;
use skein_core::slot::token_hash;
use skein_core::wire::{BATCH_ITEMS_MAX, BODY_BYTES_MAX};
use skein_core::{Content, Notification};

/// How many of the latest groups are compared by value, where the content is no shared one.
const GROUPS_COMPARED_MAX: usize = 4;
/// The most that a batch's own fields add around its content and items, in bytes.
const BATCH_FRAME_BYTES: usize = 1024;
/// The most that an item's id and the keys of id and token take, in bytes.
const ITEM_FRAME_BYTES: usize = 64;
/// The most that a generation takes.
const GENERATION_BYTES: usize = 20;
/// What a `traceparent` takes.
const TRACE_BYTES: usize = 80;
/// The most that a badge takes.
const BADGE_BYTES: usize = 30;

/// What goes out in one message.
#[derive(Default)]
pub(crate) struct Group {
    /// With one content, in the order submitted; one or more.
    pub(crate) notifications: Vec<Notification>,
    /// Where each stood in the submission.
    pub(crate) places: Vec<u32>,
    /// The hash of each one's device token.
    pub(crate) hashes: Vec<u64>,
    bytes: usize,
}

/// Groups a submission. Groups go out in their order; of one token, earlier notifications are in earlier groups or earlier
/// in the same one.
pub(crate) fn plan(notifications: Vec<Notification>) -> Vec<Group> {
    let mut planned = Planned::default();
    for (place, notification) in notifications.into_iter().enumerate() {
        planned.add(u32::try_from(place).unwrap_or(u32::MAX), notification);
    }
    planned.groups
}

#[derive(Default)]
struct Planned {
    groups: Vec<Group>,
    /// Where a shared content went last.
    group_of: HashMap<*const Content, usize>,
    /// The last group of each token: made only when something would go into another group than the last one.
    last_of: Option<HashMap<u64, usize>>,
}

impl Planned {
    fn add(&mut self, place: u32, notification: Notification) {
        let pointer = Arc::as_ptr(&notification.content);
        let (hash, bytes) = (token_hash(&notification.token), item_bytes(&notification));
        let at = match self.find(pointer, &notification) {
            Some(at) if self.groups[at].fits(bytes) && self.keeps_order(at, hash) => at,
            _ => {
                let content = notification.content.payload.len() + content_bytes(&notification);
                self.groups.push(Group { bytes: BATCH_FRAME_BYTES + content, ..Group::default() });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[at];
        if group.notifications.last().is_none_or(|last| Arc::as_ptr(&last.content) != pointer) {
            self.group_of.insert(pointer, at);
        }
        if let Some(last_of) = &mut self.last_of {
            last_of.insert(hash, at);
        }
        group.bytes += bytes;
        group.places.push(place);
        group.hashes.push(hash);
        group.notifications.push(notification);
    }

    /// The latest group with this content.
    fn find(&self, pointer: *const Content, notification: &Notification) -> Option<usize> {
        let last = self.groups.len().checked_sub(1)?;
        let same = |at: &usize| Arc::as_ptr(&self.groups[*at].notifications[0].content) == pointer;
        let equal = |at: &usize| self.groups[*at].notifications[0].content == notification.content;
        Some(last).filter(same).or_else(|| self.group_of.get(&pointer).copied()).or_else(|| {
            (self.groups.len().saturating_sub(GROUPS_COMPARED_MAX)..self.groups.len()).rev().find(equal)
        })
    }

    /// Whether no later group than this one holds something of the token.
    fn keeps_order(&mut self, at: usize, hash: u64) -> bool {
        if at + 1 == self.groups.len() {
            return true;
        }
        let last_of = self.last_of.get_or_insert_with(|| {
            let hashes =
                |(at, group): (usize, &Group)| group.hashes.iter().map(|h| (*h, at)).collect::<Vec<_>>();
            self.groups.iter().enumerate().flat_map(hashes).collect()
        });
        last_of.get(&hash).is_none_or(|last| *last <= at)
    }
}

impl Group {
    fn fits(&self, bytes: usize) -> bool {
        self.notifications.len() < BATCH_ITEMS_MAX && self.bytes + bytes <= BODY_BYTES_MAX
    }
}

/// A text's longest form in JSON: each of its bytes escaped.
fn text_bytes(text: Option<&str>) -> usize {
    text.map_or(0, |t| {
        16 + t.len() * if t.bytes().any(|b| b == b'"' || b == b'\\' || b < 0x20) { 6 } else { 1 }
    })
}

fn item_bytes(n: &Notification) -> usize {
    let generation = if n.generation > 0 { GENERATION_BYTES } else { 0 };
    let badge = if n.badge.is_some() { BADGE_BYTES } else { 0 };
    ITEM_FRAME_BYTES + 2 * n.token.as_bytes().len() + text_bytes(n.user.as_deref()) + generation + badge
}

fn content_bytes(n: &Notification) -> usize {
    let c = &n.content;
    let collapse = c.collapse_id.as_ref().map(|id| id.as_str());
    let texts = [Some(&*c.topic), c.app.as_deref(), c.reference.as_deref(), collapse];
    texts.into_iter().map(text_bytes).sum::<usize>() + c.trace.map_or(0, |_| TRACE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_core::wire::encode_batch;
    use skein_core::{NotificationId, aps::Payload, notification::Draft};

    fn content(text: &str, tokens: &[&str]) -> Vec<Notification> {
        let devices = tokens.iter().map(|t| ((*t).to_owned(), None));
        Draft::new("", "com.example.im")
            .payload(&Payload::alert("a", text))
            .build_for(devices, NotificationId::now().at())
            .unwrap()
    }

    fn shape(notifications: Vec<Notification>) -> Vec<Vec<u32>> {
        plan(notifications).into_iter().map(|g| g.places).collect()
    }

    #[test]
    fn a_group_message_is_one_message() {
        assert_eq!(shape(content("hi", &["aa", "bb", "cc"])), [[0, 1, 2]]);
    }

    #[test]
    fn interleaved_contents_keep_each_tokens_order() {
        let (first, second) = (content("1", &["aa", "bb", "aa"]), content("2", &["aa", "bb"]));
        let [a1, b1, a3] = <[_; 3]>::try_from(first).unwrap();
        let [a2, b2] = <[_; 2]>::try_from(second).unwrap();
        let planned = shape(vec![a1, a2, b1, b2, a3]);
        assert_eq!(planned, [vec![0, 2], vec![1, 3], vec![4]], "P2: a3 must not join the first group");
    }

    #[test]
    fn equal_contents_join_though_not_shared() {
        let mut all = content("same", &["aa"]);
        let mut again = all[0].clone();
        again.content = Arc::new((*again.content).clone());
        all.push(again);
        assert_eq!(shape(all), [[0, 1]]);
    }

    #[test]
    fn bounds_hold_in_items_and_in_bytes() {
        let tokens: Vec<String> = (0..2500_u32).map(|n| format!("{n:08x}")).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let long = "x".repeat(3900);
        for (text, heavy) in [("short", false), (&long, false), ("short", true)] {
            let mut notifications = content(text, &tokens);
            for n in notifications.iter_mut().filter(|_| heavy) {
                n.generation = u16::MAX;
                n.badge = Some(skein_core::Badge::Add(u32::MAX));
                n.user = Some("\"u\\".repeat(80).into());
            }
            let groups = plan(notifications);
            assert_eq!(groups.iter().map(|g| g.places.len()).sum::<usize>(), 2500);
            for group in groups {
                assert!(group.notifications.len() <= BATCH_ITEMS_MAX, "P8");
                assert!(encode_batch(&group.notifications).unwrap().len() <= BODY_BYTES_MAX, "P8");
            }
        }
    }
}
