//! A Salesforce org in one process.
//!
//! It is for tests, demonstrations and benchmarks of programs that speak to Salesforce: OAuth, the
//! REST and Bulk 2.0 APIs, and the Pub/Sub API with change events over TLS. It keeps records in
//! memory, changes them in transactions, and turns each commit into change events with true schemas,
//! headers, bitmaps and origins. Everything that happens depends on the calls, the seed and the clock.
//!
//! Service time and faults are settings that can change while it runs. It knows nothing of who uses
//! it, keeps nothing on disk, and leaves out sharing rules, Apex, layouts, SOSL and aggregates.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use serde_json::json;
//! use simulator::{Actor, Settings, Simulator};
//!
//! let simulator = Simulator::start(Settings::default()).await?;
//! let org = simulator.org();
//! let person = Actor::lightning(org.admin_user());
//! let id = org.create(&person, "Account", &json!({"Name": "Acme"}))?;
//! assert_eq!(org.count("Account"), 1);
//! simulator.settings().update(|live| live.latency_ms = 20);
//! println!("{} {id}", simulator.rest_url());
//! simulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod certificate;
mod clock;
mod error;
mod events;
mod org;
pub mod proto;
mod pubsub;
mod rest;
mod server;
mod settings;
mod soql;

pub use clock::Clock;
pub use error::{ApiError, Class, SimulatorError};
pub use events::ChangeType;
pub use org::Actor;
pub use org::handle::{Org, OrgTransaction, RecordRef};
pub use org::id::RecordId;
pub use server::Simulator;
pub use settings::{DeletedLast, Flow, FlowValue, Live, Settings, SettingsHandle};
