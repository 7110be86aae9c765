//! Incremental folds over changes with before-images: receivables and orders per customer, the pipeline by stage.
