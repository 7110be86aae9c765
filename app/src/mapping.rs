//! The mapping in force: put on `control` when `concord run` starts with another one, and by `concord mapping apply` while it
//! runs.
//!
//! A log of its own on disk belongs to the process that runs on it, so the command hands the file over through the state
//! directory ([`inbox`]); on a broker it publishes by itself. Either way the same question is asked first: what is different,
//! and may it change now.

pub mod inbox;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use processors::in_force;
use processors::mapping_file::{Places, Weight, differences, parse};
use reconcile::mapping::Mapping;
use schemas::message::Setting;
use schemas::topic::Topics;
use stream::{Codec, Log, NewRecord, Start};

use crate::cli;
use crate::config::Config;
use crate::print::Printer;

/// What an application of a mapping comes to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Answer {
    /// The version in force from now on, or still.
    pub version: i64,
    /// It was put in force.
    pub applied: bool,
    /// What is different from the mapping in force before.
    pub differences: Vec<Said>,
    /// What keeps it from being put in force.
    pub refused: Vec<Said>,
}

/// One difference, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Said {
    /// Which part: `entity.customer.field.name`.
    pub path: String,
    /// Its line in the new file, unless it is gone from it.
    pub line: Option<usize>,
    /// What is different.
    pub what: String,
    /// `policy`, `values`, `start` or `never`: when it may be put in force, and what for.
    pub kind: String,
    /// What mends it, of what is refused.
    pub remedy: String,
}

/// The log that a setting is read from and written to.
#[derive(Clone)]
pub struct Control {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Encodes and decodes what stands on it.
    pub codec: Codec,
    /// Topic names.
    pub topics: Topics,
}

impl Control {
    /// The mapping that was put on `control` last.
    ///
    /// # Errors
    /// What the log says.
    pub async fn latest(&self) -> anyhow::Result<Option<Setting>> {
        let topic = self.topics.control();
        let mut latest: Option<Setting> = None;
        for (partition, end) in self.log.ends(&topic).await.context("reading control")? {
            let mut reader = self.log.reader(vec![(partition.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&partition).copied().unwrap_or(end) < end {
                for record in reader.poll(100, Duration::from_millis(100)).await? {
                    if let Ok(Some(setting)) = self.codec.message::<Setting>(&record).await
                        && setting.name == in_force::SETTING
                        && latest.as_ref().is_none_or(|latest| latest.version < setting.version)
                    {
                        latest = Some(setting);
                    }
                }
            }
        }
        Ok(latest)
    }

    async fn publish(&self, setting: &Setting) -> anyhow::Result<()> {
        let topic = self.topics.control();
        let bytes = self.codec.encode(&topic, setting).await?;
        self.log.publish(vec![NewRecord::new(topic.as_str(), in_force::SETTING, bytes)]).await.context("putting the mapping on control")
    }

    /// Puts a mapping in force, unless something keeps it from that; with `dry`, only says what would be.
    ///
    /// # Errors
    /// When it is no mapping, or what the log says.
    pub async fn apply(&self, text: &str, actor: &str, at_start: bool, dry: bool) -> anyhow::Result<Answer> {
        let new = parse(text)?;
        let latest = self.latest().await?;
        // One that this build no longer takes has nothing to say against another.
        let old = latest.as_ref().and_then(|setting| in_force::Mappings::default().set(setting).ok());
        let places = Places::of(text);
        let said = |difference: processors::mapping_file::Difference, remedy: &str| Said {
            line: places.line(&difference.path),
            path: difference.path,
            what: difference.what,
            kind: difference.weight.as_str().to_owned(),
            remedy: remedy.to_owned(),
        };
        let differences = old.as_ref().map(|old| differences(old, &new)).unwrap_or_default();
        let refused = old.as_ref().map(|old| in_force::refused(old, &new, at_start)).unwrap_or_default();
        let now = latest.as_ref().map(|setting| setting.version);
        let mut answer = Answer {
            version: now.unwrap_or(new.version),
            applied: false,
            differences: differences.into_iter().map(|difference| said(difference, "")).collect(),
            refused: refused
                .into_iter()
                .map(|difference| {
                    let remedy = in_force::remedy(difference.weight);
                    said(difference, remedy)
                })
                .collect(),
        };
        let same = old.as_ref().is_some_and(|old| old.text == text);
        if same || !answer.refused.is_empty() {
            return Ok(answer);
        }
        answer.version = in_force::next_version(now, &new);
        if !dry {
            self.publish(&in_force::setting(text, answer.version, actor, now_micros())).await?;
            answer.applied = true;
        }
        Ok(answer)
    }
}

/// The mapping that processors start with: the configured file, as the version that it has on `control`.
///
/// # Errors
/// When it cannot take the place of the one in force, with what mends it.
pub async fn at_start(control: &Control, config: &Config) -> anyhow::Result<Arc<Mapping>> {
    let answer = control.apply(&config.mapping.text, "concord run", true, false).await?;
    if !answer.refused.is_empty() {
        let file = config.mapping.path.display();
        let refused: Vec<String> =
            answer.refused.iter().map(|said| format!("{}; mend it: {}", place(&file.to_string(), said), said.remedy)).collect();
        bail!("the mapping cannot take the place of version {}, which is in force:\n  {}", answer.version, refused.join("\n  "));
    }
    for said in answer.differences.iter().filter(|_| answer.applied) {
        tracing::info!(mapping.version = answer.version, part = said.path, what = said.what, "the mapping has changed");
    }
    Ok(Arc::new(parse(&config.mapping.text)?.at(answer.version)))
}

fn place(file: &str, said: &Said) -> String {
    let line = said.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{file}{line}: {} {}", said.path, said.what)
}

/// `concord mapping apply`.
///
/// # Errors
/// When it is no mapping, when something keeps it from being put in force, or nobody takes it.
pub async fn run(options: cli::Mapping, printer: &Printer) -> anyhow::Result<()> {
    let cli::MappingWhat::Apply { file, dry_run, config } = options.what;
    let config = Config::load(&config.config)?;
    let path = file.unwrap_or_else(|| config.mapping.path.clone());
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    processors::mapping_file::read(&path)?;
    let actor = std::env::var("USER").map_or_else(|_| "command line".to_owned(), |user| format!("{user} (command line)"));
    let answer = match inbox::ask(&config.state_dir, &text, &actor, dry_run).await? {
        Some(answer) => answer,
        None => {
            let (log, registry) = stream::open(&config.log).await.context("opening the log")?;
            let topics = Topics::new(config.log.prefix.clone(), config.log.partitions);
            let control = Control { log, codec: Codec::new(registry), topics };
            control.log.create_topics(&control.topics.fixed()).await.context("creating topics")?;
            control.apply(&text, &actor, false, dry_run).await?
        }
    };
    tell(printer, &path.display().to_string(), &answer, dry_run);
    if !answer.refused.is_empty() {
        bail!("nothing was changed; version {} stays in force", answer.version);
    }
    if answer.applied && text != config.mapping.text {
        let configured = config.mapping.path.display();
        printer.line(&format!("{configured} says something else: put this mapping there too, or the next start brings that one back"));
    }
    Ok(())
}

fn tell(printer: &Printer, file: &str, answer: &Answer, dry: bool) {
    for said in &answer.differences {
        let effect = match said.kind.as_str() {
            kind if kind == Weight::Values.as_str() => " (known values are read anew)",
            _ => "",
        };
        printer.line(&format!("{}{effect}", place(file, said)));
    }
    for said in &answer.refused {
        printer.line(&format!("REFUSED  {}; mend it: {}", place(file, said), said.remedy));
    }
    printer.line(&match (answer.refused.is_empty(), answer.applied, dry) {
        (false, ..) => "refused".to_owned(),
        (_, true, _) => format!("in force as version {}", answer.version),
        (_, _, true) if !answer.differences.is_empty() => format!("would be in force as version {}", answer.version),
        _ => format!("nothing is different; version {} is in force", answer.version),
    });
    if let Ok(object) = serde_json::to_value(answer) {
        printer.object(&object);
    }
}

fn now_micros() -> i64 {
    processors::real()()
}
