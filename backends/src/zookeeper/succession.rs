//! Who takes whose place: a node below the predecessor's calls, made and kept by the successor's session, so that the predecessor
//! finds it in its next reading and ends when it owns nothing any more.

use serde::{Deserialize, Serialize};
use skein_core::fleet::Owner;
use skein_core::seam::CoordinatorError;
use zookeeper_client::{CreateMode, Error};

use super::connection::{Session, coordinator_error};
use super::nodes::{Transaction as _, from_json, to_json};
use super::seat::Seat;
use super::tree;

/// What the node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Succession {
    /// Whose place is taken. A later life of the same member is not meant.
    of: Owner,
    /// By whom.
    by: Owner,
}

/// Tells a predecessor, or takes it back; `told` is what it was told in this session.
pub(super) async fn tell(
    session: &Session,
    seat: &Seat,
    told: &mut Option<Owner>,
    of: Option<&Owner>,
) -> Result<(), CoordinatorError> {
    if told.as_ref() == of {
        return Ok(());
    }
    for predecessor in [told.as_ref(), of].into_iter().flatten() {
        // The node may be an earlier session's, and would end with it.
        match session.within(session.client.delete(&tree::successor(&predecessor.member), None)).await? {
            Ok(()) | Err(Error::NoNode) => {}
            Err(error) => return Err(coordinator_error(&error)),
        }
    }
    if let Some(of) = of {
        let path = tree::successor(&of.member);
        let data = to_json(&Succession { of: of.clone(), by: seat.me.clone() })?;
        let mut writer = session.client.new_multi_writer();
        let options = session.creating(&path, CreateMode::Ephemeral);
        writer.add_create(&path, &data, &options).map_err(|e| coordinator_error(&e))?;
        writer.set(&tree::call(&of.member), b"", None)?;
        match session.commit(writer).await? {
            // A member that never was there need not be told.
            Ok(_) | Err(Error::NoNode) => {}
            // Somebody else takes that place, or does at this moment: the plan chooses one of them.
            Err(Error::NodeExists) => {}
            Err(error) => return Err(coordinator_error(&error)),
        }
    }
    *told = of.cloned();
    Ok(())
}

/// Who takes this life's place, as it stands now.
pub(super) async fn read(session: &Session, seat: &Seat) -> Result<Option<Owner>, CoordinatorError> {
    let path = tree::successor(&seat.me.member);
    match session.within(session.client.get_data(&path)).await? {
        Ok((data, _)) => {
            let succession: Succession = from_json(&path, &data)?;
            Ok((succession.of == seat.me).then_some(succession.by))
        }
        Err(Error::NoNode) => Ok(None),
        Err(error) => Err(coordinator_error(&error)),
    }
}
