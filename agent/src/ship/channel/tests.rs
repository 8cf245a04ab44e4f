//! Channels to a receiver that answers as it is told.

use super::*;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use model::{Labels, MetricBatch};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// How a request is answered.
#[derive(Clone, Copy)]
enum Told {
    /// As who knows 2.0 does.
    Written,
    /// With success alone.
    Silent,
    /// As who knows 2.0 refuses what it does not want of a batch.
    Refused,
    Unavailable,
}

#[derive(Clone, Default)]
struct Receiver {
    /// Answers to the next requests; [`Told::Silent`] after them.
    script: Arc<Mutex<VecDeque<Told>>>,
    /// The versions of remote write in which they came.
    versions: Arc<Mutex<Vec<String>>>,
}

async fn write(State(receiver): State<Receiver>, headers: HeaderMap) -> Response {
    let version = headers["x-prometheus-remote-write-version"].to_str().unwrap().to_owned();
    receiver.versions.lock().unwrap().push(version);
    let told = receiver.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    match told.unwrap_or(Told::Silent) {
        Told::Written => (StatusCode::NO_CONTENT, [(WRITTEN, "1")]).into_response(),
        Told::Silent => (StatusCode::OK, "back in a minute").into_response(),
        Told::Refused => (StatusCode::BAD_REQUEST, [(WRITTEN, "0")], "too old").into_response(),
        Told::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl Receiver {
    async fn start(script: &[Told]) -> (Self, Channel) {
        let receiver = Receiver::default();
        receiver.script.lock().unwrap().extend(script);
        let router = Router::new().route("/w", post(write)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/w", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let sender = Sender {
            agent: "a".to_owned(),
            boot: 1,
            job: "node".to_owned(),
            instance: "h1".to_owned(),
            interval: Duration::from_secs(15),
        };
        let settings = ChannelSettings {
            client: daemon::http::client(&daemon::http::ClientOptions::default()).unwrap(),
            token: None,
            token_file: None,
            sender,
            counters: Arc::default(),
            pool: Pool::new(1, 1),
            stop: Stop::default(),
        };
        (receiver, Channel::metrics(url, &settings))
    }

    /// The versions since the last time.
    fn versions(&self) -> Vec<String> {
        std::mem::take(&mut *self.versions.lock().unwrap())
    }
}

async fn deliver(channel: &mut Channel, sequence: u64) {
    assert_eq!(delivered(channel, sequence).await, Delivered::Stored { refused: 0 });
}

async fn delivered(channel: &mut Channel, sequence: u64) -> Delivered {
    let mut batch = MetricBatch::default();
    batch.begin_with(Labels::from_pairs([("__name__", "up")]).as_ref());
    batch.sample(5, 0, 1.0);
    let payload = Arc::new(Payload::Metrics { batch, ready: None });
    let shipment = Shipment { boot: 1, sequence, items: 1, is_goodbye: false };
    channel.deliver(&payload, shipment).await
}

#[tokio::test]
async fn a_page_of_a_load_balancer_costs_neither_the_batch_nor_the_form() {
    use Told::{Silent, Unavailable, Written};
    let (receiver, mut channel) =
        Receiver::start(&[Written, Silent, Unavailable, Silent, Silent, Written, Written]).await;
    for sequence in 0..3 {
        deliver(&mut channel, sequence).await;
    }
    assert_eq!(receiver.versions(), ["2.0.0"; 7]);
    assert_eq!((channel.counters.requests.get(), channel.counters.retries.get()), (3, 4));
}

#[tokio::test]
async fn a_receiver_that_has_only_refused_so_far_is_known_to_know_2_0() {
    use Told::{Refused, Silent, Written};
    let (receiver, mut channel) = Receiver::start(&[Refused, Silent, Written]).await;
    assert_eq!(delivered(&mut channel, 0).await, Delivered::Refused { written: 0 });
    deliver(&mut channel, 1).await;
    assert_eq!(receiver.versions(), ["2.0.0"; 3]);
}

#[tokio::test]
async fn a_receiver_that_was_replaced_by_an_older_one_gets_the_older_form() {
    let (receiver, mut channel) = Receiver::start(&[Told::Written]).await;
    deliver(&mut channel, 0).await;
    assert_eq!(receiver.versions(), ["2.0.0"]);
    let long_ago = Instant::now().checked_sub(Duration::from_secs(400)).unwrap();
    assert!(!channel.silence.goes_on(long_ago));
    deliver(&mut channel, 1).await;
    assert_eq!(receiver.versions(), ["2.0.0", "2.0.0", "0.1.0"], "zstd, snappy, 1.0");
}
