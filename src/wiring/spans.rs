//! From ended spans to a collector: OTLP over HTTP, in batches, never in the way of a push.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind as Otel, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use skein_config::Config;
use skein_core::{FinalVerdict, TraceContext};
use skein_sender::spans::{Span, SpanKind, Spans};
use tokio::runtime::{Builder, Runtime};

use super::{read, system_roots};
use crate::exit::Failure;

/// Longest wait for the collector's answer to one batch.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for what is left when the sender ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A collector. What it can't take in time is dropped by the batch processor, which says so in the log.
#[derive(Debug)]
pub struct Collector(BatchSpanProcessor);

impl Collector {
    /// The collector that the configuration names, if it does.
    ///
    /// # Errors
    /// Its roots cannot be read.
    pub fn of(config: &Config, member: &str) -> Result<Option<Self>, Failure> {
        let Some(endpoint) = &config.traces.endpoint else { return Ok(None) };
        let refused = |error: anyhow::Error| Failure::Usage(format!("traces.endpoint: {error:#}"));
        let client = OnItsOwn::new(config).map_err(refused)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint.to_string())
            .build()
            .map_err(|error| refused(error.into()))?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(
            &Resource::builder()
                .with_service_name("skein-sender")
                .with_attribute(KeyValue::new("service.instance.id", member.to_owned()))
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build(),
        );
        Ok(Some(Self(processor)))
    }
}

impl Spans for Collector {
    fn ended(&self, span: Span) {
        self.0.on_end(data(span));
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_WORDS) {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

/// By the semantic conventions for messaging and HTTP where they have a name for it.
fn data(span: Span) -> SpanData {
    let context = |id: [u8; 8], TraceContext { trace, .. }: TraceContext| {
        let trace = TraceId::from_bytes(trace);
        SpanContext::new(trace, SpanId::from_bytes(id), TraceFlags::SAMPLED, false, TraceState::default())
    };
    let ended =
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(span.ended.as_millis()).unwrap_or(0));
    let mut attributes = vec![
        KeyValue::new("messaging.message.id", span.notification.to_string()),
        KeyValue::new("skein.pool", span.pool.to_string()),
    ];
    if !span.cause.is_empty() {
        attributes.push(KeyValue::new("error.type", span.cause.to_string()));
    }
    let (name, span_kind, is_well, is_first) = match span.kind {
        SpanKind::Push { verdict, attempts, queue } => {
            attributes.extend([
                KeyValue::new("messaging.system", "rabbitmq"),
                KeyValue::new("messaging.destination.name", format!("skein.{}.q{queue}", span.pool)),
                KeyValue::new("skein.verdict", verdict.label()),
                KeyValue::new("skein.attempts", i64::from(attempts)),
            ]);
            let is_well = matches!(verdict, FinalVerdict::Accepted | FinalVerdict::Superseded);
            ("push", Otel::Consumer, is_well, true)
        }
        SpanKind::Write { status, stream } => {
            attributes.extend([
                KeyValue::new("http.response.status_code", i64::from(status)),
                KeyValue::new("skein.stream", i64::from(stream)),
            ]);
            ("write to APNs", Otel::Client, status == 200, false)
        }
    };
    SpanData {
        span_context: context(span.id, span.context),
        parent_span_id: SpanId::from_bytes(span.context.parent),
        parent_span_is_remote: is_first,
        span_kind,
        name: Cow::Borrowed(name),
        start_time: ended.checked_sub(span.took).unwrap_or(ended),
        end_time: ended,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if is_well { Status::Unset } else { Status::error(span.cause) },
        instrumentation_scope: InstrumentationScope::builder("skein").build(),
    }
}

/// A client on a runtime of its own: the batch processor's thread has none, and the sender's threads have other work.
#[derive(Debug)]
struct OnItsOwn {
    client: Arc<dyn HttpClient>,
    runtime: Option<Runtime>,
}

impl OnItsOwn {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Ok(Self { client: client(config)?, runtime: Some(runtime.context("cannot start a runtime")?) })
    }
}

fn client(config: &Config) -> anyhow::Result<Arc<dyn HttpClient>> {
    if config.traces.endpoint.as_ref().is_none_or(|endpoint| endpoint.scheme != "https") {
        return Ok(Arc::new(HyperClient::with_default_connector(ANSWER_LIMIT, None)));
    }
    let roots = match &config.traces.ca_file {
        Some(path) => read(path)?,
        None => {
            read(system_roots().context("this system has no bundle of public roots; set traces.ca_file")?)?
        }
    };
    let tls = skein_producer::tls_config(&roots, None)?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls.as_ref().clone()).https_only().enable_http1();
    Ok(Arc::new(HyperClient::new(connector.build(), ANSWER_LIMIT, None)))
}

#[async_trait::async_trait]
impl HttpClient for OnItsOwn {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let Some(runtime) = &self.runtime else { return Err("the sender is ending".into()) };
        let client = Arc::clone(&self.client);
        runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

impl Drop for OnItsOwn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
