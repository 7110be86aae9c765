//! Incremental folds over changes with before-images: receivables and orders per customer, the pipeline by stage.
//!
//! [`apply`] takes one record's new facts, undoes what its earlier ones added and adds the new ones. So a repeat changes
//! nothing, and any order of changes that ends in the same facts ends in the same sums, which are those of
//! [`recompute`]. Everything kept is one small entry per [`Key`], in a store of the caller's ([`Entries`]): a customer's thousand
//! invoices are a thousand entries, not one that grows.
//!
//! ```text
//! balance  = Σ open invoices (amount − payments made to them) − Σ payments made to no invoice
//! overdue  = Σ open invoices due before the given day (amount − payments made to them)
//! weighted = Σ amount × probability
//! win rate = won / (won + lost)
//! ```
//!
//! A payment counts where its invoice counts, and not before the invoice is known. It leaves out currencies: amounts are of one.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::error::Error;

/// Name under which the whole pipeline is summed.
pub const ALL: &str = "all";

/// What a record says, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// An invoice.
    Invoice {
        /// Amount.
        amount: Decimal,
        /// Due day, days since 1970-01-01.
        due: Option<i32>,
        /// Neither paid in full, void nor a draft.
        open: bool,
    },
    /// A payment.
    Payment {
        /// Amount.
        amount: Decimal,
        /// Record id of the invoice that it pays; none for one on account.
        invoice: Option<String>,
    },
    /// A sales order.
    Order {
        /// Amount.
        amount: Decimal,
        /// Neither shipped in full, invoiced nor cancelled.
        open: bool,
    },
    /// An opportunity.
    Opportunity {
        /// Stage name.
        stage: String,
        /// Amount.
        amount: Decimal,
        /// Probability in percent.
        probability: Decimal,
        /// Closed.
        closed: bool,
        /// Closed and won.
        won: bool,
    },
}

/// Kind of a fact; with the record id it names a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Invoice.
    Invoice,
    /// Payment.
    Payment,
    /// Order.
    Order,
    /// Opportunity.
    Opportunity,
}

/// One record's facts after a change; none when it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Kind.
    pub kind: Kind,
    /// Record id.
    pub record: String,
    /// Customer entity that it belongs to; counted nowhere while unknown.
    pub customer: Option<String>,
    /// What it says now.
    pub fact: Option<Fact>,
}

/// What is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A record's facts as last counted.
    Record(Kind, String),
    /// Sum of the payments made to an invoice.
    Paid(String),
    /// A customer's outstanding amount by due day.
    Due(String, i32),
    /// A customer's sums.
    Customer(String),
    /// A stage's sums, or all stages' under [`ALL`].
    Stage(String),
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Customer and facts of a record.
    Record(Option<String>, Fact),
    /// A sum.
    Sum(Decimal),
    /// A customer's sums.
    Customer(CustomerSums),
    /// A stage's sums.
    Stage(StageSums),
}

/// Sums of one customer that do not depend on the day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CustomerSums {
    /// Receivables.
    pub balance: Decimal,
    /// Open orders.
    pub open_orders: i64,
    /// Their amount.
    pub open_order_value: Decimal,
}

/// Sums of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct StageSums {
    /// Opportunities.
    pub count: i64,
    /// Sum of amounts.
    pub value: Decimal,
    /// Sum of amount × probability.
    pub weighted: Decimal,
    /// Closed and won.
    pub won: i64,
    /// Closed and lost.
    pub lost: i64,
}

impl StageSums {
    /// Won over closed in parts of 10,000, rounded down; none while nothing is closed.
    pub fn win_rate_bp(&self) -> Option<i64> {
        let closed = self.won + self.lost;
        (closed > 0).then(|| self.won * 10_000 / closed)
    }
}

/// Where entries are kept. An entry that is `None` is absent.
pub trait Entries {
    /// One entry.
    fn get(&self, key: &Key) -> Option<Entry>;
    /// Puts or removes one.
    fn put(&mut self, key: Key, entry: Option<Entry>);
    /// Sum of a customer's [`Key::Due`] entries before a day.
    fn due_before(&self, customer: &str, day: i32) -> Decimal;
}

impl Entries for BTreeMap<Key, Entry> {
    fn get(&self, key: &Key) -> Option<Entry> {
        BTreeMap::get(self, key).cloned()
    }

    fn put(&mut self, key: Key, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.insert(key, entry),
            None => self.remove(&key),
        };
    }

    fn due_before(&self, customer: &str, day: i32) -> Decimal {
        let range = Key::Due(customer.to_owned(), i32::MIN)..Key::Due(customer.to_owned(), day);
        self.range(range).map(|(_, entry)| if let Entry::Sum(sum) = entry { *sum } else { Decimal::ZERO }).sum()
    }
}

/// Whose sums a change touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// A customer.
    Customer(String),
    /// A stage, or [`ALL`].
    Stage(String),
}

/// Counts one record's change. Returns whose sums to publish again, in order.
pub fn apply(entries: &mut impl Entries, change: &Change) -> Result<Vec<Touched>, Error> {
    if let Some(fact) = &change.fact {
        exact(&change.record, fact)?;
    }
    let key = Key::Record(change.kind, change.record.clone());
    let old = match entries.get(&key) {
        Some(Entry::Record(customer, fact)) => Some((customer, fact)),
        _ => None,
    };
    let new = change.fact.as_ref().map(|fact| (change.customer.clone(), fact.clone()));
    if old == new {
        return Ok(Vec::new());
    }
    let mut touched = Vec::new();
    if let Some((customer, fact)) = &old {
        count(entries, &change.record, customer.as_deref(), fact, false, &mut touched);
    }
    entries.put(key, new.clone().map(|(customer, fact)| Entry::Record(customer, fact)));
    if let Some((customer, fact)) = &new {
        count(entries, &change.record, customer.as_deref(), fact, true, &mut touched);
    }
    touched.sort();
    touched.dedup();
    Ok(touched)
}

/// A customer's sums; none when nothing of it is counted.
pub fn customer(entries: &impl Entries, customer: &str) -> Option<CustomerSums> {
    match entries.get(&Key::Customer(customer.to_owned())) {
        Some(Entry::Customer(sums)) => Some(sums),
        _ => None,
    }
}

/// What a customer owes that was due before a day (days since 1970-01-01).
pub fn overdue(entries: &impl Entries, customer: &str, day: i32) -> Decimal {
    entries.due_before(customer, day)
}

/// A stage's sums; none when no opportunity is there.
pub fn stage(entries: &impl Entries, stage: &str) -> Option<StageSums> {
    match entries.get(&Key::Stage(stage.to_owned())) {
        Some(Entry::Stage(sums)) => Some(sums),
        _ => None,
    }
}

/// The sums of a set of records, from scratch: for checking, and for building state anew.
pub fn recompute<'c>(records: impl IntoIterator<Item = &'c Change>) -> Result<BTreeMap<Key, Entry>, Error> {
    let mut entries = BTreeMap::new();
    for change in records {
        apply(&mut entries, change)?;
    }
    Ok(entries)
}

fn exact(record: &str, fact: &Fact) -> Result<(), Error> {
    let amounts = match fact {
        Fact::Invoice { amount, .. } | Fact::Payment { amount, .. } | Fact::Order { amount, .. } => vec![amount],
        Fact::Opportunity { amount, probability, .. } => vec![amount, probability],
    };
    let limit = Decimal::from(1_000_000_000_000_000_i64);
    for amount in amounts {
        if amount.abs() >= limit || amount.normalize().scale() > 4 {
            return Err(Error::Amount { record: record.to_owned(), amount: amount.to_string() });
        }
    }
    Ok(())
}

fn count(entries: &mut impl Entries, record: &str, customer: Option<&str>, fact: &Fact, add: bool, touched: &mut Vec<Touched>) {
    let signed = |amount: Decimal| if add { amount } else { -amount };
    match fact {
        Fact::Invoice { amount, due, open } => {
            let outstanding = *amount - paid(entries, record);
            if *open {
                owe(entries, customer, *due, signed(outstanding), touched);
            }
        }
        Fact::Payment { amount, invoice: Some(invoice) } => {
            let sum = paid(entries, invoice) + signed(*amount);
            entries.put(Key::Paid(invoice.clone()), (!sum.is_zero()).then_some(Entry::Sum(sum)));
            if let Some(Entry::Record(payer, Fact::Invoice { due, open: true, .. })) =
                entries.get(&Key::Record(Kind::Invoice, invoice.clone()))
            {
                owe(entries, payer.as_deref(), due, -signed(*amount), touched);
            }
        }
        Fact::Payment { amount, invoice: None } => owe(entries, customer, None, -signed(*amount), touched),
        Fact::Order { amount, open } => {
            if *open {
                let step = if add { 1 } else { -1 };
                of_customer(entries, customer, touched, |sums| {
                    sums.open_orders += step;
                    sums.open_order_value += signed(*amount);
                });
            }
        }
        Fact::Opportunity { stage, amount, probability, closed, won } => {
            let step = if add { 1 } else { -1 };
            let weighted = *amount * *probability * Decimal::new(1, 2);
            let names = [stage.as_str(), ALL];
            // A stage that is called so too is summed once, with all.
            for name in names.iter().take(if stage == ALL { 1 } else { 2 }) {
                of_stage(entries, name, touched, |sums| {
                    sums.count += step;
                    sums.value += signed(*amount);
                    sums.weighted += signed(weighted);
                    if *closed && *won {
                        sums.won += step;
                    } else if *closed {
                        sums.lost += step;
                    }
                });
            }
        }
    }
}

fn paid(entries: &impl Entries, invoice: &str) -> Decimal {
    match entries.get(&Key::Paid(invoice.to_owned())) {
        Some(Entry::Sum(sum)) => sum,
        _ => Decimal::ZERO,
    }
}

fn owe(entries: &mut impl Entries, customer: Option<&str>, due: Option<i32>, amount: Decimal, touched: &mut Vec<Touched>) {
    let Some(name) = customer else { return };
    if let Some(day) = due {
        let key = Key::Due(name.to_owned(), day);
        let sum = match entries.get(&key) {
            Some(Entry::Sum(sum)) => sum + amount,
            _ => amount,
        };
        entries.put(key, (!sum.is_zero()).then_some(Entry::Sum(sum)));
    }
    of_customer(entries, customer, touched, |sums| sums.balance += amount);
}

fn of_customer(entries: &mut impl Entries, name: Option<&str>, touched: &mut Vec<Touched>, change: impl FnOnce(&mut CustomerSums)) {
    let Some(name) = name else { return };
    let mut sums = customer(entries, name).unwrap_or_default();
    change(&mut sums);
    let entry = (sums != CustomerSums::default()).then_some(Entry::Customer(sums));
    entries.put(Key::Customer(name.to_owned()), entry);
    touched.push(Touched::Customer(name.to_owned()));
}

fn of_stage(entries: &mut impl Entries, name: &str, touched: &mut Vec<Touched>, change: impl FnOnce(&mut StageSums)) {
    let mut sums = stage(entries, name).unwrap_or_default();
    change(&mut sums);
    let entry = (sums != StageSums::default()).then_some(Entry::Stage(sums));
    entries.put(Key::Stage(name.to_owned()), entry);
    touched.push(Touched::Stage(name.to_owned()));
}
