//! Submits one notification, and a group message to three devices:
//!
//! ```text
//! cargo run -p skein-producer --example submit -- amqp://guest:guest@localhost:5672/%2f enterprise
//! ```

use std::time::Duration;

use skein_core::notification::Draft;
use skein_core::{Badge, NotificationId, PoolName, aps::Payload};
use skein_producer::{LinkOptions, Producer, ProducerOptions, Wait};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, broker, pool] = &arguments[..] else { return Err("usage: submit BROKER POOL".into()) };
    let pool = PoolName::parse(pool)?;
    let link = LinkOptions::new(vec![broker.parse()?], "example");
    let producer = Producer::connect(ProducerOptions::new(link, vec![pool.clone()]));
    producer.ready(Duration::from_secs(10)).await?;

    let now = NotificationId::now().at();
    let one = Draft::new("0f".repeat(32), "com.example.im")
        .payload(&Payload::alert("Anna", "are you there?").with("conversation", "c1"))
        .user("u-42")
        .badge(Badge::Add(1))
        .collapse_id("c1")
        .build(now)
        .map_err(|faults| format!("{faults:?}"))?;
    println(&format!("confirmed: {}", producer.submit(&pool, one).await?.id));

    let members = ["a1", "b2", "c3"].map(|t| (t.repeat(32), Some(format!("u-{t}"))));
    let group = Draft::new("", "com.example.im")
        .payload(&Payload::alert("Team", "lunch?"))
        .build_for(members, now)
        .map_err(|faults| format!("{faults:?}"))?;
    for outcome in producer.submit_many(&pool, group, Wait::For(Duration::from_secs(10))).await {
        match outcome {
            Ok(confirmed) => println(&format!("confirmed: {}", confirmed.id)),
            Err(error) => println(&format!("not confirmed: {error}")),
        }
    }
    Ok(())
}

fn println(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
