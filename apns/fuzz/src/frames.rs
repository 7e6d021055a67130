//! The frame parser: however the peer's bytes are split, what comes of them is the same.

use super::machine::{config, request};
use super::script::Script;
use skein_apns::connection::{Answered, Connection, Fault, Lost};
use std::time::Instant;

/// Requests open before the peer speaks.
const REQUESTS: u64 = 8;
/// A SETTINGS frame without entries.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// All that can be seen of a machine that was fed `parts`.
type Seen = (Option<Fault>, Vec<Answered>, Vec<u8>, usize);

fn fed<'a>(now: Instant, parts: impl Iterator<Item = &'a [u8]>) -> Seen {
    let mut machine = Connection::new(config(false), now);
    let mut answers = Vec::new();
    machine.recv(SETTINGS, now, &mut answers).expect("settings");
    for key in 0..REQUESTS {
        machine.send(request(key, 100 * key as usize), now, now).expect("room");
    }
    machine.wrote(machine.outgoing().len());
    let mut fault = None;
    for part in parts {
        if let Err(found) = machine.recv(part, now, &mut answers) {
            fault = Some(found);
            machine.close(Lost::Fault(found), now, &mut answers);
            break;
        }
    }
    let room = machine.room();
    (fault, answers, machine.outgoing().to_vec(), room)
}

/// Feeds the bytes whole, in parts whose sizes the first bytes tell, and one by one.
pub fn check(data: &[u8]) {
    let mut script = Script::new(data);
    let sizes = [script.byte(), script.byte(), script.byte()].map(|size| usize::from(size) + 1);
    let bytes = script.all();
    let now = Instant::now();
    let whole = fed(now, std::iter::once(bytes));
    let mut rest = bytes;
    let parts = sizes.iter().cycle().map_while(|size| {
        let (part, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        (!part.is_empty()).then_some(part)
    });
    assert_eq!(whole, fed(now, parts));
    assert_eq!(whole, fed(now, bytes.chunks(1)));
}
