//! A mapping handed to the process that runs, through its state directory: whoever may write there may change the mapping.
//!
//! ```text
//! concord mapping apply ─▶ mapping.request.json ─▶ concord run ─▶ control
//!                       ◀─ mapping.answer.json  ◀─┘
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Answer, Control};

/// How often the running process looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long the command waits for somebody to take the request.
const TAKEN: Duration = Duration::from_secs(3);
/// How long it waits for the answer then.
const ANSWERED: Duration = Duration::from_secs(30);

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Request {
    id: Uuid,
    text: String,
    actor: String,
    dry: bool,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Reply {
    id: Uuid,
    answer: Result<Answer, String>,
}

fn request_path(dir: &Path) -> PathBuf {
    dir.join("mapping.request.json")
}

fn answer_path(dir: &Path) -> PathBuf {
    dir.join("mapping.answer.json")
}

/// Asks the process that runs on a state directory; none when nobody does.
///
/// # Errors
/// What it answered, or that it did not.
pub async fn ask(dir: &Path, text: &str, actor: &str, dry: bool) -> anyhow::Result<Option<Answer>> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let request = Request { id: Uuid::new_v4(), text: text.to_owned(), actor: actor.to_owned(), dry };
    put(&request_path(dir), &request).with_context(|| format!("handing the mapping over in {}", dir.display()))?;
    let taken = wait(TAKEN, || (!request_path(dir).exists()).then_some(())).await;
    if taken.is_none() {
        // Nobody runs here; nor shall a later start take it for a new wish.
        std::fs::remove_file(request_path(dir)).ok();
        return Ok(None);
    }
    let answered = || std::fs::read(answer_path(dir)).ok().and_then(|bytes| serde_json::from_slice::<Reply>(&bytes).ok());
    match wait(ANSWERED, || answered().filter(|reply| reply.id == request.id)).await {
        Some(reply) => reply.answer.map(Some).map_err(anyhow::Error::msg),
        None => bail!("the running process took the mapping but has not answered; see its log"),
    }
}

async fn wait<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let looking = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(LOOK / 2).await;
        }
    };
    tokio::time::timeout(patience, looking).await.ok()
}

/// Takes requests until shutdown.
///
/// # Errors
/// Never; what goes wrong is the request's answer.
pub async fn serve(dir: PathBuf, control: Control, shutdown: CancellationToken) -> Result<(), std::convert::Infallible> {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Ok(bytes) = std::fs::read(request_path(&dir)) else { continue };
        std::fs::remove_file(request_path(&dir)).ok();
        let request: Request = match serde_json::from_slice(&bytes) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "a request for another mapping cannot be read and is passed over");
                continue;
            }
        };
        let answer = control.apply(&request.text, &request.actor, false, request.dry).await.map_err(|error| format!("{error:#}"));
        if let Err(error) = put(&answer_path(&dir), &Reply { id: request.id, answer }) {
            tracing::warn!(%error, "the answer about a mapping cannot be written");
        }
    }
    Ok(())
}

/// Writes a file as a whole, or not at all.
fn put(path: &Path, value: &impl serde::Serialize) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(value)?)?;
    std::fs::rename(new, path)
}
