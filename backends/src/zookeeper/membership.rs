//! A sender's membership: joins, publishes what the sender says of itself, and reads its assignment, for as long as it lives.
//!
//! Level-based: at each event, after each reconnect and every few seconds everything is read again and compared. A watch that loses
//! its event costs time, never truth.

use std::sync::Arc;
use std::time::Duration;

use skein_core::fleet::{Load, Member, Owner, QueueAssignment};
use skein_core::seam::{CoordinatorError, Standing};
use tokio::sync::watch;
use tokio::time::Instant;
use zookeeper_client::{CreateMode, Error, OneshotWatcher};

use super::connection::{Backoff, Link, Session, coordinator_error};
use super::inherit;
use super::nodes::{Node, Transaction as _, from_json, to_json};
use super::seat::Seat;
use super::succession;
use super::tree;

/// How often everything is read again without an event.
const READ_AGAIN: Duration = Duration::from_secs(10);
/// How often what a sender says of itself may be published: what decisions need at once, and its load.
const SAY_EVERY: Duration = Duration::from_millis(50);
const LOAD_EVERY: Duration = Duration::from_secs(1);
/// How often joining is tried again when somebody else changes the node meanwhile.
const TRIES: u32 = 8;

/// Runs until it is dropped or this life is replaced.
pub(super) async fn keep(mut link: watch::Receiver<Link>, seat: Arc<Seat>) {
    let mut joined = Joined::default();
    loop {
        let state = link.borrow_and_update().clone();
        let session = match state {
            Link::Up(session) => session,
            Link::Away(_, why) | Link::Refused(_, why) => {
                seat.away(why);
                if link.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        let mut backoff = Backoff::new(session.options.backoff);
        let served = async {
            loop {
                match serve(&session, &seat, &mut joined, &mut backoff).await {
                    Ok(Replaced) => return,
                    Err(error) => {
                        tell(&error);
                        seat.away(error.to_string());
                        tokio::time::sleep(backoff.next()).await;
                    }
                }
            }
        };
        tokio::select! {
            () = served => return,
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

fn tell(error: &CoordinatorError) {
    match error {
        CoordinatorError::Away(why) => tracing::debug!(%why, "the coordinator does not answer"),
        other => tracing::warn!(error = %other, "this sender cannot join its fleet; what it owns stands"),
    }
}

struct Replaced;

/// What this life has done so far.
#[derive(Debug, Default)]
struct Joined {
    /// It has had its node: whoever has it now is later.
    once: bool,
    /// Whom it has told in this session that it takes its place.
    succeeds: Option<Owner>,
    /// What it said last in this session, its load apart, and when.
    said: Option<Member>,
    said_at: Option<Instant>,
    load: Option<Load>,
    load_at: Option<Instant>,
}

async fn serve(
    session: &Session,
    seat: &Seat,
    joined: &mut Joined,
    backoff: &mut Backoff,
) -> Result<Replaced, CoordinatorError> {
    let mut described = seat.described.subscribe();
    (joined.said, joined.load, joined.succeeds) = (None, None, None);
    // Its load is two writes that nobody waits for, while what it has to claim waits for ZooKeeper's disk.
    joined.load_at = Some(Instant::now());
    // Side by side: each write waits for ZooKeeper's disk.
    let (place, called) = tokio::join!(take_place(session, seat, joined), make_call(session, seat));
    called?;
    let Some(watcher) = place? else { return Ok(Replaced) };
    let mut place = Box::pin(watcher.changed());
    let mut call = Box::pin(read(session, seat).await?.changed());
    let mut again = tokio::time::interval_at(Instant::now() + READ_AGAIN, READ_AGAIN);
    seat.stand(Standing::Joined);
    *backoff = Backoff::new(session.options.backoff);
    loop {
        let member = described.borrow_and_update().clone();
        let due = publish(session, seat, joined, &member).await?;
        let (placed, called) = tokio::select! {
            _ = &mut place => (true, false),
            _ = &mut call => (false, true),
            _ = again.tick() => (true, true),
            Ok(()) = described.changed() => (false, false),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => (false, false),
        };
        if placed {
            let Some(watcher) = take_place(session, seat, joined).await? else { return Ok(Replaced) };
            place = Box::pin(watcher.changed());
        }
        if called {
            call = Box::pin(read(session, seat).await?.changed());
        }
    }
}

/// Makes sure that others can call this member. That it is there already is looked at first, which no disk takes part in.
async fn make_call(session: &Session, seat: &Seat) -> Result<(), CoordinatorError> {
    let call = tree::call(&seat.me.member);
    if session.ask(session.client.check_stat(&call)).await?.is_some() {
        return Ok(());
    }
    session.make(&call, b"", &session.creating(&call, CreateMode::Persistent)).await
}

/// Makes sure that this life's node stands, by this session; `None` if a later life has its place. The watch tells when it changes.
async fn take_place(
    session: &Session,
    seat: &Seat,
    joined: &mut Joined,
) -> Result<Option<OneshotWatcher>, CoordinatorError> {
    let path = tree::member(&seat.me.member);
    for _ in 0..TRIES {
        // A server that is behind would show a node that is gone, or none where one is.
        let synced = session.client.sync(&path);
        let read = session.client.get_and_watch_data(&path);
        let inherited =
            async { if joined.once { Ok(Vec::new()) } else { inherit::claims(session, seat).await } };
        // Sent together, answered in order.
        let (synced, read, claims) = tokio::join!(session.ask(synced), session.within(read), inherited);
        synced?;
        let claims = claims?;
        let there = match read? {
            Ok(node) => Some(node),
            Err(Error::NoNode) => None,
            Err(error) => return Err(coordinator_error(&error)),
        };
        let mut writer = session.client.new_multi_writer();
        if let Some((data, stat, watcher)) = there {
            // A record that can't be read is nobody's life that counts.
            let life = from_json::<Member>(&path, &data).ok().map(|member| member.incarnation);
            let mine = life == Some(seat.me.incarnation);
            if mine && stat.ephemeral_owner == session.client.session_id().0 {
                joined.once = true;
                return Ok(Some(watcher));
            }
            if let Some(other) = life.filter(|_| joined.once && !mine) {
                seat.replaced_by(other);
                tracing::error!(member = %seat.me.member, "a later process with the same member id has taken this one's place; it owns nothing any more and should end");
                return Ok(None);
            }
            writer.add_delete(&path, Some(stat.version)).map_err(|e| coordinator_error(&e))?;
        }
        let member = Member { load: Load::default(), ..seat.described.borrow().clone() };
        let ephemeral = session.creating(&path, CreateMode::Ephemeral);
        writer.add_create(&path, &to_json(&member)?, &ephemeral).map_err(|e| coordinator_error(&e))?;
        writer.set(tree::BELL, b"", None)?;
        inherit::add(&mut writer, &claims)?;
        match session.commit(writer).await? {
            Ok(results) => {
                inherit::granted(seat, claims, &results);
                joined.once = true;
                joined.said = Some(member);
                joined.load = None;
            }
            Err(Error::NodeExists | Error::BadVersion) => {}
            // The node was gone when it was to be deleted; or the tree is not there, which the next round's answer tells.
            Err(Error::NoNode) if session.latest(tree::BELL).await?.is_some() => {}
            Err(error) => return Err(coordinator_error(&error)),
        }
    }
    Err(CoordinatorError::Away("the member's node changes all the time".to_owned()))
}

/// Gives the place up, if this life has it.
pub(super) async fn leave(session: &Session, seat: &Seat) -> Result<(), CoordinatorError> {
    let path = tree::member(&seat.me.member);
    let Some((data, stat)) = session.latest(&path).await? else { return Ok(()) };
    if from_json::<Member>(&path, &data)?.incarnation != seat.me.incarnation {
        return Ok(());
    }
    let mut writer = session.client.new_multi_writer();
    writer.add_delete(&path, Some(stat.version)).map_err(|e| coordinator_error(&e))?;
    writer.set(tree::BELL, b"", None)?;
    session.commit(writer).await?.map(drop).map_err(|e| coordinator_error(&e))
}

/// Reads every queue's record, after the watch is set that tells of the next change of one of its own.
async fn read(session: &Session, seat: &Seat) -> Result<OneshotWatcher, CoordinatorError> {
    let path = tree::call(&seat.me.member);
    // All is asked together and answered in order; only queues that are new to this sender need a second question.
    let known: Vec<String> = seat.known().iter().map(tree::queue).collect();
    let synced = session.client.sync(&path);
    let watch = session.client.get_and_watch_data(&path);
    let (synced, watch, names, nodes, successor) = tokio::join!(
        session.ask(synced),
        session.ask(watch),
        session.children(tree::QUEUES),
        session.read_all(&known),
        succession::read(session, seat)
    );
    synced?;
    let (_, _, call) = watch?;
    let mut nodes: Vec<(String, Node)> = there(known, nodes?).collect();
    let mut unknown: Vec<String> = names?.iter().map(|name| format!("{}/{name}", tree::QUEUES)).collect();
    unknown.retain(|path| nodes.iter().all(|(known, _)| known != path));
    let more = session.read_all(&unknown).await?;
    nodes.extend(there(unknown, more));
    let mut records = Vec::with_capacity(nodes.len());
    for (path, (data, stat)) in nodes {
        match from_json::<QueueAssignment>(&path, &data) {
            Ok(assignment) => records.push((assignment, stat.mzxid)),
            Err(error) => {
                tracing::error!(%error, "a queue's record is left out; what was known of it stands")
            }
        }
    }
    seat.learn(records);
    // Behind what it owns: who is succeeded and owns nothing any more is to end.
    seat.succeeded_by(successor?);
    Ok(call)
}

fn there(paths: Vec<String>, nodes: Vec<Option<Node>>) -> impl Iterator<Item = (String, Node)> {
    paths.into_iter().zip(nodes).filter_map(|(path, node)| Some((path, node?)))
}

/// Publishes what differs from what was said last; says when the rest may follow.
async fn publish(
    session: &Session,
    seat: &Seat,
    joined: &mut Joined,
    member: &Member,
) -> Result<Option<Instant>, CoordinatorError> {
    let now = Instant::now();
    let next = |said: Option<Instant>, every| said.map(|said| said + every).filter(|due| *due > now);
    let rest = Member { load: Load::default(), ..member.clone() };
    let mut due = None;
    if joined.said.as_ref() != Some(&rest) {
        due = next(joined.said_at, SAY_EVERY);
        if due.is_none() {
            let mut writer = session.client.new_multi_writer();
            writer.set(&tree::member(&seat.me.member), &to_json(&rest)?, None)?;
            writer.set(tree::BELL, b"", None)?;
            // Whoever deleted the node has been told by its watch, or will be.
            let gone = |_| CoordinatorError::Away("the member's node is gone".to_owned());
            session.commit(writer).await?.map_err(gone)?;
            joined.said = Some(rest);
            joined.said_at = Some(now);
        }
    }
    succession::tell(session, seat, &mut joined.succeeds, member.succeeds.as_ref()).await?;
    if joined.load != Some(member.load) {
        let load_due = next(joined.load_at, LOAD_EVERY);
        if load_due.is_none() {
            publish_load(session, seat, joined.load.is_none(), &member.load).await?;
            joined.load = Some(member.load);
            joined.load_at = Some(now);
        }
        due = due.into_iter().chain(load_due).min();
    }
    Ok(due)
}

/// `first`: the node may be an earlier session's, and would end with it.
async fn publish_load(
    session: &Session,
    seat: &Seat,
    first: bool,
    load: &Load,
) -> Result<(), CoordinatorError> {
    let (path, data) = (tree::load(&seat.me.member), to_json(load)?);
    if first {
        match session.within(session.client.delete(&path, None)).await? {
            Ok(()) | Err(Error::NoNode) => {}
            Err(error) => return Err(coordinator_error(&error)),
        }
        return session.make(&path, &data, &session.creating(&path, CreateMode::Ephemeral)).await;
    }
    session.ask(session.client.set_data(&path, &data, None)).await.map(drop)
}
