//! The demo's own pictures, rendered by a compute shader: a place, and a painting.

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Gpu, KernelId, Recorder, Shader};
use crate::picture::{Depth, Picture};

/// The shader.
pub static SHADER: Shader = shader!("demo");
static CONTENT: KernelId = KernelId::new(&SHADER, "content");
static STYLE: KernelId = KernelId::new(&SHADER, "style");

/// Renders an evening at a mountain lake. Any size; made for 4:3.
///
/// # Errors
/// What recording and running can give.
pub async fn content(gpu: &Gpu, width: u32, height: u32) -> Result<Picture> {
    render(gpu, &CONTENT, width, height).await
}

/// Renders an abstract oil painting. Any size.
///
/// # Errors
/// What recording and running can give.
pub async fn style(gpu: &Gpu, width: u32, height: u32) -> Result<Picture> {
    render(gpu, &STYLE, width, height).await
}

async fn render(gpu: &Gpu, kernel: &KernelId, width: u32, height: u32) -> Result<Picture> {
    let (w, h) = (width as usize, height as usize);
    let picture = gpu.zeros([3, h, w])?;
    let mut recorder = Recorder::new(gpu);
    let call = recorder.kernel(kernel).bind("picture", &(&picture).into());
    call.set("width", w).set("height", h).over(w * h)?;
    recorder.finish()?.run().await?;
    Picture::from_planes((width, height), gpu.read(&picture).await?, None, Depth::Eight)
}
