//! `tests/driver.sh`, by which `make demo` and `make test` come to a driver: when it installs one, and what it says.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A machine as the script sees it: what `impasto devices` lists before and after an installation, and whether
/// that works.
struct Machine {
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

/// One machine at a time: a program that is being written can't be started, and a process that another test starts
/// just then takes the open file along.
static ONE: Mutex<()> = Mutex::new(());

/// What `impasto devices --json` prints of adapters, each with its API and whether it is a software driver's.
fn listed(adapters: &[(&str, bool)]) -> String {
    let adapter =
        |(backend, software)| serde_json::json!({ "backend": backend, "software": software });
    let adapters: Vec<_> = adapters.iter().copied().map(adapter).collect();
    serde_json::to_string_pretty(&adapters).expect("JSON")
}

impl Machine {
    fn new(before: Option<&str>, after: Option<&str>, installs: bool) -> Self {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = Machine { folder: tempfile::tempdir().expect("a folder"), _one };
        let list = |name, adapters: Option<&str>| {
            if let Some(adapters) = adapters {
                std::fs::write(machine.folder.path().join(name), adapters).expect("written");
            }
        };
        list("now", before);
        list("after", after);
        // An `impasto` without adapters fails, as the real one does.
        machine.program("impasto", "[ \"$1\" = devices ] && cat \"$HERE/now\"");
        machine.program("id", "echo 1000");
        machine.program("sudo", "\"$@\"");
        let install = "case $* in *install*) cp \"$HERE/after\" \"$HERE/now\";; esac; true";
        let apt = if installs { install } else { "exit 100" };
        machine.program("apt-get", &format!("echo \"$*\" >>\"$HERE/installed\"\n{apt}"));
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, all).expect("executable");
    }

    /// Runs the script; its exit code, what it said, and what apt-get was told.
    fn run(&self, flags: &[&str]) -> (i32, String, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver.sh");
        let here = self.folder.path();
        let path = format!("{}:/usr/bin:/bin", here.display());
        let mut command = Command::new("sh");
        command.arg(script).arg(here.join("impasto")).args(flags);
        let output = command.env("PATH", path).env("HERE", here).output().expect("sh runs");
        let said = [output.stdout, output.stderr].concat();
        let installed = std::fs::read_to_string(here.join("installed")).unwrap_or_default();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into(), installed)
    }
}

#[test]
fn a_machine_with_a_gpu_or_with_vulkan_gets_nothing_installed() {
    let (gpu, software) = (("gl", false), ("gl", true));
    for adapters in [
        &[("vulkan", false)][..],
        &[("metal", false)],
        &[("vulkan", true)],
        &[("vulkan", true), software],
        &[gpu],
        &[gpu, software],
        &[software, gpu],
    ] {
        let machine = Machine::new(Some(&listed(adapters)), None, true);
        assert_eq!(machine.run(&[]), (0, String::new(), String::new()), "{adapters:?}");
    }
}

#[test]
fn software_opengl_alone_gets_vulkan_or_goes_on() {
    let (gl, vulkan) = (listed(&[("gl", true)]), listed(&[("vulkan", true)]));
    let (code, said, installed) = Machine::new(Some(&gl), Some(&vulkan), true).run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("none for Vulkan: installing"), "{said}");
    assert!(installed.contains("mesa-vulkan-drivers") && !installed.contains("libegl1"));
    let (code, said, installed) = Machine::new(Some(&gl), None, false).run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("could not be installed: going on"), "{said}");
    assert!(installed.contains("install"), "{installed}");
    // Where OpenGL is asked for, it is what is wanted.
    let asked = Machine::new(Some(&gl), Some(&vulkan), true).run(&["--backend", "gl"]);
    assert_eq!(asked, (0, String::new(), String::new()));
}

#[test]
fn without_any_driver_there_is_one_afterwards_or_an_error() {
    let vulkan = listed(&[("vulkan", true)]);
    for flags in [&[][..], &["--backend", "gl"][..]] {
        let (code, said, installed) = Machine::new(None, Some(&vulkan), true).run(flags);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("No graphics driver found"), "{said}");
        assert!(installed.contains("mesa-vulkan-drivers libegl1"), "{installed}");
        let (code, said, _) = Machine::new(None, None, false).run(flags);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("could not be installed"), "{said}");
        let (code, said, _) = Machine::new(None, None, true).run(flags);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("Still no adapter"), "{said}");
    }
}
