//! The files behind the pages: styles, script, icons and fonts, embedded in the binary.
//!
//! Each is served under a name that holds the hash of its bytes, so that browsers keep it for a year and
//! never show an old one. Text is compressed once, on first use. Fonts named in the style sheet get their
//! hashed names there too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

struct Asset {
    kind: &'static str,
    bytes: Vec<u8>,
    brotli: Option<Vec<u8>>,
    tag: String,
}

struct Assets {
    /// By the name in the address.
    files: BTreeMap<String, Asset>,
    /// Plain name → name in the address.
    names: BTreeMap<&'static str, String>,
}

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../assets/", $name)).as_slice())
    };
}

const TEXT_QUALITY: i32 = 9;
const KEEP: &str = "public, max-age=31536000, immutable";

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut assets = Assets { files: BTreeMap::new(), names: BTreeMap::new() };
    // The style sheet names the fonts, so they come first.
    for (name, bytes) in [file!("geist.woff2"), file!("geist-mono.woff2"), file!("icons.svg"), file!("logo.svg"), file!("app.js")] {
        assets.add(name, bytes.to_vec());
    }
    for (name, bytes) in [file!("OFL-geist.txt"), file!("ISC-lucide.txt")] {
        assets.add(name, bytes.to_vec());
    }
    let (name, bytes) = file!("app.css");
    let mut styles = String::from_utf8_lossy(bytes).into_owned();
    for font in ["geist.woff2", "geist-mono.woff2"] {
        let hashed = assets.names[font].clone();
        styles = styles.replace(&format!("url({font})"), &format!("url({hashed})"));
    }
    assets.add(name, styles.into_bytes());
    assets
});

impl Assets {
    fn add(&mut self, name: &'static str, bytes: Vec<u8>) {
        let tag: String = Sha256::digest(&bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}.{tag}.{ending}");
        let kind = match ending {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "woff2" => "font/woff2",
            _ => "text/plain; charset=utf-8",
        };
        let brotli = (ending != "woff2").then(|| compress(&bytes)).flatten();
        self.files.insert(hashed.clone(), Asset { kind, bytes, brotli, tag: format!("\"{tag}\"") });
        self.names.insert(name, hashed);
    }
}

fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: TEXT_QUALITY, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &params).ok()?;
    Some(out)
}

/// The address of an asset; an unknown name gives an address that is not served.
pub(crate) fn url(name: &str) -> String {
    ASSETS.names.get(name).map_or_else(|| format!("/assets/{name}"), |hashed| format!("/assets/{hashed}"))
}

/// Address of the icon sheet, which every page names many times.
pub(crate) fn icons() -> &'static str {
    static ICONS: LazyLock<String> = LazyLock::new(|| url("icons.svg"));
    &ICONS
}

/// `GET /assets/{name}`.
pub(crate) async fn get(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.files.get(&name) else {
        return (StatusCode::NOT_FOUND, "There is no such file.").into_response();
    };
    let has = |name: header::HeaderName, wanted: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
    };
    let fixed = [(header::CACHE_CONTROL, KEEP), (header::ETAG, asset.tag.as_str()), (header::VARY, "accept-encoding")];
    if has(header::IF_NONE_MATCH, &asset.tag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    match &asset.brotli {
        Some(bytes) if has(header::ACCEPT_ENCODING, "br") => {
            (fixed, [(header::CONTENT_TYPE, asset.kind), (header::CONTENT_ENCODING, "br")], Body::from(bytes.clone())).into_response()
        }
        _ => (fixed, [(header::CONTENT_TYPE, asset.kind)], Body::from(asset.bytes.clone())).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_hashed_name_and_the_style_sheet_names_the_fonts_by_it() {
        let styles = &ASSETS.files[ASSETS.names["app.css"].as_str()];
        let text = String::from_utf8_lossy(&styles.bytes);
        assert!(text.contains(&ASSETS.names["geist.woff2"]));
        assert!(!text.contains("url(geist.woff2)"));
        assert!(url("app.js").starts_with("/assets/app.") && url("app.js").ends_with(".js"));
        assert!(styles.brotli.as_ref().is_some_and(|small| small.len() * 3 < styles.bytes.len()));
    }
}
