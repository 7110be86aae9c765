//! Both systems with sample companies, and Concord beside them.

use std::sync::Arc;

use app::agreement::{Agreement, compare};
use app::stack::{Concord, LogChoice, Stack, StackOptions};
use serde_json::{Value as Json, json};
use simulator::{Actor, Org, RecordId};
use tokio::sync::{Mutex, OnceCell};

use crate::program;
use crate::wait::eventually;

/// Which log a scenario runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// In the process of the pipeline, on disk.
    Embedded,
    /// A real Apache Kafka, one for all scenarios of a test run; topics have a prefix of their own.
    Kafka,
}

/// A token that may do everything.
pub const TOKEN: &str = "end-to-end-test-token";
/// The administrator's password.
pub const PASSWORD: &str = "end-to-end-password";

static BROKER: OnceCell<Arc<servers::Kafka>> = OnceCell::const_new();

async fn broker() -> Arc<servers::Kafka> {
    BROKER
        .get_or_init(|| async { Arc::new(servers::Kafka::start(servers::KafkaOptions::default()).await.expect("a private Kafka")) })
        .await
        .clone()
}

impl Drop for World {
    /// A scenario that fails shows what Concord complained of and what it logged last: the folder with the log goes with the
    /// world.
    #[expect(clippy::disallowed_macros, reason = "a failing test speaks to whoever ran it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.stack.dir().join("run.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let (before, last) = lines.split_at(lines.len().saturating_sub(10));
            let bad = |line: &&&str| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#);
            let bad: Vec<&str> = before.iter().filter(bad).rev().take(10).copied().collect();
            eprintln!(
                "complaints and last lines of Concord's log:\n{}\n{}",
                bad.into_iter().rev().collect::<Vec<_>>().join("\n"),
                last.join("\n")
            );
        }
    }
}

/// Both systems and Concord.
pub struct World {
    /// The two systems.
    pub stack: Stack,
    /// The ERP.
    pub erp: tokio_postgres::Client,
    concord: Mutex<Option<Concord>>,
    http: reqwest::Client,
}

impl World {
    /// Starts everything with some sample companies and waits until both sides agree.
    pub async fn start(log: Log, companies: usize) -> Self {
        Self::start_with(log, StackOptions { companies, ..StackOptions::default() }).await
    }

    /// The same with other options.
    pub async fn start_with(log: Log, options: StackOptions) -> Self {
        let world = Self::idle(log, options).await;
        world.run().await;
        world.agree("the first copy").await;
        world.readable().await;
        world
    }

    /// Both systems, and no Concord yet.
    pub async fn idle(log: Log, options: StackOptions) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let choice = match log {
            Log::Embedded => LogChoice::Embedded,
            Log::Kafka => LogChoice::Broker(broker().await.bootstrap()),
        };
        let more = format!("{}\n[[dashboard.api_tokens]]\nname = \"tests\"\nscope = \"crm.admin\"\ntoken = \"{TOKEN}\"\n", options.more);
        let stack = Stack::start(StackOptions { log: choice, password: PASSWORD.to_owned(), more, ..options }).await.expect("a stack");
        let erp = stack.erp().await.expect("the ERP");
        Self { stack, erp, concord: Mutex::new(None), http: reqwest::Client::new() }
    }

    /// Starts Concord (again).
    pub async fn run(&self) {
        let concord = self.stack.run(&program()).await.expect("concord run");
        *self.concord.lock().await = Some(concord);
    }

    /// Waits until pages have something to read: a first start makes the read model's tables beside everything else.
    pub async fn readable(&self) {
        let read_model = self.stack.read_model().await.expect("the read model");
        let made = || async {
            let row = read_model.query_one("select to_regclass('match_review') is not null", &[]).await.expect("an answer");
            row.get::<_, bool>(0)
        };
        eventually("the read model's tables", made, |made| *made).await;
    }

    /// SIGKILL to Concord.
    pub async fn kill(&self) {
        if let Some(concord) = self.concord.lock().await.take() {
            concord.kill().await.expect("killed");
        }
    }

    /// Stops Concord in order.
    pub async fn stop(&self) {
        if let Some(concord) = self.concord.lock().await.take() {
            concord.stop().await.expect("stopped in order");
        }
    }

    /// What Concord has logged.
    pub async fn log(&self) -> String {
        std::fs::read_to_string(self.stack.dir().join("run.log")).unwrap_or_default()
    }

    /// The dashboard's address.
    pub async fn url(&self) -> String {
        self.concord.lock().await.as_ref().expect("concord runs").url().to_owned()
    }

    /// The org.
    pub fn org(&self) -> Org {
        self.stack.org()
    }

    /// Waits until both systems agree on everything.
    pub async fn agree(&self, after: &str) -> Agreement {
        let agreement = eventually(
            &format!("agreement after {after}"),
            || async { compare(&self.erp, &self.org()).await.expect("both systems answer") },
            Agreement::holds,
        )
        .await;
        assert_eq!(agreement.duplicates, 0, "{agreement}");
        agreement
    }

    /// The account of an ERP customer.
    pub async fn account_of(&self, customer: i64) -> RecordId {
        let number: String =
            self.erp.query_one("select number from customers where id = $1", &[&customer]).await.expect("a customer").get(0);
        let found = eventually(
            &format!("an account for {number}"),
            || async { self.org().find("Account", "ERP_Id__c", &number) },
            |found: &Vec<RecordId>| !found.is_empty(),
        )
        .await;
        found[0]
    }

    /// One of an account's contacts.
    pub fn contact_of(&self, account: RecordId) -> RecordId {
        let mut found = None;
        self.org().scan("Contact", |record| {
            if record.text("AccountId").is_some_and(|parent| RecordId::parse(&parent) == Some(account)) {
                found = Some(record.id());
            }
        });
        found.expect("a contact")
    }

    /// Changes an account as a person at Salesforce would.
    pub fn edit_account(&self, account: RecordId, fields: &Json) {
        let person = Actor::lightning(self.org().admin_user());
        self.org().update(&person, account, fields).unwrap_or_else(|error| panic!("editing the account: {}", error.message));
    }

    /// A field of an account.
    pub fn account_field(&self, account: RecordId, field: &str) -> Json {
        self.org().with_record(account, |record| record.get(field)).unwrap_or(Json::Null)
    }

    /// A column of a customer as text.
    pub async fn customer_field(&self, customer: i64, column: &str) -> Option<String> {
        self.erp.query_one(&format!("select {column}::text from customers where id = $1"), &[&customer]).await.expect("a customer").get(0)
    }

    /// Runs SQL in the ERP as a person would.
    pub async fn sql(&self, sql: &str) {
        self.erp.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// `GET /api/crm/…`.
    pub async fn get(&self, path: &str) -> Json {
        let url = format!("{}/api/crm/{path}", self.url().await);
        let response = self.http.get(&url).bearer_auth(TOKEN).send().await.expect("an answer");
        let status = response.status();
        let body = response.text().await.expect("a body");
        assert!(status.is_success(), "{url}: {status} {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// `POST /api/crm/…`.
    pub async fn post(&self, path: &str, body: &Json) -> Json {
        let url = format!("{}/api/crm/{path}", self.url().await);
        let response = self.http.post(&url).bearer_auth(TOKEN).json(body).send().await.expect("an answer");
        let status = response.status();
        let body = response.text().await.expect("a body");
        assert!(status.is_success(), "{url}: {status} {body}");
        serde_json::from_str(&body).unwrap_or(json!(null))
    }

    /// Holds writing back, so that both sides can be edited "at once".
    pub async fn pause(&self) {
        self.post("pause", &json!({})).await;
        self.wait_paused(true).await;
    }

    /// Lets writing go on.
    pub async fn resume(&self) {
        self.post("resume", &json!({})).await;
    }

    /// Both sinks say that they are (not) paused.
    async fn wait_paused(&self, paused: bool) {
        let read_model = self.stack.read_model().await.expect("the read model");
        eventually(
            "sinks to say they are paused",
            || async {
                let row = read_model
                    .query_one("select count(*) from health where component in ('sink.crm', 'sink.erp') and state = 'paused'", &[])
                    .await
                    .expect("health");
                row.get::<_, i64>(0)
            },
            |count| (*count == 2) == paused,
        )
        .await;
    }

    /// Conflicts of an entity title, from the API.
    pub async fn conflicts(&self, state: &str, title: &str) -> Vec<Json> {
        let page = self.get(&format!("conflicts?state={state}&limit=200")).await;
        let items = page.get("conflicts").or_else(|| page.get("items")).and_then(Json::as_array).cloned().unwrap_or_default();
        items.into_iter().filter(|item| item["title"] == title).collect()
    }

    /// An entity's one conflict about a field, as soon as there is one.
    pub async fn conflict(&self, state: &str, title: &str, field: &str) -> Json {
        let about = || async {
            let found = self.conflicts(state, title).await.into_iter();
            found.filter(|conflict| conflict["field"] == field).collect::<Vec<Json>>()
        };
        let what = format!("a conflict about {field} of {title}, {state}");
        let mut found = eventually(&what, about, |found: &Vec<Json>| !found.is_empty()).await;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Takes a decision, and waits for what the processors answer.
    pub async fn decide(&self, decision: Json) -> Json {
        let taken = self.post("decisions", &json!({ "decisions": [decision] })).await;
        let id = taken["decisions"][0]["id"].as_str().unwrap_or_else(|| panic!("{taken}")).to_owned();
        let answer = |list: &Json| -> Option<Json> {
            let found = list["items"].as_array()?.iter().find(|item| item["id"] == id)?;
            (!found["result"].is_null() && found["result"] != "waiting").then(|| found.clone())
        };
        let list = eventually("an answer to the decision", || self.get("decisions?limit=200"), |list: &Json| answer(list).is_some()).await;
        answer(&list).unwrap_or(Json::Null)
    }
}
