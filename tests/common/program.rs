//! The program itself, on the device that the other tests run on.

use std::process::Command;

/// `impasto` with the flags that choose the adapter of `IMPASTO_ADAPTER` and `IMPASTO_BACKEND`.
pub fn impasto() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_impasto"));
    for (variable, flag) in [("IMPASTO_ADAPTER", "--adapter"), ("IMPASTO_BACKEND", "--backend")] {
        if let Some(value) = std::env::var_os(variable).filter(|v| !v.is_empty()) {
            command.arg(flag).arg(value);
        }
    }
    command
}
