//! What customers owe and have on order, and the pipeline by stage: folds over captured changes, around the pure
//! `reconcile::aggregate`.
//!
//! It reads the captured kinds `invoice` (fields `amount`, `due`, `status`), `payment` (`amount`, `invoice`), `order`
//! (`total` or `amount`, `status`) and `opportunity` (`stage`, `amount`, `probability`, `is_closed`, `is_won`); a mapping that
//! captures none of them gives no totals. Sums are said once a batch, however many records touched them. When a day has
//! passed, customers with something due on it are said again.
//!
//! One member does all of it, because the pipeline has one owner.

mod books;
mod fact;

use std::collections::BTreeSet;
use std::sync::Arc;

use reconcile::aggregate::{self, Touched};
use reconcile::mapping::Mapping;
use schemas::message::{CustomerFinancials, EntityChange, PipelineSummary};
use schemas::topic::Topics;
use stream::{Codec, Record};

use crate::error::{Error, Result};
use crate::outbox::Channel;
use crate::task::{Context, Processor, Work};
use books::Books;

/// Its name in topics, metrics, health and folders.
pub(crate) const NAME: &str = "aggregates";

const DAY_US: i64 = 86_400_000_000;
/// Customers said again between two batches when a day has passed.
const STEP: usize = 500;

/// Keeps the totals.
pub struct Aggregates {
    codec: Codec,
    financials: Channel<CustomerFinancials>,
    pipeline: Channel<PipelineSummary>,
    /// What the open batch has touched.
    touched: BTreeSet<Touched>,
}

impl Aggregates {
    /// Totals for a mapping.
    ///
    /// # Errors
    /// What the schema registry says.
    pub async fn open(codec: Codec, topics: &Topics, _mapping: Arc<Mapping>) -> Result<Self> {
        let registry = Error::log(NAME);
        Ok(Self {
            financials: Channel::open(&codec, &topics.customer_financials()).await.map_err(&registry)?,
            pipeline: Channel::open(&codec, &topics.pipeline_summary()).await.map_err(&registry)?,
            touched: BTreeSet::new(),
            codec,
        })
    }

    fn say(&self, context: &mut Context<'_>, touched: &Touched, day: i32) -> Result<()> {
        let at = books::newest(context, touched)?;
        let books = Books::new(context);
        match touched {
            Touched::Customer(customer) => {
                let sums = aggregate::customer(&books, customer).unwrap_or_default();
                let message = CustomerFinancials {
                    customer: customer.clone(),
                    ar_balance: sums.balance.to_string(),
                    overdue: aggregate::overdue(&books, customer, day).to_string(),
                    open_orders: sums.open_orders,
                    open_order_value: sums.open_order_value.to_string(),
                    as_of: day,
                    at,
                };
                books.close()?;
                context.emit(self.financials.record(customer.clone(), &message));
            }
            Touched::Stage(stage) => {
                let sums = aggregate::stage(&books, stage).unwrap_or_default();
                let message = PipelineSummary {
                    stage: stage.clone(),
                    count: sums.count,
                    value: sums.value.to_string(),
                    weighted: sums.weighted.normalize().to_string(),
                    won: sums.won,
                    lost: sums.lost,
                    win_rate_bp: sums.win_rate_bp(),
                    at,
                };
                books.close()?;
                context.emit(self.pipeline.record(stage.clone(), &message));
            }
        }
        Ok(())
    }
}

impl Processor for Aggregates {
    type Input = EntityChange;

    async fn decode(&self, record: &Record) -> Result<Option<EntityChange>> {
        self.codec.message(record).await.map_err(|error| crate::matcher::decoding(NAME, &record.partition.topic, error))
    }

    fn process(&mut self, change: EntityChange, _record: &Record, context: &mut Context<'_>) -> Result<()> {
        let Some(counted) = fact::change(&change)? else { return Ok(()) };
        let mut books = Books::new(context);
        let touched = aggregate::apply(&mut books, &counted);
        books.close()?;
        let touched = touched
            .map_err(|error| Error::Meaningless { what: format!("{} {}", change.kind, change.record), reason: error.to_string() })?;
        for touched in &touched {
            books::note_newest(context, touched, change.committed_at)?;
        }
        self.touched.extend(touched);
        Ok(())
    }

    fn work(&mut self, context: &mut Context<'_>) -> Result<Work> {
        let today = i32::try_from(context.now().div_euclid(DAY_US)).unwrap_or(i32::MAX);
        let passed = books::passed(context)?;
        let day = passed.as_ref().map_or(today, |passed| today.max(passed.day));
        for touched in std::mem::take(&mut self.touched) {
            self.say(context, &touched, day)?;
        }
        let (customers, left) = books::pass(context, passed, today, STEP)?;
        for customer in customers {
            self.say(context, &Touched::Customer(customer), day)?;
        }
        Ok(if left { Work::More } else { Work::None })
    }
}
