use super::*;
use crate::readings::Reading;
use std::path::Path;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};

/// `size` is 4; everything else is `load`.
struct World(Mutex<f64>);

impl Readings for World {
    fn read(&self, expr: &str, at_ms: i64) -> Result<Vec<Reading>, String> {
        let value = if expr == "size" { 4.0 } else { *lock(&self.0) };
        Ok(vec![Reading { value, sampled_at_ms: Some(at_ms) }])
    }

    fn check(&self, _: &str) -> Result<(), (usize, usize, String)> {
        Ok(())
    }

    fn firing_alerts(&self) -> Vec<String> {
        Vec::new()
    }
}

type Request = (BTreeMap<String, String>, serde_json::Value);

/// Answers with the statuses in turn, then 200.
async fn sink(statuses: &'static [u16]) -> (String, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/scale", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut statuses = statuses.iter();
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut headers, mut line) = (BTreeMap::new(), String::new());
            while stream.read_line(&mut line).await.unwrap() > 2 {
                if let Some((name, value)) = line.trim().split_once(": ") {
                    headers.insert(name.to_ascii_lowercase(), value.to_owned());
                }
                line.clear();
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            let status = statuses.next().unwrap_or(&200);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send((headers, serde_json::from_slice(&body).unwrap())).await.unwrap();
        }
    });
    (url, receiver)
}

async fn next(requests: &mut mpsc::Receiver<Request>) -> Request {
    tokio::time::timeout(Duration::from_secs(10), requests.recv()).await.expect("a request comes").unwrap()
}

async fn start(folder: &Path, url: &str, mode: &str, world: &Arc<World>) -> Scaling {
    let text = format!(
        "receivers: [{{name: r, url: '{url}', secret: key}}]\npolicies:\n- name: web\n  mode: {mode}\n  \
         target: {{receiver: r, id: asg/web, current: size}}\n  min: 2\n  max: 20\n  interval: 1s\n  \
         checks: [{{name: load, query: load, type: target, target: 100}}]\n"
    );
    std::fs::create_dir_all(folder.join("policies")).unwrap();
    std::fs::write(folder.join("policies/p.yaml"), text).unwrap();
    let settings = Settings {
        policies: vec![folder.join("policies")],
        built_in_policies: Vec::new(),
        state_dir: folder.join("state"),
        external_url: "http://bw".into(),
    };
    let parts = Parts { readings: world.clone(), clock: daemon::clock::now_ms };
    Scaling::start(settings, parts, &daemon::metrics::Metrics::default()).await.unwrap()
}

async fn delivery(scaling: &Scaling, wanted: &DeliveryStatus) {
    let arrived = async {
        while scaling.policies()[0].delivery != *wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.expect("the delivery ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_signed_repeated_until_accepted_and_numbered_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World(Mutex::new(700.0)));
    let (url, mut requests) = sink(&[503]).await;
    let scaling = start(folder.path(), &url, "enforce", &world).await;
    let (refused, first_body) = next(&mut requests).await;
    let (taken, second_body) = next(&mut requests).await;
    assert_eq!((first_body.clone(), &refused["webhook-id"]), (second_body, &taken["webhook-id"]));
    assert_eq!(taken["idempotency-key"], "dec_web_00000001");
    assert!(taken["webhook-signature"].starts_with("v1,"));
    for (key, expected) in [("desired", 7), ("current", 4), ("sequence", 1), ("min", 2), ("max", 20)] {
        assert_eq!(first_body[key], expected, "{key}");
    }
    assert_eq!((&first_body["action"], &first_body["checks"][0]["proposed"]), (&"out".into(), &7.into()));
    delivery(&scaling, &DeliveryStatus::Accepted { sequence: 1 }).await;
    scaling.stop().await;
    drop(scaling);
    *lock(&world.0) = 1200.0;
    let again = start(folder.path(), &url, "enforce", &world).await;
    let (_, body) = next(&mut requests).await;
    assert_eq!((&body["sequence"], &body["desired"]), (&2.into(), &12.into()));
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_final_and_a_dry_run_delivers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World(Mutex::new(700.0)));
    let (url, mut requests) = sink(&[400]).await;
    let scaling = start(folder.path(), &url, "enforce", &world).await;
    next(&mut requests).await;
    let error = "the receiver answered 400 Bad Request".to_owned();
    delivery(&scaling, &DeliveryStatus::Failed { sequence: 1, error }).await;
    scaling.stop().await;
    let other = tempfile::tempdir().unwrap();
    let dry = start(other.path(), &url, "dry_run", &world).await;
    tokio::time::timeout(Duration::from_secs(5), async {
        while dry.policies()[0].decision.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let view = dry.policies().remove(0);
    assert_eq!((view.decision.unwrap().desired, view.delivery), (Some(7), DeliveryStatus::None));
    assert!(requests.try_recv().is_err());
    dry.stop().await;
}

#[tokio::test]
async fn what_a_full_disk_refuses_to_forget_is_tried_until_there_is_room() {
    let (mut tries, mut told) = (0, Vec::new());
    let run = || {
        tries += 1;
        if tries < 4 { Err("full") } else { Ok(()) }
    };
    until_done(Duration::ZERO, run, |error| told.push(error)).await;
    assert_eq!((tries, told), (4, vec!["full"]));
}
