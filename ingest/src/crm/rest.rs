//! REST calls: queries, descriptions, limits. A refused token is renewed once per call; what is passing is left to
//! whoever asked, who knows how long to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::config::Config;
use super::error::{Error, Result};
use super::fault::Fault;
use super::login::{Access, Login, chain};
use super::metrics;
use super::object::Object;

/// One record of a query's answer.
pub(crate) type Record = Map<String, Json>;

/// A REST client of one org.
pub(crate) struct Rest {
    http: reqwest::Client,
    login: Arc<Login>,
    version: String,
    calls: AtomicU64,
    limit: AtomicU64,
}

#[derive(Deserialize)]
struct Page {
    records: Vec<Record>,
    done: bool,
    #[serde(rename = "nextRecordsUrl")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "errorCode")]
    code: String,
    message: String,
}

impl Rest {
    pub(crate) fn new(config: &Config, http: reqwest::Client, login: Arc<Login>) -> Self {
        Self { http, login, version: config.api_version.clone(), calls: AtomicU64::new(0), limit: AtomicU64::new(0) }
    }

    /// API calls used and allowed in 24 hours, as the last answer said.
    pub(crate) fn usage(&self) -> Option<(u64, u64)> {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit > 0).then(|| (self.calls.load(Ordering::Relaxed), limit))
    }

    /// Everything a query returns, page by page in memory; bound it with LIMIT. With `deleted`, also records in the
    /// recycle bin.
    pub(crate) async fn query(&self, doing: &str, query: &str, deleted: bool) -> Result<Vec<Record>> {
        let kind = if deleted { "queryAll" } else { "query" };
        let path = format!("/services/data/{}/{kind}", self.version);
        let mut body = self.get(doing, &path, &[("q", query)]).await?;
        let mut records = Vec::new();
        loop {
            let page: Page =
                serde_json::from_slice(&body).map_err(|error| Error::Answer { doing: doing.to_owned(), reason: error.to_string() })?;
            records.extend(page.records);
            match page.next {
                Some(next) if !page.done && next.starts_with('/') => body = self.get(doing, &next, &[]).await?,
                _ => return Ok(records),
            }
        }
    }

    /// What our user may know of an object.
    pub(crate) async fn describe(&self, object: &str) -> Result<Object> {
        let path = format!("/services/data/{}/sobjects/{object}/describe", self.version);
        let body = self.get(&format!("to describe {object}"), &path, &[]).await?;
        Object::parse(&body).map_err(|reason| Error::Answer { doing: format!("describing {object}"), reason })
    }

    async fn get(&self, doing: &str, path: &str, query: &[(&str, &str)]) -> Result<bytes::Bytes> {
        let access = self.login.access().await?;
        match self.send(&access, doing, path, query).await {
            Err(error) if error.fault() == Fault::Token => {
                self.login.reject(&access).await;
                let access = self.login.access().await?;
                self.send(&access, doing, path, query).await
            }
            answer => answer,
        }
    }

    async fn send(&self, access: &Access, doing: &str, path: &str, query: &[(&str, &str)]) -> Result<bytes::Bytes> {
        let failed = |error: reqwest::Error| Error::Request { doing: doing.to_owned(), reason: chain(&error) };
        let request = self.http.get(format!("{}{path}", access.instance_url)).query(query).bearer_auth(&access.token);
        metrics::rest_call();
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        if let Some((calls, limit)) = response.headers().get("sforce-limit-info").and_then(|value| usage(value.to_str().ok()?)) {
            self.calls.store(calls, Ordering::Relaxed);
            self.limit.store(limit, Ordering::Relaxed);
        }
        let body = response.bytes().await.map_err(failed)?;
        if status == 200 {
            return Ok(body);
        }
        let refused = serde_json::from_slice::<Vec<Refused>>(&body).ok().and_then(|mut errors| errors.pop());
        let (code, message) =
            refused.map_or_else(|| ("no error code".to_owned(), "no message".to_owned()), |refused| (refused.code, refused.message));
        Err(Error::Rest { doing: doing.to_owned(), status, code, message })
    }
}

/// `api-usage=10018/100000` → 10018, 100000.
fn usage(header: &str) -> Option<(u64, u64)> {
    let (calls, limit) = header.split(',').find_map(|part| part.trim().strip_prefix("api-usage="))?.split_once('/')?;
    Some((calls.parse().ok()?, limit.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_header_is_read() {
        assert_eq!(usage("api-usage=10018/100000"), Some((10_018, 100_000)));
        assert_eq!(usage("api-usage=1/2, per-app-api-usage=3/4(appName=x)"), Some((1, 2)));
        assert_eq!(usage("nonsense"), None);
    }
}
