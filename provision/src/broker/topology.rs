//! Exchanges, queues and bindings as the broker lists them, compared with what each pool must have.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};
use skein_backends::rabbitmq::{DEAD_QUEUE, FACTS_QUEUE, FEEDBACK_EXCHANGE, pool_mark};
use skein_core::{QueueName, Slot, SlotMap};

use super::api::{Api, encoded};
use super::{BrokerDeed, step};
use crate::ProvisionError;
use crate::role::{Cluster, EVENTS, Pool};
use crate::step::{Kind, Step};

/// What a policy must not say of a queue: each loses or reorders, whoever set it.
const HARMFUL: [&str; 6] =
    ["message-ttl", "expires", "delivery-limit", "max-length", "dead-letter-exchange", "max-in-memory-bytes"];

#[derive(Deserialize)]
struct QueueRow {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    // An empty list where there is none, an object where there is one.
    #[serde(default)]
    effective_policy_definition: Value,
}

#[derive(Deserialize)]
struct ExchangeRow {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct BindingRow {
    destination: String,
    routing_key: String,
}

/// What is there.
struct Found {
    queues: BTreeMap<String, QueueRow>,
    exchanges: BTreeMap<String, String>,
}

/// `fresh`: the virtual host is not there yet.
pub(super) async fn look(
    api: &Api,
    cluster: &Cluster,
    fresh: bool,
) -> Result<Vec<(Step, BrokerDeed)>, ProvisionError> {
    let vhost = encoded(&cluster.vhost);
    let mut found = Found { queues: BTreeMap::new(), exchanges: BTreeMap::new() };
    if !fresh {
        let columns = "columns=name,arguments,effective_policy_definition";
        let queues: Vec<QueueRow> = api.get(&format!("queues/{vhost}?{columns}")).await?.unwrap_or_default();
        let exchanges: Vec<ExchangeRow> =
            api.get(&format!("exchanges/{vhost}?columns=name,type")).await?.unwrap_or_default();
        found.queues = queues.into_iter().map(|row| (row.name.clone(), row)).collect();
        found.exchanges = exchanges.into_iter().map(|row| (row.name, row.kind)).collect();
    }
    let mut steps = Vec::new();
    let mut bound = BTreeSet::new();
    for queue in [DEAD_QUEUE, FACTS_QUEUE] {
        if found.exchanges.contains_key(queue) {
            let path = format!("exchanges/{vhost}/{}/bindings/source", encoded(queue));
            let bindings: Vec<BindingRow> = api.get(&path).await?.unwrap_or_default();
            if bindings.iter().any(|row| row.destination == queue) {
                bound.insert(queue);
            }
        }
    }
    shared(cluster, &found, &bound, &mut steps);
    for (number, pool) in cluster.pools.iter().enumerate() {
        let exchange = pool.name.exchange();
        let path = format!("exchanges/{vhost}/{}/bindings/source", encoded(&exchange));
        let there = found.exchanges.contains_key(&exchange);
        let bindings: Option<Vec<BindingRow>> = if there { api.get(&path).await? } else { None };
        of_pool(cluster, number, pool, &found, &bindings.unwrap_or_default(), &mut steps);
    }
    let events = format!("exchanges/{}/{EVENTS}", encoded(&cluster.events_vhost));
    if api.get::<Value>(&events).await?.is_none() {
        let what = format!("exchange {EVENTS} in virtual host {}", cluster.events_vhost);
        let how = "missing: without it a dead sender is noticed by its session alone; enable the plugin \
                   rabbitmq_event_exchange, or correct monitor.events_vhost";
        steps.push((step(Kind::Trouble, what, how), BrokerDeed::Nothing));
    }
    Ok(steps)
}

/// `bound`: the queues that the exchange of their name leads to.
fn shared(cluster: &Cluster, found: &Found, bound: &BTreeSet<&str>, steps: &mut Vec<(Step, BrokerDeed)>) {
    let mut missing = Vec::new();
    for queue in [DEAD_QUEUE, FACTS_QUEUE] {
        match found.queues.get(queue) {
            Some(row) => troubles(row, cluster.queue_bytes_max, steps),
            None => missing.push(queue),
        }
    }
    for (exchange, kind) in [(DEAD_QUEUE, "fanout"), (FACTS_QUEUE, "fanout"), (FEEDBACK_EXCHANGE, "topic")] {
        match found.exchanges.get(exchange) {
            Some(found) if found == kind => {}
            Some(_) => steps.push(wrong_kind(exchange, kind)),
            None => missing.push(exchange),
        }
    }
    let unbound = [DEAD_QUEUE, FACTS_QUEUE].into_iter().filter(|queue| !bound.contains(queue));
    let mut named: Vec<String> = missing.iter().map(|name| (*name).to_owned()).collect();
    named.extend(unbound.filter(|queue| !missing.contains(queue)).map(|queue| format!("binding of {queue}")));
    if !named.is_empty() {
        let what = "queues of dead letters and facts, exchange of token events";
        steps.push((step(Kind::Make, what, named.join(", ")), BrokerDeed::Shared));
    }
}

fn of_pool(
    cluster: &Cluster,
    number: usize,
    pool: &Pool,
    found: &Found,
    bindings: &[BindingRow],
    steps: &mut Vec<(Step, BrokerDeed)>,
) {
    let name = |number: u16| QueueName { pool: pool.name.clone(), number }.on_broker();
    let exchange = pool.name.exchange();
    if found.exchanges.get(&exchange).is_some_and(|kind| kind != "direct") {
        steps.push(wrong_kind(&exchange, "direct"));
        return;
    }
    let wanted: BTreeSet<String> = (0..pool.queues).map(name).collect();
    let of_pool = |queue: &&String| {
        let number = queue.strip_prefix(&format!("{exchange}.q"));
        number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    };
    let there: BTreeSet<&String> = found.queues.keys().filter(of_pool).collect();
    let missing: Vec<&str> =
        wanted.iter().filter(|queue| !there.contains(queue)).map(String::as_str).collect();
    // A hole was deleted by hand; where the first or last is missing, the pool may have been made with another number.
    let is_hole = there.iter().all(|queue| wanted.contains(*queue))
        && [0, pool.queues - 1].into_iter().all(|end| there.contains(&name(end)));
    if !there.is_empty() && there.len() != wanted.len() && !is_hole {
        let which =
            if missing.is_empty() { String::new() } else { format!("; missing: {}", missing.join(", ")) };
        let how = format!(
            "{} are there, and their number cannot change while the pool is in use; set the number it has, or drain the pool and \
             delete its queues{which}",
            there.len()
        );
        let what = format!("pool {}: {} queues", pool.name, pool.queues);
        steps.push((step(Kind::Trouble, what, how), BrokerDeed::Nothing));
        return;
    }
    for queue in &there {
        troubles(&found.queues[*queue], cluster.queue_bytes_max, steps);
    }
    let map = SlotMap::even(pool.queues);
    let bound: BTreeSet<(&str, &str)> =
        bindings.iter().map(|row| (row.routing_key.as_str(), row.destination.as_str())).collect();
    let right: BTreeSet<(String, String)> =
        Slot::all().map(|slot| (slot.number().to_string(), name(map.queue(slot)))).collect();
    // What a sender looks at in place of every binding.
    let marked = found.exchanges.contains_key(&pool_mark(&pool.name, pool.queues));
    let unbound = right.iter().filter(|(key, queue)| !bound.contains(&(key, queue))).count();
    let foreign = bound.iter().filter(|(k, q)| !right.contains(&((*k).to_owned(), (*q).to_owned()))).count();
    if foreign > 0 {
        let what = format!("pool {}: {foreign} bindings too many", pool.name);
        let how = "a slot that is bound twice is sent twice; find who declared them, and unbind them";
        steps.push((step(Kind::Trouble, what, how), BrokerDeed::Nothing));
    }
    if unbound > 0 || there.len() < wanted.len() || !marked {
        let what = format!("pool {}: exchange {exchange}, {} queues", pool.name, pool.queues);
        let queues = if there.is_empty() || missing.is_empty() {
            String::new()
        } else {
            format!("queues to declare: {}; ", missing.join(", "))
        };
        let how = format!("{queues}{unbound} of {} slots to bind", right.len());
        steps.push((step(Kind::Make, what, how), BrokerDeed::Pool(number)));
    }
}

fn wrong_kind(exchange: &str, kind: &str) -> (Step, BrokerDeed) {
    let how = format!("must be of kind {kind}; delete it and run this again");
    (step(Kind::Trouble, format!("exchange {exchange}"), how), BrokerDeed::Nothing)
}

/// What cannot be changed in a queue that is there.
fn troubles(row: &QueueRow, queue_bytes_max: u64, steps: &mut Vec<(Step, BrokerDeed)>) {
    let has = |key: &str, wanted: &Value| row.arguments.get(key) == Some(wanted);
    let limit = row.arguments.get("x-delivery-limit").and_then(Value::as_i64).unwrap_or(-1);
    let why = if !has("x-queue-type", &"quorum".into()) || !has("x-single-active-consumer", &true.into()) {
        Some("is no quorum queue with a single active consumer, which the order rests on")
    } else if limit >= 0 {
        Some("has a delivery limit, by which a sender's crashes throw innocent messages away")
    } else if !has("x-overflow", &"reject-publish".into()) {
        Some("drops what does not fit, in place of refusing it")
    } else if !has("x-max-length-bytes", &queue_bytes_max.into()) {
        Some("has another size than broker.queue_bytes_max: set it back")
    } else {
        None
    };
    if let Some(why) = why {
        let how = format!("{why}; or empty it, delete it and run this again");
        steps.push((step(Kind::Trouble, format!("queue {}", row.name), how), BrokerDeed::Nothing));
    }
    let policy = row.effective_policy_definition.as_object();
    for key in HARMFUL.iter().filter(|key| policy.is_some_and(|of| of.contains_key(**key))) {
        let how =
            format!("a policy sets {key}, which loses notifications; take the policy away from ^skein\\.");
        steps.push((step(Kind::Trouble, format!("queue {}", row.name), how), BrokerDeed::Nothing));
    }
}
