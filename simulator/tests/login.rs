//! Signing in by every flow, and how it is refused.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::support::{World, answer};

async fn token(world: &World, form: &[(&str, &str)]) -> Result<(u16, Json)> {
    answer(world.http().post(world.url("/services/oauth2/token")).form(form).send().await?).await
}

async fn works(world: &World, body: &Json) -> Result<bool> {
    let token = body["access_token"].as_str().unwrap_or_default();
    Ok(world.http().get(world.url("/services/data/v66.0/limits")).bearer_auth(token).send().await?.status() == 200)
}

#[tokio::test]
async fn a_signed_assertion_signs_in_and_a_wrong_one_does_not() -> Result<()> {
    let world = World::new().await?;
    let now = simulator::Clock::Real.now_ms() / 1000;
    let good = json!({"iss": world.simulator.client_id(), "sub": world.simulator.username(), "aud": "https://login.salesforce.com", "exp": (now + 180).to_string()});
    let key = EncodingKey::from_rsa_pem(world.simulator.private_key_pem().as_bytes())?;
    let sign = |claims: &Json| jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &key);
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (status, body) = token(&world, &[grant, ("assertion", &sign(&good)?)]).await?;
    assert_eq!((status, &body["token_type"]), (200, &json!("Bearer")), "{body}");
    assert!(body.get("refresh_token").is_none() && body["id"].as_str().is_some_and(|id| id.contains("/id/00D")));
    assert!(works(&world, &body).await?);
    for (name, value, text) in [
        ("sub", json!("somebody"), "user hasn't approved this consumer"),
        ("exp", json!(now - 10), "expired"),
        ("aud", json!("https://example.com"), "audience"),
        ("iss", json!("x"), "client identifier invalid"),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        let (status, body) = token(&world, &[grant, ("assertion", &sign(&claims)?)]).await?;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
        assert!(body["error_description"].as_str().is_some_and(|found| found.contains(text)), "{body}");
    }
    let (message, _) = sign(&good)?.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default();
    assert_eq!(token(&world, &[grant, ("assertion", &format!("{message}.{}", URL_SAFE_NO_PAD.encode([7; 256])))]).await?.0, 400);
    Ok(())
}

#[tokio::test]
async fn client_credentials_work_in_the_body_and_as_basic_and_chunked() -> Result<()> {
    let world = World::new().await?;
    let url = world.url("/services/oauth2/token");
    let basic = world
        .http()
        .post(&url)
        .basic_auth(world.simulator.client_id(), Some(world.simulator.client_secret()))
        .form(&[("grant_type", "client_credentials")]);
    assert!(works(&world, &answer(basic.send().await?).await?.1).await?);
    let text = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        world.simulator.client_id(),
        world.simulator.client_secret()
    );
    let chunks = futures::stream::iter(text.into_bytes().into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte])));
    let chunked =
        world.http().post(&url).header("content-type", "application/x-www-form-urlencoded").body(reqwest::Body::wrap_stream(chunks));
    assert!(works(&world, &answer(chunked.send().await?).await?.1).await?);
    let (status, body) =
        token(&world, &[("grant_type", "client_credentials"), ("client_id", &world.simulator.client_id()), ("client_secret", "wrong")])
            .await?;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_client")));

    let (status, info) = answer(world.http().get(world.url("/services/oauth2/userinfo")).bearer_auth(&world.token).send().await?).await?;
    assert_eq!(
        (status, &info["organization_id"], &info["preferred_username"]),
        (200, &json!(world.simulator.org().org_id().to_string()), &json!(world.simulator.username()))
    );
    world.http().post(world.url("/services/oauth2/revoke")).form(&[("token", &world.token)]).send().await?;
    let (status, body) = world.get("/limits").await?;
    assert_eq!((status, &body[0]["errorCode"]), (401, &json!("INVALID_SESSION_ID")));
    Ok(())
}

#[tokio::test]
async fn a_code_with_its_verifier_signs_in_once_and_refreshes() -> Result<()> {
    let world = World::new().await?;
    let (id, back) = (world.simulator.client_id(), "http://127.0.0.1:1/back");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(b"verifier"));
    let authorize = world.http().get(world.url("/services/oauth2/authorize")).query(&[
        ("response_type", "code"),
        ("client_id", &id),
        ("redirect_uri", back),
        ("state", "s 1"),
        ("code_challenge", &challenge),
    ]);
    let response = authorize.send().await?;
    assert_eq!(response.status(), 302);
    let place = response.headers()["location"].to_str()?.to_owned();
    let code = place.split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default().to_owned();
    assert!(place.starts_with(back) && place.ends_with("&state=s%201"), "{place}");
    let form =
        [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", back), ("client_id", &id), ("code_verifier", "verifier")];
    let (status, body) = token(&world, &form).await?;
    assert_eq!(status, 200, "{body}");
    assert_eq!(token(&world, &form).await?.0, 400);
    let refresh = body["refresh_token"].as_str().unwrap_or_default().to_owned();
    let (status, body) = token(&world, &[("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", &id)]).await?;
    assert!(status == 200 && works(&world, &body).await?);
    Ok(())
}

#[tokio::test]
async fn https_serves_the_same_org() -> Result<()> {
    let settings = simulator::Settings { rest_tls_address: Some(([127, 0, 0, 1], 0).into()), ..Default::default() };
    let world = World::with(settings).await?;
    let url = world.simulator.rest_tls_url().unwrap_or_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(world.simulator.ca_pem().as_bytes())?])
        .build()?;
    let (status, _) = answer(client.get(format!("{url}/services/data/v66.0/limits")).bearer_auth(&world.token).send().await?).await?;
    assert_eq!(status, 200);
    Ok(())
}
