//! Order per device: a first write that overtook an earlier notification of its token.

use super::histories::{Histories, is_final};
use super::{Confirmed, Evidence, Finding, Report};

/// What the order of one token needs to know of one notification.
struct Step {
    confirmed: u32,
    first_read_ns: u64,
    /// When the first final answer was on its way; `None` if the log shows none.
    final_ns: Option<u64>,
    connection: u32,
}

/// Finds notifications that were first read before an earlier one of their token was, or before its final answer
/// had been sent. Reads that were refused unprocessed count as reads: the sender did write them.
pub(super) fn find_inversions(
    confirmed: &[Confirmed],
    histories: &Histories<'_>,
    by_id: Vec<u32>,
    report: &mut Report,
) {
    let mut cursor = histories.cursor();
    let mut steps: Vec<Step> = Vec::with_capacity(by_id.len());
    for at in by_id {
        let reads = cursor.seek(confirmed[at as usize].id);
        let Some(first) = reads.first().map(|read| histories.row(*read)) else { continue };
        let final_ns = reads
            .iter()
            .map(|read| histories.row(*read))
            .filter(|row| is_final(row) && !row.refused())
            .find_map(crate::log::Row::written_ns);
        let (first_read_ns, connection) = (first.read_ns(), first.connection());
        steps.push(Step { confirmed: at, first_read_ns, final_ns, connection });
    }
    let place = |step: &Step| {
        let confirmed = &confirmed[step.confirmed as usize];
        (confirmed.token, confirmed.sequence)
    };
    steps.sort_unstable_by_key(place);
    for steps in steps.chunk_by(|a, b| place(a).0 == place(b).0) {
        let mut latest: Option<(&Step, u64)> = None;
        for step in steps {
            if let Some((earlier, until_ns)) = latest
                && step.first_read_ns < until_ns
            {
                report.inversions += 1;
                report.add(Finding::Inversion, || evidence(confirmed, step, earlier));
            }
            let until_ns = step.final_ns.unwrap_or(step.first_read_ns).max(step.first_read_ns);
            if latest.is_none_or(|(_, latest)| latest < until_ns) {
                latest = Some((step, until_ns));
            }
        }
    }
}

fn evidence(confirmed: &[Confirmed], step: &Step, earlier: &Step) -> Evidence {
    let (later, earlier_one) = (&confirmed[step.confirmed as usize], &confirmed[earlier.confirmed as usize]);
    let how = if step.first_read_ns < earlier.first_read_ns { "was read" } else { "had its final answer" };
    Evidence {
        id: later.id,
        token: later.token,
        sequence: Some(later.sequence),
        read_ns: Some(step.first_read_ns),
        connection: Some(step.connection),
        what: format!(
            "read before sequence {} {how} (id {}, connection {})",
            earlier_one.sequence,
            crate::log::id_text(earlier_one.id),
            earlier.connection
        ),
    }
}
