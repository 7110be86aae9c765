//! One scenario, two tests.

/// Makes each scenario two tests: one on the embedded log, one on a real Kafka. A scenario is a function of the log.
#[macro_export]
macro_rules! on_both_logs {
    ($($name:ident;)*) => {
        mod on_the_embedded_log {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name($crate::Log::Embedded).await; })*
        }
        mod on_kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name($crate::Log::Kafka).await; })*
        }
    };
}
