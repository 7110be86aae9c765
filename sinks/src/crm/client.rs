//! REST calls to one org: signs in, tells transport faults from refusals, and keeps count of the org's API calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value as Json;

use super::Config;
use super::auth::{Token, Tokens};
use crate::clock::Clock;
use crate::error::{Error, chain};
use crate::metrics::Metrics;

const TARGET: &str = "Salesforce";
/// Marks our changes in Salesforce's own change stream.
pub(super) const CALL_OPTIONS: &str = "client=concord";

/// An answer that the caller must look at: a success, or a refusal of this very call.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Json,
}

impl Reply {
    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Code and message of the first error in the body.
    pub(crate) fn refusal(&self) -> (String, String) {
        let first = self.body.get(0).unwrap_or(&self.body);
        let text = |key: &str| first[key].as_str().unwrap_or_default().to_owned();
        let code = text("errorCode");
        (if code.is_empty() { format!("HTTP_{}", self.status) } else { code }, text("message"))
    }
}

#[derive(Default, Clone)]
struct Known {
    usage: Option<(i64, i64)>,
    instance: Option<String>,
}

pub(crate) struct Client {
    http: reqwest::Client,
    tokens: Tokens,
    config: Config,
    clock: Clock,
    metrics: Metrics,
    known: Mutex<Known>,
}

impl Client {
    pub(crate) fn new(config: Config, clock: Clock, metrics: Metrics) -> Result<Self, Error> {
        let setting = |what: String, remedy: &str| Error::Setting { what, remedy: remedy.to_owned() };
        // Fails when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().timeout(config.timeout).connect_timeout(config.connect_timeout).user_agent("concord");
        if let Some(pem) = &config.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| {
                setting(format!("ca_pem cannot be read: {}", chain(&error)), "give one or more certificates in PEM form")
            })?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http =
            builder.build().map_err(|error| setting(format!("the HTTP client cannot be made: {}", chain(&error)), "check ca_pem"))?;
        let tokens = Tokens::new(&config, http.clone(), clock.clone());
        Ok(Self { http, tokens, config, clock, metrics, known: Mutex::default() })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// API calls used and allowed in 24 hours, as last heard.
    pub(crate) fn usage(&self) -> Option<(i64, i64)> {
        self.known().usage
    }

    /// The org's address.
    pub(crate) fn instance(&self) -> Option<String> {
        self.known().instance
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error once the org's calls have reached our share of them.
    pub(crate) fn within_share(&self) -> Result<(), Error> {
        let Some((used, limit)) = self.usage() else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
        if limit > 0 && used as f64 >= limit as f64 * self.config.api_share {
            let percent = self.config.api_share * 100.0;
            let what =
                format!("{used} of the org's {limit} API calls in 24 hours are used, and writing may go up to {percent:.0} % of them");
            return Err(Error::Limit { what, after: self.config.limit_check });
        }
        Ok(())
    }

    /// Signs in and asks for the limits.
    pub(crate) async fn check_limits(&self) -> Result<(), Error> {
        let reply = self.call(Method::GET, "limits", None, &[]).await?;
        let daily = &reply.body["DailyApiRequests"];
        if let (Some(limit), Some(left)) = (daily["Max"].as_i64(), daily["Remaining"].as_i64()) {
            self.note_usage(limit - left, limit);
        }
        self.within_share()
    }

    fn note_usage(&self, used: i64, limit: i64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).usage = Some((used, limit));
        self.metrics.crm_usage(used, limit);
    }

    /// Makes a call below `/services/data/vNN.N/`. A refused token is renewed once.
    ///
    /// # Errors
    /// When Salesforce could not be reached or did not answer (the call may have taken effect), is busy, does not let us
    /// in, or its limit is used up.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Json>, headers: &[(&str, String)]) -> Result<Reply, Error> {
        let token = self.tokens.get().await?;
        match self.send(&token, method.clone(), path, body, headers).await? {
            Some(reply) => return Ok(reply),
            None => self.tokens.refused(&token).await,
        }
        let token = self.tokens.get().await?;
        match self.send(&token, method, path, body, headers).await? {
            Some(reply) => Ok(reply),
            None => {
                self.tokens.refused(&token).await;
                Err(Error::Credentials {
                    target: TARGET,
                    reason: "a token just given is refused (INVALID_SESSION_ID)".to_owned(),
                    remedy: "check the user's login hours and IP ranges and the connected app's scopes (api)".to_owned(),
                })
            }
        }
    }

    /// None when the token is refused.
    async fn send(
        &self,
        token: &Arc<Token>,
        method: Method,
        path: &str,
        body: Option<&Json>,
        headers: &[(&str, String)],
    ) -> Result<Option<Reply>, Error> {
        let doing = "calling its API";
        self.known.lock().unwrap_or_else(PoisonError::into_inner).instance = Some(token.instance.clone());
        let url = format!("{}/services/data/v{}/{path}", token.instance, self.config.api_version);
        let mut request = self.http.request(method, url).bearer_auth(token.bearer.reveal()).header("Sforce-Call-Options", CALL_OPTIONS);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let begun = (self.clock)();
        let ended = |end: &str| {
            #[expect(clippy::cast_precision_loss, reason = "a call takes less than 2^52 microseconds")]
            self.metrics.crm_call(end, ((self.clock)() - begun) as f64 / 1e6);
        };
        let reach = |error: reqwest::Error| {
            ended("lost");
            Error::Reach { target: TARGET, doing, reason: chain(&error.without_url()) }
        };
        let response = request.send().await.map_err(reach)?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some((used, limit)) = header("Sforce-Limit-Info").and_then(api_usage) {
            self.note_usage(used, limit);
        }
        let after = header("Retry-After").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let bytes = response.bytes().await.map_err(reach)?;
        let reply =
            Reply { status, body: if bytes.is_empty() { Json::Null } else { serde_json::from_slice(&bytes).unwrap_or(Json::Null) } };
        ended(if reply.ok() { "ok" } else { "refused" });
        let (code, message) = if reply.ok() { Default::default() } else { reply.refusal() };
        match (status, code.as_str()) {
            (401, _) => Ok(None),
            (403, "REQUEST_LIMIT_EXCEEDED") => {
                Err(Error::Limit { what: format!("Salesforce refuses calls: {message}"), after: self.config.limit_check })
            }
            (406 | 420 | 429 | 500.., _) => {
                Err(Error::Busy { target: TARGET, doing, reason: format!("HTTP {status} {code} {message}"), after })
            }
            _ => Ok(Some(reply)),
        }
    }
}

/// Calls used and allowed from `api-usage=18/5000` (other parts may follow).
fn api_usage(header: &str) -> Option<(i64, i64)> {
    let usage = header.split([',', ';']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, limit) = usage.split_once('/')?;
    Some((used.trim().parse().ok()?, limit.split(' ').next()?.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn usage_is_read_from_the_header() {
        assert_eq!(super::api_usage("api-usage=10018/100000"), Some((10018, 100_000)));
        assert_eq!(super::api_usage("api-usage=25/5000; per-app-api-usage=17/250(appName=x)"), Some((25, 5000)));
        assert_eq!(super::api_usage("nothing"), None);
    }
}
