//! Kernels that suit a device and a network: those that were used before, those that are remembered, or measured now.

use super::standing::Kernels;
use super::watch::{Event, Watcher};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::nets::Graph;
use crate::tune;

/// The kernels that a device uses.
pub fn in_use(gpu: &Gpu) -> Kernels {
    Kernels { device: tune::device(gpu), choices: tune::to_json(gpu) }
}

/// Has the device use the kernels that the painting has used so far, or those that are remembered; measures what is
/// missing, for pictures of `size`, where `measure` says so.
///
/// # Errors
/// What the watcher or the driver reports.
pub async fn choose(
    (gpu, graph): (&Gpu, &Graph),
    (size, measure): ((u32, u32), bool),
    kernels: &mut Option<Kernels>,
    watcher: &mut dyn Watcher,
) -> Result<()> {
    let device = tune::device(gpu);
    if let Some(before) = kernels {
        if tune::use_json(gpu, &before.choices) {
            return Ok(());
        }
        watcher.tell(Event::OtherKernels { before: &before.device, now: &device })?;
    }
    if measure {
        if let Some(choices) = watcher.remembered(&device)
            && !tune::use_json(gpu, &choices)
        {
            watcher.tell(Event::StaleKernels)?;
        }
        let mut classes = tune::classes(graph, size);
        classes.retain(|class| tune::is_open(gpu, class));
        if !classes.is_empty() {
            let adapter = &gpu.report().name;
            watcher.tell(Event::Measuring { classes: classes.len(), adapter })?;
            for class in classes {
                tune::tune(gpu, class).await?;
                let variant = tune::chosen(gpu, &class).unwrap_or_default();
                watcher.tell(Event::Measured { class: class.to_string(), variant })?;
            }
            watcher.remember(&device, &tune::to_json(gpu));
        }
    }
    *kernels = Some(in_use(gpu));
    Ok(())
}
