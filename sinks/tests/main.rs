//! The sinks against a real Postgres, the simulator, and a log in memory.

mod crm;
mod erp;
mod erp_faults;
mod erp_rows;
mod erp_secure;
mod erp_stamps;
mod readmodel;
mod rig;
