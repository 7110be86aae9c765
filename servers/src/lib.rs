//! Private servers on this machine.
