//! The log and the schema registry: reachable, and of the shape that is configured. Nothing is created.

use std::path::Path;
use std::sync::Arc;

use stream::config::Kind;
use stream::{Error, KafkaLog, Log, Registry};

use super::{Looked, Problem, Seen};

pub(super) async fn look(config: &stream::Config) -> Looked {
    let place = place(config);
    match config.kind {
        Kind::Kafka => kafka(config, place).await,
        Kind::Embedded => embedded(&config.path, place),
        Kind::Memory => Ok(Seen { place, what: "nothing stays".to_owned() }),
    }
}

/// Where the log is, for people.
pub(super) fn place(config: &stream::Config) -> String {
    match config.kind {
        Kind::Kafka => format!("Kafka at {}", config.kafka.bootstrap),
        Kind::Embedded => format!("embedded log in {}", config.path.display()),
        Kind::Memory => "log in memory".to_owned(),
    }
}

async fn kafka(config: &stream::Config, place: String) -> Looked {
    if config.kafka.bootstrap.is_empty() {
        return Err(vec![Problem::new("bootstrap in [log.kafka]", "it is missing", "name the brokers as host:port, several with commas")]);
    }
    let problem = |error: Error| vec![refused(&place, &error)];
    // Sooner than the look as a whole gives up, so that the broker's own reason is said.
    let options =
        stream::KafkaOptions { connect_timeout: config.kafka.connect_timeout.min(super::PATIENCE * 4 / 5), ..config.kafka.clone() };
    let log = KafkaLog::connect(options).await.map_err(problem)?;
    let there = log.topics().await.map_err(problem)?;
    let (mut ours, mut wrong) = (0, Vec::new());
    for topic in config.topics().fixed().iter().filter(|topic| there.contains(&topic.name)) {
        ours += 1;
        let found = log.partitions(&topic.name).await.map_err(problem)?;
        if found != topic.partitions {
            wrong.push(Problem::new(
                format!("topic {}", topic.name),
                format!("it has {found} partitions, the configuration says {}", topic.partitions),
                format!("set partitions in [log] to {found}, or choose another prefix"),
            ));
        }
    }
    if wrong.is_empty() {
        Ok(Seen { place, what: format!("reachable; {ours} of our topics are there, run creates the others") })
    } else {
        Err(wrong)
    }
}

fn embedded(path: &Path, place: String) -> Looked {
    let wrong = |what: String| Err(vec![Problem::new(&place, what, "correct path in [log], or the rights of that folder")]);
    // The nearest folder that is there already: the rest is made.
    let Some(there) =
        path.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path }).find(|path| path.exists())
    else {
        return wrong("no folder above it exists".to_owned());
    };
    match std::fs::metadata(there) {
        Err(error) => wrong(format!("cannot look at {}: {error}", there.display())),
        Ok(folder) if !folder.is_dir() => wrong(format!("{} is not a folder", there.display())),
        Ok(folder) if folder.permissions().readonly() => wrong(format!("{} may not be written", there.display())),
        Ok(_) if there == path => Ok(Seen { place, what: "it is there".to_owned() }),
        Ok(_) => Ok(Seen { place, what: "not there yet; run makes it".to_owned() }),
    }
}

fn refused(place: &str, error: &Error) -> Problem {
    let remedy = match error.class() {
        stream::Class::Transient => "see that it runs and can be reached from here, or correct bootstrap in [log.kafka]",
        stream::Class::Record | stream::Class::Fatal => "correct [log.kafka]",
    };
    Problem::new(place, error.to_string(), remedy)
}

/// Where the registry is, for people.
pub(super) fn registry_place(config: &stream::Config) -> String {
    format!("schema registry at {}", config.registry.url.as_deref().unwrap_or_default())
}

/// Asks for a schema: a registry answers, be it that there is none.
pub(super) async fn registry(config: &stream::Config) -> Looked {
    let place = registry_place(config);
    let remedy = "see that it runs and can be reached from here, or correct url and credentials in [log.registry]";
    let problem = |error: &Error| vec![Problem::new(&place, error.to_string(), remedy)];
    // The registry alone: a log in memory costs nothing and is gone at once.
    let alone = stream::Config { kind: Kind::Memory, ..config.clone() };
    let (_, registry): (Arc<dyn Log>, Arc<dyn Registry>) = stream::open(&alone).await.map_err(|error| problem(&error))?;
    match registry.schema(1).await {
        Ok(_) => Ok(Seen { place, what: "reachable".to_owned() }),
        Err(Error::Refused { doing, .. }) if doing.ends_with("(404)") => Ok(Seen { place, what: "reachable, and empty".to_owned() }),
        Err(error) => Err(problem(&error)),
    }
}
