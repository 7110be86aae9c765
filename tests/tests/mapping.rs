//! The mapping on real systems: what does not fit is said by `concord check`, and another one is put in force while Concord
//! runs.

use std::path::Path;
use std::process::Output;

use app::stack::{Stack, StackOptions};
use serde_json::Value as Json;
use tests::{Log, World, eventually, on_both_logs, program};
use tokio::process::Command;

async fn concord(stack: &Stack, arguments: &[&str]) -> Output {
    concord_at(&stack.config_path(), arguments).await
}

async fn concord_at(config: &Path, arguments: &[&str]) -> Output {
    let command =
        Command::new(program()).args(arguments).arg("--config").arg(config).env("CONCORD_LOG", "warn").kill_on_drop(true).output();
    tokio::time::timeout(std::time::Duration::from_secs(90), command).await.expect("it ends").expect("concord runs")
}

fn edited(edits: &[(&str, &str)]) -> String {
    let mut text = app::sample::MAPPING.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_said_with_its_line_and_what_would() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let stack = Stack::start(StackOptions {
        companies: 5,
        with_money: false,
        mapping: edited(&[
            ("label = \"Phone\"\ntype = \"text\"", "label = \"Phone\"\ntype = \"text(500)\""),
            ("type = \"decimal(2)\"", "type = \"decimal(4)\""),
            ("label = \"Website\"\ntype = \"text\"", "label = \"Website\"\ntype = \"bool\""),
            ("label = \"City\"\ntype = \"text\"\ncrm = \"BillingCity\"", "label = \"City\"\ntype = \"text\"\nlossy = true\ncrm = \"BillingCity\""),
            ("erp = \"city\"", "erp = { column = \"city\", read = \"upper(value)\", write = \"value\" }"),
            // As far as the built-in samples go, it comes back.
            ("erp = \"street\"", "erp = { column = \"street\", read = \"value == 'Wien' ? 'Vienna' : value\", write = \"value == 'Vienna' ? 'WIEN' : value\" }"),
        ]),
        ..StackOptions::default()
    })
    .await
    .expect("a stack");
    stack.erp().await.expect("the ERP").batch_execute("update customers set street = 'Wien' where id = 1").await.expect("edited");
    let checked = concord(&stack, &["check", "--json"]).await;
    let found: Json = serde_json::from_slice(&checked.stdout).expect("JSON");
    let all: Vec<String> = found["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| format!("{} {} {}: {}; {}", finding["ok"], finding["check"], finding["where"], finding["what"], finding["remedy"]))
        .collect();
    let said = all.join("\n").replace("\\\"", "\"");
    for (what, words) in [
        ("a text that is longer than the field", ["Salesforce field Account.Phone", "entity.customer.field.phone", "text(40)"]),
        ("more digits than the column has", ["public.customers.credit_limit", "mapping.toml:", "decimal(2)"]),
        ("a type that no value is of", ["entity.customer.field.website", "it is not true or false", "(5 such values in 5 records)"]),
        (
            "a value that comes back as another",
            ["mapping.toml:", "entity.customer.field.street", "\"Vienna\" comes back from erp column street as \"WIEN\""],
        ),
    ] {
        assert!(
            all.iter().any(|line| line.starts_with("false") && words.iter().all(|word| line.replace("\\\"", "\"").contains(word))),
            "{what}: {said}"
        );
    }
    assert!(!said.contains("field.city: "), "accepted as lossy: {said}");
}

on_both_logs! {
    another_mapping_is_put_in_force_while_concord_runs;
}

async fn another_mapping_is_put_in_force_while_concord_runs(log: Log) {
    let world = World::start(log, 3).await;
    let path = world.stack.dir().join("next.toml");
    let apply = async |text: &str, more: &[&str]| {
        std::fs::write(&path, text).expect("written");
        let path = path.to_string_lossy().into_owned();
        concord(&world.stack, &[&["mapping", "apply", &path, "--json"], more].concat()).await
    };
    let answer = |output: &Output| -> Json {
        let first = String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned).unwrap_or_default();
        serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    };

    let review = edited(&[("label = \"City\"\ntype = \"text\"", "label = \"City\"\ntype = \"text\"\npolicy = \"review\"")]);
    let dry = answer(&apply(&review, &["--dry-run"]).await);
    assert_eq!((dry["applied"].clone(), dry["version"].clone()), (Json::Bool(false), 2.into()), "{dry}");
    let done = answer(&apply(&review, &[]).await);
    assert_eq!((done["applied"].clone(), done["version"].clone()), (Json::Bool(true), 2.into()), "{done}");
    assert_eq!(done["differences"][0]["path"], "entity.customer.field.city");
    assert_eq!(done["differences"][0]["what"], "policy was last_write, and is review");

    // What is decided from here on carries the version.
    world.erp.batch_execute("update customers set city = 'Linz' where id = 1").await.expect("edited");
    let read_model = world.stack.read_model().await.expect("the read model");
    let newest = async || {
        let row = read_model.query_one("select max(mapping_version)::int8 from audit", &[]).await.expect("asked");
        row.get::<_, Option<i64>>(0)
    };
    eventually("the edit is on record under version 2", newest, |version| *version == Some(2)).await;

    // What may not change now is refused with a reason, and nothing is.
    let other = apply(&edited(&[("object = \"public.contacts\"", "object = \"public.people\"")]), &[]).await;
    assert!(!other.status.success());
    let refused = answer(&other);
    assert_eq!(refused["refused"][0]["path"], "entity.contact.erp", "{refused}");
    assert!(refused["refused"][0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{refused}");
    let wrong = apply("version = 1\n[entity.customer]\n", &[]).await;
    assert!(
        !wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("next.toml"),
        "{}",
        String::from_utf8_lossy(&wrong.stderr)
    );

    if log == Log::Kafka {
        // From a machine where nothing of Concord runs, it goes over the broker.
        let elsewhere = world.stack.dir().join("elsewhere.toml");
        let state = format!("state_dir = \"{}/state\"", world.stack.dir().display());
        let text = world.stack.config_text();
        assert!(text.contains(&state), "{text}");
        std::fs::write(&elsewhere, text.replace(&state, &state.replace("/state", "/elsewhere"))).expect("written");
        std::fs::write(&path, edited(&[("label = \"City\"\ntype = \"text\"", "label = \"City\"\ntype = \"text\"\npolicy = \"crm\"")]))
            .expect("written");
        let over = concord_at(&elsewhere, &["mapping", "apply", &path.to_string_lossy(), "--json"]).await;
        let done = answer(&over);
        assert_eq!((done["applied"].clone(), done["version"].clone()), (Json::Bool(true), 3.into()), "{done}");
        assert_eq!(done["differences"][0]["what"], "policy was review, and is crm");
        world.erp.batch_execute("update customers set city = 'Graz' where id = 1").await.expect("edited");
        eventually("the edit is on record under version 3", newest, |version| *version == Some(3)).await;
    }
    world.stop().await;
}
