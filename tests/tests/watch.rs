//! One edit can be followed through every part of Concord by one id, and what is shown on the way holds no customer's value.

use app::stack::StackOptions;
use serde_json::Value as Json;
use tests::{Log, World, eventually};

/// A value that stands nowhere else.
const PHONE: &str = "+49 40 77319042";

/// Every part that has a hand in an edit of the ERP: the start of a log line's target, and what it says.
const PARTS: [(&str, &str); 6] = [
    ("ingest::erp", "change captured"),
    ("processors::", "record processed"),
    ("processors::reconciler", "write decided"),
    ("sinks::writer", "write answered"),
    ("processors::reconciler", "write confirmed"),
    ("sinks::readmodel", "record read"),
];

fn lines(log: &str) -> Vec<Json> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The log lines about an edit.
fn about<'a>(lines: &'a [Json], sync_id: &str) -> Vec<&'a Json> {
    lines.iter().filter(|line| line["sync.id"] == sync_id).collect()
}

fn says(line: &Json, target: &str, message: &str) -> bool {
    line["target"].as_str().is_some_and(|it| it.starts_with(target)) && line["message"] == message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_leads_from_an_edit_to_its_audit_through_every_log() {
    let options = StackOptions { companies: 6, log_filter: Some("debug".to_owned()), ..StackOptions::default() };
    let world = World::start_with(Log::Embedded, options).await;
    let account = world.account_of(1).await;
    world.sql(&format!("update customers set phone = '{PHONE}' where id = 1")).await;
    eventually("the phone in Salesforce", || async { world.account_field(account, "Phone") }, |phone| phone == PHONE).await;

    let read_model = world.stack.read_model().await.expect("the read model");
    let audited = || async {
        let rows = read_model
            .query("select sync_id from audit where side = 'crm' and columns @> jsonb_build_array(jsonb_build_object('column', 'Phone', 'after', $1::text))", &[&PHONE])
            .await
            .expect("the audit");
        rows.into_iter().map(|row| row.get::<_, Option<String>>(0)).collect::<Vec<_>>()
    };
    let ids = eventually("the audit of the edit", audited, |ids| !ids.is_empty()).await;
    let [Some(id)] = ids.as_slice() else { panic!("one edit has one audit entry with one id, and this has {ids:?}") };
    assert!(id.starts_with("erp-") && !id.starts_with("erp-read-"), "{id} is the id of a change that the ERP streamed");

    let told = || async { lines(&world.log().await) };
    let whole = |lines: &Vec<Json>| {
        let about = about(lines, id);
        PARTS.iter().all(|(target, message)| about.iter().any(|line| says(line, target, message)))
            && ["matcher", "reconciler"].iter().all(|name| about.iter().any(|line| line["processor"] == *name))
            && about.iter().any(|line| line["component"] == "sink.crm")
    };
    let lines = eventually(&format!("log lines of every part about {id}"), told, whole).await;
    assert_eq!(about(&lines, id).iter().filter(|line| says(line, "ingest::", "change captured")).count(), 1, "an edit is captured once");
    assert_eq!(about(&lines, id).iter().filter(|line| says(line, "sinks::writer", "write answered")).count(), 1, "and written once");

    // The first request is what the dashboard has to count in the second.
    metrics(&world).await;
    let metrics = metrics(&world).await;
    for name in ["stream_commits_total", "ingest_erp_changes_total", "ingest_crm_changes_total", "dashboard_responses_total"] {
        assert!(value(&metrics, name) > 0.0, "{name}:\n{metrics}");
    }
    for series in [
        "processors_records_total{processor=\"matcher\"}",
        "processors_records_total{processor=\"reconciler\"}",
        "processors_batch_seconds_count{processor=\"aggregates\"}",
        "sinks_writes_total{result=\"applied\",sink=\"crm\"}",
        "sinks_readmodel_records_total{message=\"audit\"}",
    ] {
        assert!(value(&metrics, series) > 0.0, "{series}:\n{metrics}");
    }

    let digits = PHONE.replace(' ', "");
    for (what, text) in [("a log line", world.log().await), ("a metric", metrics)] {
        let held = text.lines().find(|line| line.contains(PHONE) || line.contains(&digits) || line.contains("77319042"));
        assert_eq!(held, None, "{what} holds a customer's value");
    }
    world.stop().await;
}

/// `GET /metrics`, as Prometheus asks for it: without signing in.
async fn metrics(world: &World) -> String {
    let response = reqwest::get(format!("{}/metrics", world.url().await)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    assert!(kind.starts_with("text/plain") && kind.contains("version=0.0.4"), "{kind} is not Prometheus' text format");
    response.text().await.expect("a body")
}

/// The value of one series, or the sum of those of a name.
fn value(metrics: &str, series: &str) -> f64 {
    let of = |line: &&str| line.strip_prefix(series).is_some_and(|rest| rest.starts_with([' ', '{']));
    metrics.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
