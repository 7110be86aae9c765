//! Slows down whoever gives wrong passwords. The table of senders is bounded: when it is full, the
//! oldest failure is forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

const FREE_FAILURES: u32 = 5;
const WINDOW_S: i64 = 60;
const MAX_SENDERS: usize = 4096;

/// Failures by sender.
#[derive(Default)]
pub(crate) struct Limit(Mutex<BTreeMap<IpAddr, (u32, i64)>>);

impl Limit {
    /// Seconds that this sender must wait before a password is looked at; none when now is fine.
    pub(crate) fn wait_s(&self, sender: IpAddr, now_micros: i64) -> Option<i64> {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (failures, last) = senders.get(&sender)?;
        let left = WINDOW_S - (now_micros - last) / 1_000_000;
        (*failures >= FREE_FAILURES && left > 0).then_some(left)
    }

    /// Counts a wrong password.
    pub(crate) fn failed(&self, sender: IpAddr, now_micros: i64) {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|_, (_, last)| now_micros - *last < WINDOW_S * 1_000_000);
        if senders.len() >= MAX_SENDERS
            && let Some(oldest) = senders.iter().min_by_key(|(_, (_, last))| *last).map(|(sender, _)| *sender)
        {
            senders.remove(&oldest);
        }
        let entry = senders.entry(sender).or_insert((0, now_micros));
        *entry = (entry.0.saturating_add(1), now_micros);
    }

    /// Forgets a sender who gave the right one.
    pub(crate) fn succeeded(&self, sender: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_passwords_are_free_then_a_minute_must_pass() {
        let (limit, sender) = (Limit::default(), IpAddr::from([127, 0, 0, 1]));
        for _ in 0..4 {
            limit.failed(sender, 0);
        }
        assert_eq!(limit.wait_s(sender, 0), None);
        limit.failed(sender, 0);
        assert_eq!(limit.wait_s(sender, 10_000_000), Some(50));
        assert_eq!(limit.wait_s(IpAddr::from([127, 0, 0, 2]), 0), None);
        assert_eq!(limit.wait_s(sender, 60_000_000), None);
    }
}
