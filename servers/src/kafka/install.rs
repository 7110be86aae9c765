//! Kafka's jars from Maven Central, and a formatted storage directory, each made once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::properties;
use crate::cache::{announce, cached};
use crate::user::run;
use crate::{Error, Result};

/// The broker's version. The jars bring their own run-time dependencies except a logger.
pub(crate) const VERSION: &str = "4.1.1";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>concord</groupId>
  <artifactId>private-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>KAFKA</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
  </dependencies>
</project>
"#;

const LOGGING: &str = "status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
";

/// What a broker is started from.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) java: PathBuf,
    pub(crate) jars: PathBuf,
    /// A storage directory as `StorageTool format` leaves it.
    pub(crate) formatted: PathBuf,
}

impl Installation {
    pub(crate) fn class_path(&self) -> String {
        format!("{}/*", self.jars.display())
    }

    pub(crate) fn logging(&self) -> PathBuf {
        self.jars.join("log4j2.properties")
    }

    /// What the cache holds, fetched and made where it does not.
    pub(crate) fn ready() -> Result<Installation> {
        let java = java()?;
        let jars = cached(&format!("kafka-{VERSION}"), fetch)?;
        let mut installation = Installation { java, jars, formatted: PathBuf::new() };
        let formatted = cached(&format!("kafka-storage-{VERSION}"), |scratch| format(&installation, scratch))?;
        installation.formatted = formatted.join("data");
        Ok(installation)
    }
}

fn java() -> Result<PathBuf> {
    let found = std::env::var_os("JAVA_HOME").map_or_else(|| PathBuf::from("java"), |home| PathBuf::from(home).join("bin/java"));
    if Command::new(&found).arg("-version").output().is_ok_and(|output| output.status.success()) {
        return Ok(found);
    }
    Err(Error::MissingProgram {
        program: "java (17 or later)",
        purpose: "run a private Kafka",
        remedy: "apt-get install -y openjdk-17-jre-headless",
    })
}

fn fetch(scratch: &Path) -> Result<()> {
    if Command::new("mvn").arg("--version").output().is_err() {
        return Err(Error::MissingProgram {
            program: "mvn",
            purpose: "fetch Apache Kafka from Maven Central",
            remedy: "apt-get install -y maven",
        });
    }
    announce(&format!("fetching Apache Kafka {VERSION} with mvn (about 45 MB), once"));
    let pom = scratch.join("pom.xml");
    write(&pom, &POM.replace("KAFKA", VERSION))?;
    write(&scratch.join("log4j2.properties"), LOGGING)?;
    run(Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", scratch.display())))
}

fn format(installation: &Installation, scratch: &Path) -> Result<()> {
    let file = scratch.join("server.properties");
    write(&file, &properties(&scratch.join("data"), 9092, 9093, &[]))?;
    run(Command::new(&installation.java)
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(installation.class_path())
        .arg(format!("-Dlog4j2.configurationFile={}", installation.logging().display()))
        .args(["kafka.tools.StorageTool", "format", "-t", "Q29uY29yZC1wcml2YXRlMQ", "-c"])
        .arg(&file))
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|source| Error::File { doing: "writing", path: path.to_owned(), source })
}
