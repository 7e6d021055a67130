//! Rows of one fault a round, under one load, after which all is quiet again.

use skein_test_site::{
    load::{Load, Random},
    run::Run,
};

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{Rig, Services},
    takeover::Fault,
};

/// Makes the fault as often as the row has runs, each at an odd moment, and judges the whole. Whom the fault has ended, and it did not start
/// again, is started when the moves have been counted.
pub async fn rounds(
    row: &'static str,
    (quick, full): (u64, u64),
    measure: Measure,
    mut fault: impl AsyncFnMut(&mut Rig, &Load, &mut Random) -> Fault,
) {
    let mut run = Run::new(row, quick, full);
    let mut rig = Rig::start(&row.replace('-', "_"), Services::shared().await, run.seed).await;
    let load = rig.load(run.seed).await;
    let mut faults = Vec::new();
    let mut moves = 0;
    for _ in 0..run.runs {
        rig.flowing(run.random.between(200, 700)).await;
        let before = rig.owners().await;
        faults.push(fault(&mut rig, &load, &mut run.random).await);
        rig.at_rest().await;
        moves += rig.moves_since(&before).await;
        rig.everybody_back().await;
    }
    rig.flowing(500).await;
    judge(rig, &run, load, &faults, measure, moves, Copies::Possible).await;
}
