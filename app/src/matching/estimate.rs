//! `concord matching estimate`: weights from records without labels, and how good they are on pairs that have some.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reconcile::matching::estimate::{Estimate, PairOf, Pool, estimate};
use reconcile::matching::{CompareField, FieldWeights, Level, Prepared, Scorer};

use super::csv::Table;
use super::fields::{Chosen, choose};
use super::labels::{self, Labels, Quality};
use crate::cli;
use crate::print::Printer;

/// Fewer records than this say too little.
const LEAST_RECORDS: usize = 20;
/// A share that says that two records of one entity differ more often than not.
const MOSTLY: f64 = 0.5;

pub(super) fn run(options: &cli::MatchingEstimate, printer: &Printer) -> anyhow::Result<()> {
    let started = Instant::now();
    if options.records.len() > 2 {
        bail!("--records is given {} times; one file is matched against itself, two against one another", options.records.len());
    }
    let tables = options.records.iter().map(|file| Ok(Table::read(file)?)).collect::<anyhow::Result<Vec<Table>>>()?;
    let chosen = choose(options, &tables)?;
    let pool = pool(&chosen, &tables);
    if pool.records.len() < LEAST_RECORDS {
        bail!("{} records say too little about how often they agree; give at least {LEAST_RECORDS}", pool.records.len());
    }
    let labels = options.pairs.as_ref().map(|file| labels::read(file, places(options, &tables)?)).transpose()?;
    let bar = progress(printer);
    let mut found = estimate(&chosen.fields, &pool, |done| bar.set_position((done * 1000.0) as u64));
    bar.finish_and_clear();
    if let Some(all) = options.of {
        found.weights.thresholds = found.weights.thresholds.among(pool.records.len(), all);
    }
    let kind = |name: &str| chosen.fields.iter().find(|field| field.name == name).map(|field| field.kind);
    let section = format!("entity.{}.match.weights", options.kind);
    if let Some(out) = &options.out {
        std::fs::write(out, found.weights.to_toml(&section, kind)).with_context(|| format!("writing {}", out.display()))?;
    }
    let quality = labels.map(|labels| judge(&labels, &pool, &chosen.fields, &found));
    if printer.is_json() {
        printer.object(&object(&chosen.fields, &pool, &found, quality.as_ref(), started.elapsed()));
    } else {
        printer.line(&text(&chosen.fields, &pool, &found, quality.as_ref(), started.elapsed()));
        for doubt in doubts(&chosen.fields, &found) {
            printer.line(&format!("\n! {doubt}"));
        }
        if let Some(out) = &options.out {
            printer.line(&format!("written to {}; put it at the end of the mapping file", out.display()));
        }
    }
    Ok(())
}

fn progress(printer: &Printer) -> ProgressBar {
    if printer.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("comparing {bar:30} {percent} %") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The records of all files, one after the other.
fn pool(chosen: &Chosen, tables: &[Table]) -> Pool {
    let mut pool = Pool::default();
    for (index, (table, columns)) in tables.iter().zip(&chosen.columns).enumerate() {
        if index > 0 {
            pool.across = Some(pool.records.len());
        }
        for (_, row) in &table.rows {
            let texts: Vec<String> = columns
                .iter()
                .map(|places| places.iter().filter_map(|place| row.get(*place)).map(String::as_str).collect::<Vec<_>>().join(" "))
                .collect();
            pool.records.push(Prepared::from_texts(&chosen.fields, texts.iter().map(String::as_str)));
        }
    }
    pool
}

/// Finds a record by its id: of the first column of labelled pairs in the first file, of the second in the second.
fn places(options: &cli::MatchingEstimate, tables: &[Table]) -> anyhow::Result<impl Fn(&str, usize) -> Option<usize> + use<>> {
    let mut ids: Vec<BTreeMap<String, usize>> = Vec::new();
    let mut before = 0;
    for (table, file) in tables.iter().zip(&options.records) {
        let column = match &options.id {
            Some(name) => table.column(name).with_context(|| format!("{}, line 1: there is no column {name:?}", file.display()))?,
            None => table.column("id").unwrap_or(0),
        };
        let mut here = BTreeMap::new();
        for (at, (line, row)) in table.rows.iter().enumerate() {
            let id = row.get(column).map(|id| id.trim().to_owned()).unwrap_or_default();
            if here.insert(id.clone(), before + at).is_some() {
                bail!("{}, line {line}: the id {id:?} is there twice; name the column with the ids: --id COLUMN", file.display());
            }
        }
        before += table.rows.len();
        ids.push(here);
    }
    Ok(move |id: &str, column: usize| ids.get(column.min(ids.len().saturating_sub(1))).and_then(|ids| ids.get(id)).copied())
}

/// How good the weights are on labelled pairs.
struct Judged {
    automatic: Quality,
    review: Quality,
    /// Where precision and recall are best together, for comparison only.
    best: Quality,
    labelled: usize,
    both: bool,
}

fn judge(labels: &Labels, pool: &Pool, fields: &[CompareField], found: &Estimate) -> Judged {
    let scorer = Scorer::of(fields, &found.weights);
    let score = |(one, other): PairOf| match (pool.records.get(one), pool.records.get(other)) {
        (Some(left), Some(right)) => scorer.compare(left, right).score,
        _ => f64::NEG_INFINITY,
    };
    let scored: BTreeMap<PairOf, f64> = pool.blocked(&scorer, |_| {}).pairs.into_iter().map(|pair| (pair, score(pair))).collect();
    let bounds = found.weights.thresholds;
    let f1 = |quality: &Quality| match quality.precision + quality.recall {
        sum if sum > 0.0 => 2.0 * quality.precision * quality.recall / sum,
        _ => 0.0,
    };
    let best = (0..=120)
        .map(|step| labels.quality(&scored, bounds.review - 10.0 + f64::from(step) * (bounds.automatic - bounds.review + 20.0) / 120.0))
        .max_by(|one, other| f1(one).total_cmp(&f1(other)))
        .unwrap_or_else(|| labels.quality(&scored, bounds.automatic));
    Judged {
        automatic: labels.quality(&scored, bounds.automatic),
        review: labels.quality(&scored, bounds.review),
        best,
        labelled: labels.pairs.len(),
        both: labels.both,
    }
}

fn object(fields: &[CompareField], pool: &Pool, found: &Estimate, judged: Option<&Judged>, took: Duration) -> serde_json::Value {
    let warnings = doubts(fields, found);
    let fields: Vec<serde_json::Value> = fields
        .iter()
        .filter_map(|field| {
            let weights = found.weights.fields.get(&field.name)?;
            let levels: serde_json::Map<String, serde_json::Value> = weights
                .levels
                .iter()
                .map(|(level, rate)| (level.as_str().to_owned(), serde_json::json!({"m": rate.m, "u": rate.u, "bits": rate.bits()})))
                .collect();
            Some(serde_json::json!({
                "name": field.name,
                "kind": field.kind.as_str(),
                "levels": levels,
                "common": weights.common.len(),
                "given": given(weights),
            }))
        })
        .collect();
    let bounds = found.weights.thresholds;
    serde_json::json!({
        "records": pool.records.len(),
        "fields": fields,
        "thresholds": {"automatic": bounds.automatic, "review": bounds.review, "lead": bounds.lead},
        "prior": found.prior,
        "warnings": warnings,
        "comparisons": found.compared,
        "rounds": found.rounds,
        "seconds": took.as_secs_f64(),
        "labelled": judged.map(|judged| serde_json::json!({
            "pairs": judged.labelled,
            "others_are_distinct": !judged.both,
            "automatic": judged.automatic,
            "review": judged.review,
            "best": judged.best,
        })),
    })
}

/// What is odd about the weights: records that hold hardly any pairs of one entity teach what makes neighbours alike.
fn doubts(fields: &[CompareField], found: &Estimate) -> Vec<String> {
    let differ = |field: &&CompareField| {
        let rate = found.weights.fields.get(&field.name).and_then(|weights| weights.levels.get(&Level::Different));
        rate.is_some_and(|rate| rate.m > MOSTLY)
    };
    let odd: Vec<&str> = fields.iter().filter(differ).map(|field| field.name.as_str()).collect();
    if odd.is_empty() || odd.len() * 2 < fields.len() {
        return Vec::new();
    }
    vec![format!(
        "do not use these weights: what they take for one entity differs mostly in {}, so these records probably hold hardly any two of \
         one entity, and neighbours were taken for copies; give two files that know the same entities, such as exports of both systems",
        odd.join(", ")
    )]
}

/// Fields that go with this one: by their level and its own, how often records of two entities agree so far in both.
fn given(weights: &FieldWeights) -> serde_json::Value {
    let shares =
        |shares: &BTreeMap<Level, f64>| -> BTreeMap<&str, f64> { shares.iter().map(|(own, share)| (own.as_str(), *share)).collect() };
    let levels = |levels: &BTreeMap<Level, BTreeMap<Level, f64>>| -> BTreeMap<&str, BTreeMap<&str, f64>> {
        levels.iter().map(|(level, own)| (level.as_str(), shares(own))).collect()
    };
    serde_json::json!(weights.given.iter().map(|(other, known)| (other, levels(known))).collect::<BTreeMap<_, _>>())
}

/// The same in words, for whole values that agree.
fn together(fields: &[CompareField], found: &Estimate) -> String {
    let mut out = String::new();
    for field in fields {
        let Some(weights) = found.weights.fields.get(&field.name) else { continue };
        for (other, known) in &weights.given {
            if let Some(share) = known.get(&Level::Equal).and_then(|own| own.get(&Level::Equal)) {
                writeln!(out, "{} equal among {:.1} % of strangers with an equal {other}", field.name, share * 100.0).ok();
            }
        }
    }
    if out.is_empty() { out } else { format!("\nwhat goes together is counted once:\n{out}") }
}

fn text(fields: &[CompareField], pool: &Pool, found: &Estimate, judged: Option<&Judged>, took: Duration) -> String {
    let mut out = String::new();
    writeln!(out, "{:<18} {:<13} {:<10} {:>9} {:>9} {:>7}", "field", "kind", "level", "m", "u", "bits").ok();
    for field in fields {
        let Some(weights) = found.weights.fields.get(&field.name) else { continue };
        let mut name = (field.name.as_str(), field.kind.as_str());
        for (level, rate) in &weights.levels {
            writeln!(out, "{:<18} {:<13} {:<10} {:>9.5} {:>9.6} {:>+7.1}", name.0, name.1, level.as_str(), rate.m, rate.u, rate.bits())
                .ok();
            name = ("", "");
        }
    }
    out += &together(fields, found);
    let bounds = found.weights.thresholds;
    writeln!(
        out,
        "\nlinked without asking from {:.1} bits, with a lead of {:.1}; shown to a person from {:.1}",
        bounds.automatic, bounds.lead, bounds.review
    )
    .ok();
    if let Some(judged) = judged {
        let line = |name: &str, quality: &Quality| {
            format!("{name:<24} {:>7.1} {:>9.4} {:>9.4}\n", quality.from, quality.precision, quality.recall)
        };
        let others = if judged.both { "" } else { "; every other pair counts as two entities" };
        writeln!(out, "\non {} labelled pairs{others}\n{:<24} {:>7} {:>9} {:>9}", judged.labelled, "", "bits", "precision", "recall").ok();
        out += &line("without asking", &judged.automatic);
        out += &line("with review", &judged.review);
        out += &line("best possible threshold", &judged.best);
    }
    write!(out, "\n{} records, {} comparisons, {} rounds, {:.1} s", pool.records.len(), found.compared, found.rounds, took.as_secs_f64())
        .ok();
    out
}
