//! Ctrl-C and SIGTERM: the first asks to stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use impasto::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether a signal has come.
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Starts listening.
    pub fn listen() -> Result<Self> {
        let code = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let exit = 128 + signal;
            // The order matters: the second signal finds `again` set by the first.
            flag::register_conditional_shutdown(signal, exit, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| flag::register_usize(signal, code.clone(), exit as usize))
                .map_err(|e| Error::System(format!("signals can't be handled: {e}")))?;
        }
        Ok(Interrupt(code))
    }

    /// The exit code that the signal asks for, once it has come.
    pub fn code(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            code => Some(code as u8),
        }
    }
}
