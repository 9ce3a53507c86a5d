//! That a software driver is in use is said once: it is slow, and whoever has a GPU should know that it lies idle.

use std::path::Path;
use std::sync::Once;

use crate::cli::output::note;
use impasto::gpu::{AdapterReport, Backend};

/// PCI's number for NVIDIA, whose driver no distribution installs by itself.
const NVIDIA: &str = "0x10de";
/// The first digits of PCI's class of display controllers.
const DISPLAY: &str = "0x03";

/// Says it when the GPU is opened for the first time. Whoever has `chosen` an adapter or an API wants that one.
pub fn tell(report: &AdapterReport, chosen: bool) {
    static TOLD: Once = Once::new();
    if !report.software {
        return;
    }
    let advice = if chosen { None } else { advice(report.backend, has_nvidia()) };
    let advice = advice.map_or(String::new(), |advice| format!("\n  {advice}"));
    TOLD.call_once(|| {
        note!("{} is a software driver: the processor does all the work{advice}", report.name)
    });
}

/// What would be faster than the software driver that was found through this API, where it can be installed.
fn advice(backend: Option<Backend>, nvidia: bool) -> Option<&'static str> {
    if nvidia {
        return Some(
            "no Vulkan driver reaches this machine's NVIDIA GPU: install NVIDIA's (Debian: nvidia-driver)",
        );
    }
    // OpenGL is taken only where there is no driver for Vulkan.
    (backend == Some(Backend::Gl) && cfg!(target_os = "linux")).then_some(
        "Mesa's driver for Vulkan is faster than this one for OpenGL: install mesa-vulkan-drivers (Debian, Ubuntu), \
         mesa-vulkan-drivers and vulkan-loader (Fedora), or vulkan-swrast and vulkan-icd-loader (Arch)",
    )
}

/// Whether the machine has a GPU of NVIDIA, as far as Linux tells.
fn has_nvidia() -> bool {
    let Ok(devices) = std::fs::read_dir("/sys/bus/pci/devices") else { return false };
    let says = |device: &Path, file: &str, start: &str| {
        std::fs::read_to_string(device.join(file)).is_ok_and(|text| text.starts_with(start))
    };
    let mut devices = devices.filter_map(Result::ok).map(|device| device.path());
    devices.any(|device| says(&device, "vendor", NVIDIA) && says(&device, "class", DISPLAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_where_something_faster_can_be_installed() {
        assert_eq!(advice(Some(Backend::Vulkan), false), None);
        for backend in [Backend::Vulkan, Backend::Gl] {
            assert!(advice(Some(backend), true).is_some_and(|says| says.contains("nvidia-driver")));
        }
        #[cfg(target_os = "linux")]
        assert!(
            advice(Some(Backend::Gl), false)
                .is_some_and(|says| says.contains("mesa-vulkan-drivers"))
        );
    }
}
