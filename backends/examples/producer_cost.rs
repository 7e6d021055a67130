//! What a notification costs its producer, alone and in a batch: CPU of this whole process a notification, and how many a second.
//!
//! ```text
//! cargo run --release -p skein-backends --example producer_cost -- amqp://guest:guest@localhost:5672/%2f
//! ```
//! Uses a pool `cost` of 8 queues, which it leaves full: give it a vhost of its own.

use std::io::Write as _;
use std::time::{Duration, Instant};

use skein_backends::rabbitmq::Topology;
use skein_core::notification::{Draft, Notification};
use skein_core::{NotificationId, PoolName, aps::Payload};
use skein_producer::{LinkOptions, Producer, ProducerOptions, Wait};

const GROUP: usize = 500;
const ROUNDS: usize = 60;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = std::env::args().nth(1).ok_or("usage: producer_cost BROKER")?;
    let pool = PoolName::parse("cost")?;
    let link = LinkOptions::new(vec![broker.parse()?], "cost");
    Topology { pool: pool.clone(), queues: 8, max_length_bytes: 1 << 30 }.declare(&link).await?;
    let producer = Producer::connect(ProducerOptions::new(link, vec![pool.clone()]));
    producer.ready(Duration::from_secs(10)).await?;
    for (name, shared) in [("alone", false), ("in batches of 500", true)] {
        let submissions: Vec<Vec<Notification>> = (0..ROUNDS).map(|round| group(round, shared)).collect();
        let (cpu, began) = (cpu(), Instant::now());
        let mut confirmed = 0;
        for list in submissions {
            let outcomes = producer.submit_many(&pool, list, Wait::Forever).await;
            confirmed += outcomes.iter().filter(|o| o.is_ok()).count();
        }
        let (cpu, took) = (self::cpu() - cpu, began.elapsed());
        let each = cpu.as_secs_f64() * 1e6 / confirmed as f64;
        let rate = confirmed as f64 / took.as_secs_f64();
        writeln!(
            std::io::stdout(),
            "{name}: {confirmed} confirmed, {each:.2} µs of CPU each, {rate:.0} a second"
        )?;
    }
    Ok(())
}

fn group(round: usize, shared: bool) -> Vec<Notification> {
    let now = NotificationId::now().at();
    let token = |n: usize| format!("{:064x}", (round * GROUP + n) * 0x9e37_79b9);
    let draft = |text: &str| Draft::new("", "com.example.im").payload(&Payload::alert("Team", text));
    let text = "x".repeat(300);
    if shared {
        let devices = (0..GROUP).map(|n| (token(n), Some(format!("u-{n}"))));
        return draft(&text).build_for(devices, now).unwrap_or_default();
    }
    let one = |n: usize| draft(&format!("{text}{n}")).build_for([(token(n), Some(format!("u-{n}")))], now);
    (0..GROUP).flat_map(|n| one(n).unwrap_or_default()).collect()
}

/// CPU time of this process, all its threads.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
