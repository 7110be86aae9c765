//! The command line on real systems: what is wrong is said once, with where and how to mend it, before anything is
//! written; what is right is said too; and the demo leaves nothing behind.

mod demo;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use app::stack::{ERP_DATABASE, Stack, StackOptions};
use serde_json::Value as Json;
use servers::{Postgres, PostgresOptions};
use stream::{KafkaLog, KafkaOptions, Log as _};
use tests::program;
use tokio::process::Command;

/// A process that answers takes nowhere near so long.
const PATIENCE: Duration = Duration::from_secs(90);

async fn concord(arguments: &[&str]) -> Output {
    let running = Command::new(program()).args(arguments).env("CONCORD_LOG", "warn").stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("concord {arguments:?} does not end")).expect("concord runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one message of a command that failed.
fn message(output: &Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}{}", text(&output.stdout));
    let said: Vec<&str> = stderr.lines().filter(|line| line.starts_with("concord: ")).collect();
    assert_eq!(said.len(), 1, "{stderr}");
    stderr
}

/// Both systems with a few companies, and a configuration that can be spoilt.
struct Place {
    stack: Stack,
    erp: tokio_postgres::Client,
}

impl Place {
    async fn new() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let stack = Stack::start(StackOptions { companies: 3, with_money: false, ..StackOptions::default() }).await.expect("a stack");
        let erp = stack.erp().await.expect("the ERP");
        Self { stack, erp }
    }

    async fn sql(&self, sql: &str) {
        self.erp.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.stack.dir().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The configuration with one thing in place of another.
    fn with(&self, what: &str, other: &str) -> String {
        let config = self.stack.config_text();
        assert!(config.contains(what), "{what} is not in {config}");
        config.replace(what, other)
    }

    fn with_erp(&self, url: &str) -> String {
        let config = self.stack.config_text();
        config.replacen(&self.stack.postgres.url(ERP_DATABASE), url, 1)
    }

    fn with_mapping(&self, what: &str, other: &str) -> String {
        let mapping = app::sample::MAPPING;
        assert!(mapping.contains(what), "{what} is not in the mapping");
        let path = self.file("spoilt-mapping.toml", &mapping.replacen(what, other, 1));
        self.with("/mapping.toml", &format!("/{}", path.file_name().expect("a name").to_string_lossy()))
    }

    /// `run` refuses with one message that holds these words, `check` finds the same, and nothing was written.
    async fn refused(&self, config: &str, words: &[&str]) {
        let path = self.file("spoilt.toml", config);
        let path = path.to_string_lossy();
        let run = concord(&["run", "--stop-with-stdin", "--config", &path]).await;
        let said = message(&run);
        for word in words {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
        assert!(!text(&run.stdout).contains("ready"));
        let checked = concord(&["check", "--json", "--config", &path]).await;
        assert_eq!(checked.status.code(), Some(1), "{}", text(&checked.stderr));
        let found: Json = serde_json::from_slice(&checked.stdout).expect("one JSON object");
        let failed: Vec<&Json> = found["findings"].as_array().expect("findings").iter().filter(|finding| finding["ok"] == false).collect();
        assert_eq!(found["failed"], failed.len());
        let all: String =
            failed.iter().map(|finding| format!("{}: {}; mend it: {}\n", finding["where"], finding["what"], finding["remedy"])).collect();
        for word in words {
            // JSON writes a quotation mark with a stroke before it.
            assert!(all.replace("\\\"", "\"").contains(word), "no {word:?} in {all}");
        }
        assert!(failed.iter().all(|finding| finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty())), "{all}");
        self.untouched().await;
    }

    async fn untouched(&self) {
        let count = |sql: &'static str| async move { self.erp.query_one(sql, &[]).await.expect("counted").get::<_, i64>(0) };
        assert_eq!(count("select count(*) from pg_replication_slots").await, 0, "a slot was made");
        assert_eq!(count("select count(*) from pg_publication").await, 0, "a publication was made");
        assert_eq!(count("select count(*) from pg_replication_origin").await, 0, "an origin was made");
        assert_eq!(count("select count(*) from pg_namespace where nspname = 'concord'").await, 0, "a ledger was made");
        let read_model = self.stack.read_model().await.expect("the read model");
        let tables: i64 = read_model
            .query_one("select count(*) from pg_class c where relnamespace = 'public'::regnamespace", &[])
            .await
            .expect("counted")
            .get(0);
        assert_eq!(tables, 0, "the read model was written to");
        assert!(!self.stack.dir().join("log").exists() && !self.stack.dir().join("state").exists(), "the log was written to");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_says_how_it_is_used() {
    for command in ["demo", "run", "check", "migrate", "decide", "undo", "retry", "review", "bench", "simulate", "topics", "simulator"] {
        let help = concord(&[command, "--help"]).await;
        let said = text(&help.stdout);
        assert!(help.status.success() && said.contains("Usage: concord") && said.contains("--json"), "{command}: {said}");
    }
    let all = text(&concord(&["--help"]).await.stdout);
    for command in ["demo", "run", "check", "migrate", "bench"] {
        assert!(all.contains(&format!("\n  {command} ")), "{all}");
    }
    let unknown = concord(&["rnu"]).await;
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("rnu"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_json_for_programs() {
    let topics = concord(&["topics", "--json"]).await;
    assert!(topics.status.success());
    let topics: Json = serde_json::from_slice(&topics.stdout).expect("JSON");
    let names: Vec<&str> = topics["topics"].as_array().expect("topics").iter().filter_map(|topic| topic["name"].as_str()).collect();
    assert!(names.contains(&"conflicts") && names.contains(&"ingest.checkpoint"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_cannot_be_meant_is_refused_with_the_key() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("mapping.toml"), app::sample::MAPPING).expect("written");
    std::fs::write(path("spoilt-mapping.toml"), app::sample::MAPPING.replacen("credit_limit\"", "credit_limit\"\nround = 2", 1))
        .expect("written");
    let good = "mapping = \"mapping.toml\"\n[log]\nkind = \"embedded\"\n[erp]\nurl = \"postgres://u:hunter2@127.0.0.1:1/erp\"\n\
        [crm]\nlogin_url = \"http://127.0.0.1:1\"\nclient_id = \"id\"\nclient_secret = \"hunter2\"\n\
        [read_model]\nurl = \"postgres://u:hunter2@127.0.0.1:1/concord\"\n[dashboard]\nadmin_password = { plain = \"hunter2\" }\n";
    let cases = [
        (good.replace("[erp]\n", "[erp]\nulr = \"x\"\n"), vec!["ulr", "concord.toml"]),
        (good.replace("[log]\n", "[log]\npartition = 4\n"), vec!["partition", "[log]"]),
        (good.replace("[erp]\n", "[erp]\nwrite = { lock_tmeout = \"1s\" }\n"), vec!["lock_tmeout", "[erp]"]),
        (good.replace("[read_model]\n", "[read_model]\nuser = \"x\"\n"), vec!["user", "[read_model]"]),
        (good.replace("mapping.toml", "no-mapping.toml"), vec!["no-mapping.toml", "correct `mapping`"]),
        (good.replace("mapping.toml", "spoilt-mapping.toml"), vec!["spoilt-mapping.toml", "round", "line"]),
        (good.replace("client_secret", "username"), vec!["[crm]", "client_secret"]),
        ("mapping = ".to_owned(), vec!["concord.toml", "TOML"]),
    ];
    let config = path("concord.toml");
    for (text_of_config, words) in cases {
        std::fs::write(&config, &text_of_config).expect("written");
        for command in ["run", "check", "migrate"] {
            let said = message(&concord(&[command, "--config", &config.to_string_lossy()]).await);
            assert!(words.iter().all(|word| said.contains(word)), "{command}: {words:?} are not all in {said}");
            assert!(!said.contains("hunter2"), "a secret is shown: {said}");
        }
    }
    let missing = message(&concord(&["run", "--config", "/nowhere/concord.toml"]).await);
    assert!(missing.contains("/nowhere/concord.toml") && missing.contains("--config"), "{missing}");
    let json = concord(&["run", "--json", "--config", "/nowhere/concord.toml"]).await;
    let error: Json = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(error["error"]["message"].as_str().is_some_and(|message| message.contains("/nowhere")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_erp_lacks_is_said_before_anything_is_written() {
    let place = Place::new().await;
    let postgres = &place.stack.postgres;
    place.sql("create role sync login password 'sync'; grant all on all tables in schema public to sync; grant create on database erp to sync").await;
    place
        .refused(
            &place.with_erp(&postgres.url_as("sync", "sync", ERP_DATABASE)),
            &["role sync may not replicate", "ALTER ROLE \"sync\" REPLICATION"],
        )
        .await;

    place.sql("alter role sync replication; revoke update on customers from sync").await;
    let config = place.with_erp(&postgres.url_as("sync", "sync", ERP_DATABASE));
    place
        .refused(
            &config,
            &["column public.customers.phone", "lacks the right to UPDATE", "GRANT UPDATE ON \"public\".\"customers\" TO \"sync\""],
        )
        .await;

    place
        .refused(
            &place.with_erp(&postgres.url_as("concord", "wrong", ERP_DATABASE)),
            &["127.0.0.1", "password authentication failed", "password"],
        )
        .await;
    place.refused(&place.with_erp(&postgres.url("nowhere")), &["\"nowhere\" does not exist", "CREATE DATABASE \"nowhere\""]).await;
    place.refused(&place.with_erp("postgres://concord:concord@127.0.0.1:1/erp"), &["ERP at 127.0.0.1:1", "pg_isready"]).await;
    let protected = place.with_erp(&format!("{}?sslmode=verify-full", postgres.url(ERP_DATABASE)));
    place.refused(&protected, &["no TLS", "does not offer it", "sslmode"]).await;
    let path = place.file("spoilt.toml", &protected);
    let said = message(&concord(&["run", "--role", "sinks", "--config", &path.to_string_lossy()]).await);
    assert!(said.contains("no TLS with the ERP") && said.contains("sslmode"), "{said}");

    place.sql("alter table payments drop constraint payments_pkey").await;
    place.refused(&place.stack.config_text(), &["table public.payments", "no primary key", "ADD PRIMARY KEY"]).await;
    place
        .sql("alter table payments add primary key (id); alter table contacts drop constraint contacts_pkey, replica identity nothing")
        .await;
    place.refused(&place.stack.config_text(), &["table public.contacts", "NOTHING", "REPLICA IDENTITY DEFAULT"]).await;
    place.sql("alter table contacts add primary key (id), replica identity default").await;

    let unknown = place.with_mapping("erp = \"street\"", "erp = \"streeet\"");
    place.refused(&unknown, &["column public.customers.streeet", "entity.customer.field.street", "does not exist", "in the mapping"]).await;
    place
        .refused(
            &place.with_mapping("due_on:date", "amount:date"),
            &["column public.invoices.amount", "numeric(14,2) cannot be read as date"],
        )
        .await;
    place.sql("alter table customers add shout text generated always as (upper(name)) stored").await;
    place.refused(&place.with_mapping("erp = \"website\"", "erp = \"shout\""), &["public.customers.shout", "generated"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_row_changes_is_said_before_anything_is_written() {
    let place = Place::new().await;
    let replica =
        Postgres::start(PostgresOptions { wal_level: "replica".to_owned(), ..PostgresOptions::default() }).await.expect("a Postgres");
    replica.create_database(ERP_DATABASE).await.expect("a database");
    replica.execute(ERP_DATABASE, app::sample::ERP_SCHEMA).await.expect("the sample ERP");
    place.refused(&place.with_erp(&replica.url(ERP_DATABASE)), &["wal_level is replica", "ALTER SYSTEM SET wal_level = logical"]).await;
    replica
        .execute(
            ERP_DATABASE,
            "do $$ begin assert (select count(*) from pg_publication) = 0; assert to_regnamespace('concord') is null; end $$",
        )
        .await
        .expect("nothing written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_salesforce_lacks_is_said_before_anything_is_written() {
    let place = Place::new().await;
    let settings = place.stack.simulator.settings();
    let good = place.stack.config_text();
    place
        .refused(
            &place.with("client_secret = \"simulator-secret\"", "client_secret = \"wrong\""),
            &["Salesforce at http", "invalid_client", "client_secret"],
        )
        .await;
    place
        .refused(&place.with(&place.stack.simulator.rest_url(), "http://127.0.0.1:1"), &["Salesforce at http://127.0.0.1:1", "reached"])
        .await;
    place
        .refused(
            &place.with(&place.stack.simulator.pubsub_address(), "127.0.0.1:1"),
            &["Salesforce event channel", "at 127.0.0.1:1", "reached"],
        )
        .await;

    // Who only writes is not asked for the event stream.
    let neither =
        place.with_erp("postgres://concord:concord@127.0.0.1:1/erp").replace(&place.stack.simulator.pubsub_address(), "127.0.0.1:1");
    let path = place.file("spoilt.toml", &neither);
    let said = message(&concord(&["run", "--role", "sinks", "--config", &path.to_string_lossy()]).await);
    assert!(said.contains("ERP at 127.0.0.1:1") && !said.contains("Salesforce"), "{said}");

    settings.update(|live| live.change_events.retain(|object| object != "Account"));
    place.refused(&good, &["AccountChangeEvent", "not enabled for change events", "Setup, Change Data Capture"]).await;
    settings.update(|live| live.change_events.push("Account".to_owned()));

    settings.update(|live| live.hidden_fields = vec!["Account.Phone".to_owned()]);
    place
        .refused(
            &good,
            &["Salesforce field Account.Phone", "entity.customer.field.phone", "hidden from the integration user", "field-level security"],
        )
        .await;
    settings.update(|live| live.hidden_fields.clear());

    place
        .refused(
            &place.with_mapping("crm = \"Title\"", "crm = \"Titel__c\""),
            &["Salesforce field Contact.Titel__c", "does not exist", "mapping"],
        )
        .await;
    for (field, words) in [("Concord_Wrote__c", "does not exist"), ("Sic", "of 20 characters"), ("NumberOfEmployees", "its type int")] {
        let mapping = place.with_mapping("write_column = \"Concord_Write__c\"", &format!("write_column = \"{field}\""));
        let place_of_it = format!("Salesforce field Account.{field}");
        place.refused(&mapping, &[&place_of_it, "entity.customer.crm.write_column", words, "make a Text field of 60 characters"]).await;
    }
    place
        .refused(
            &place.with_mapping("crm = \"Title\"", "crm = \"LastModifiedDate\""),
            &["Salesforce field Contact.LastModifiedDate", "cannot be written", "only read it"],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_registry_or_read_model_out_of_reach_is_said_before_anything_is_written() {
    let place = Place::new().await;
    let broker = place
        .with("[log]\nkind = \"embedded\"", "[log]\nkafka = { bootstrap = \"127.0.0.1:1\", connect_timeout = \"1s\" }\nkind = \"kafka\"");
    place.refused(&broker, &["Kafka at 127.0.0.1:1", "bootstrap in [log.kafka]"]).await;
    let registry = place.with("[log]\n", "[log]\nregistry = { url = \"http://127.0.0.1:1\" }\n");
    place.refused(&registry, &["schema registry at http://127.0.0.1:1", "[log.registry]"]).await;
    let url = place.stack.postgres.url(app::stack::READ_MODEL_DATABASE);
    place
        .refused(
            &place.with(&url, "postgres://concord:concord@127.0.0.1:1/concord"),
            &["read model at 127.0.0.1:1/concord", "[read_model]"],
        )
        .await;
    let folder = place.file("a-file", "not a folder");
    let log = format!("{}/log\"", place.stack.dir().display());
    place.refused(&place.with(&log, &format!("{}/log\"", folder.display())), &["embedded log in", "is not a folder", "[log]"]).await;
    // What several roles lack is one message, and each role is asked only for what it needs.
    let two = place.with_erp("postgres://concord:concord@127.0.0.1:1/erp").replace(&url, "postgres://concord:concord@127.0.0.1:1/concord");
    place.refused(&two, &["ERP at 127.0.0.1:1", "read model at 127.0.0.1:1"]).await;
    let path = place.file("spoilt.toml", &two);
    let said = message(&concord(&["run", "--role", "dashboard", "--config", &path.to_string_lossy()]).await);
    assert!(said.contains("read model at") && !said.contains("erp"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_another_shape_are_said_before_any_is_made() {
    let (place, kafka) = tokio::join!(Place::new(), servers::Kafka::start(servers::KafkaOptions::default()));
    let kafka = kafka.expect("a private Kafka");
    let log = KafkaLog::connect(KafkaOptions::new(kafka.bootstrap())).await.expect("Kafka");
    let theirs = schemas::topic::Topics::new("", 2).fixed();
    let conflicts = theirs.iter().find(|topic| topic.name == "conflicts").expect("a topic of ours").clone();
    log.create_topics(&[conflicts]).await.expect("made");
    let config =
        place.with("[log]\nkind = \"embedded\"", &format!("[log]\nkafka = {{ bootstrap = \"{}\" }}\nkind = \"kafka\"", kafka.bootstrap()));
    place
        .refused(
            &config,
            &["topic conflicts", "has 2 partitions, the configuration says 4", "set partitions in [log] to 2, or choose another prefix"],
        )
        .await;
    // The broker has one of its own as soon as anybody asks.
    let made = || async { log.topics().await.expect("topics").into_iter().filter(|name| !name.starts_with("__")).collect::<Vec<_>>() };
    assert_eq!(made().await, ["conflicts"], "topics were made");

    let path = place.file("good.toml", &config.replace("partitions = 4", "partitions = 2"));
    let checked = concord(&["check", "--config", &path.to_string_lossy()]).await;
    let said = text(&checked.stdout);
    assert!(checked.status.success() && said.contains(&format!("Kafka at {}: reachable; 1 of our topics", kafka.bootstrap())), "{said}");
    assert_eq!(made().await, ["conflicts"], "topics were made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_nothing_wrong_with_a_good_stack_and_migrate_twice_is_harmless() {
    let place = Place::new().await;
    let config = place.stack.config_path();
    let config = config.to_string_lossy();
    let checked = concord(&["check", "--config", &config]).await;
    let said = text(&checked.stdout);
    assert!(checked.status.success() && said.contains("all is well"), "{said}{}", text(&checked.stderr));
    for what in ["config ", "erp.read ", "erp.write ", "crm ", "read_model ", "dashboard ", "log "] {
        assert_eq!(said.lines().filter(|line| line.starts_with(&format!("ok      {what}"))).count(), 1, "{what}: {said}");
    }
    place.untouched().await;

    let first = concord(&["migrate", "--json", "--config", &config]).await;
    assert!(first.status.success(), "{}", text(&first.stderr));
    let done: Json = serde_json::from_slice(&first.stdout).expect("JSON");
    assert!(done["read_model"]["applied"].as_array().is_some_and(|applied| !applied.is_empty()), "{done}");
    assert!(done["erp"]["done"].as_array().is_some_and(|done| done.len() == 2), "{done}");
    let ledger: i64 = place.erp.query_one("select count(*) from concord.ledger", &[]).await.expect("a ledger").get(0);
    assert_eq!(ledger, 0);

    let second = concord(&["migrate", "--config", &config]).await;
    assert!(
        second.status.success() && text(&second.stdout).matches("nothing to do").count() == 2,
        "{}{}",
        text(&second.stdout),
        text(&second.stderr)
    );
    let after = concord(&["check", "--json", "--config", &config]).await;
    let found: Json = serde_json::from_slice(&after.stdout).expect("JSON");
    assert_eq!(found["failed"], 0, "{found}");
    let read_model = found["findings"]
        .as_array()
        .and_then(|findings| findings.iter().find(|finding| finding["check"] == "read_model"))
        .expect("a finding");
    assert!(read_model["what"].as_str().is_some_and(|what| what.starts_with("migrated")), "{read_model}");

    // A migration that cannot be made says why.
    let wrong = place.file(
        "spoilt.toml",
        &place.with(&place.stack.postgres.url(app::stack::READ_MODEL_DATABASE), "postgres://concord:concord@127.0.0.1:1/concord"),
    );
    let said = message(&concord(&["migrate", "--config", &wrong.to_string_lossy()]).await);
    assert!(said.contains("read model at 127.0.0.1:1/concord") && said.contains("mend it"), "{said}");
}

#[test]
fn the_default_configuration_is_one_that_can_be_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "hunter2").expect("written");
    std::fs::write(dir.path().join("mapping.toml"), app::sample::MAPPING).expect("written");
    let text = app::config::DEFAULT.replace("/run/secrets/concord-crm-client-secret", &secret.to_string_lossy());
    let path = dir.path().join("concord.toml");
    std::fs::write(&path, text).expect("written");
    let config = app::config::Config::load(&path).expect("it can be read");
    assert_eq!(config.log.path, dir.path().join("log"));
    assert_eq!(config.dashboard.listen.to_string(), "127.0.0.1:4710");
}
