//! Traces: a collector of OTLP is told of what a backend traces, and of nothing else.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use skein_apns_sim::Faults;
use skein_tests::{http, process::skein, until};

use crate::{
    embedded::ENGINE,
    fleet::{END_LIMIT, FLOW_LIMIT, START_LIMIT},
    keys::API_KEY,
    load::Random,
    site::{POOL, Site, TOPIC},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[tokio::test]
async fn a_sampled_trace_goes_on_to_apns_and_no_other_is_told_of() {
    let site = Site::new(Faults::default());
    let collector = Collector::start().await;
    let engine = format!("{ENGINE}\n[traces]\nendpoint = \"http://{}/v1/traces\"\n", collector.address);
    let config = site.config(&engine).display().to_string();
    let mut process = skein(["standalone", "--config", &config]).unwrap().start().unwrap();
    process.wait_ready(&site.page("readyz"), START_LIMIT).await.unwrap();

    let url = format!("{}/v1/notifications?pool={POOL}", site.front());
    let bearer = format!("Bearer {API_KEY}");
    let mut random = Random(7);
    let mut submit = async |traceparent: &str| {
        let body = json!({"token": random.token(), "topic": TOPIC, "payload": {"aps": {"alert": "hi"}}});
        let headers = [("Authorization", bearer.as_str()), ("traceparent", traceparent)];
        let answer = http::request_with("POST", &url, &headers, Some(&body.to_string())).await.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
    };
    submit(&format!("00-{TRACE}-{PARENT}-00")).await;
    submit("no trace at all").await;
    submit(&format!("00-{TRACE}-{PARENT}-01")).await;
    let answered = async || (site.simulator.stats().accepted == 3).then_some(());
    until("all to be with the simulator", FLOW_LIMIT, answered).await.unwrap();
    // An orderly end tells the collector what is left.
    process.terminate();
    assert_eq!(process.wait_exit(END_LIMIT).await.unwrap().code(), Some(0), "{}", process.log());

    let spans = std::mem::take(&mut *collector.spans.lock().unwrap());
    let [push, write] = ["push", "write to APNs"].map(|name| {
        let named: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(named.len(), 1, "{spans:?}");
        named[0]
    });
    assert_eq!(spans.len(), 2, "{spans:?}");
    assert_eq!((hex(&push.trace_id), hex(&push.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!((hex(&write.trace_id), &write.parent_span_id), (TRACE.into(), &push.span_id));
    let told = |span: &Span, key: &str| {
        span.attributes.iter().find(|a| a.key == key).map(|a| format!("{:?}", a.value))
    };
    assert!(told(push, "skein.verdict").unwrap().contains("accepted"), "{push:?}");
    assert!(told(write, "http.response.status_code").unwrap().contains("200"), "{write:?}");
    assert!(push.start_time_unix_nano <= push.end_time_unix_nano);
}

/// The receiving end of OTLP over HTTP, by the protocol's own types.
struct Collector {
    address: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    async fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, spans }
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
