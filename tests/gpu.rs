//! The device: errors that drivers report, lost devices, timestamps, memory that is counted.

mod common;

use common::{choice, gpu};
use impasto::gpu::{Choice, Frozen, Gpu, KernelId, Recorder, Shader};
use impasto::ops::{self, Conv2d};
use impasto::tape::Tape;
use impasto::{Error, Result};
use pollster::block_on;

static SCALE: Shader = Shader::new("scale", include_str!("../shaders/scale.wgsl"));
static RUN: KernelId = KernelId::new(&SCALE, "run");

#[test]
fn a_lost_device_is_an_error_of_ours() -> Result<()> {
    let gpu = block_on(Gpu::open(&choice()))?;
    let x = gpu.tensor([4], &[1.0; 4])?;
    let mut tape = Tape::new(&gpu);
    let var = tape.variable(&x);
    let y = ops::scale(&mut tape, var, 2.0)?;
    tape.keep(y)?;
    let program = tape.finish()?;
    block_on(program.run())?;
    gpu.destroy();
    let lost = block_on(program.run());
    assert!(matches!(lost, Err(Error::DeviceLost(_))), "{lost:?}");
    assert!(matches!(block_on(gpu.read(&x)), Err(Error::DeviceLost(_))));
    assert!(matches!(gpu.check(), Err(Error::DeviceLost(_))));
    Ok(())
}

#[test]
fn tensors_beyond_the_adapter_are_refused() -> Result<()> {
    let gpu = gpu();
    let most = gpu.report().max_binding_bytes as usize;
    match gpu.zeros([most / 4 + 4]) {
        Err(Error::Memory(what)) => assert!(what.contains("‹size›"), "{what}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a tensor larger than a binding was made"),
    }
    gpu.check()
}

#[test]
fn memory_is_counted_while_it_lives() -> Result<()> {
    // A device of its own: the others' tests allocate as they run.
    let gpu = block_on(Gpu::open(&choice()))?;
    let before = gpu.allocated_bytes();
    let x = gpu.zeros([1000])?;
    assert_eq!(gpu.allocated_bytes() - before, 4000);
    let copy = x.clone();
    drop(x);
    assert_eq!(gpu.allocated_bytes() - before, 4000);
    drop(copy);
    assert_eq!(gpu.allocated_bytes(), before);
    Ok(())
}

#[test]
fn every_dispatch_can_be_timed() -> Result<()> {
    let gpu = gpu();
    if !gpu.report().timestamps {
        common::skipped("timing of dispatches: this adapter has no timestamps");
        return Ok(());
    }
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&gpu.zeros([8, 64, 64])?);
    let weights = tape.frozen(&Frozen::new([8, 8, 3, 3], vec![0.1; 8 * 8 * 9])?);
    tape.scope("conv1_1");
    let y = ops::conv2d(&mut tape, x, weights, None, Conv2d::default())?;
    tape.keep(y)?;
    let program = tape.finish()?;
    let timings = block_on(program.profile())?;
    assert_eq!(timings.len(), program.plan().dispatches);
    assert!(timings.iter().all(|t| t.label.starts_with("conv1_1 conv2d")), "{timings:?}");
    assert!(timings.iter().any(|t| !t.time.is_zero()), "{timings:?}");
    assert_eq!(timings.iter().map(|t| t.flops).sum::<u64>(), 2 * 9 * 8 * 8 * 64 * 64);
    Ok(())
}

#[test]
fn a_shaders_interface_must_be_met() -> Result<()> {
    let gpu = gpu();
    let x = gpu.zeros([4])?;
    let mut recorder = Recorder::new(gpu);
    let wrong = |result: Result<()>| match result {
        Err(Error::Gpu(what)) => what,
        other => panic!("{other:?}"),
    };
    let value = (&x).into();
    let unbound = recorder.kernel(&RUN).bind("x", &value).over(4);
    assert!(wrong(unbound).contains("`y` is not bound"));
    let call = recorder.kernel(&RUN).bind("x", &value).bind("y", &value).set("count", 4usize);
    assert!(wrong(call.over(4)).contains("is not set"));
    let unknown = recorder.kernel(&RUN).bind("z", &value).over(4);
    assert!(wrong(unknown).contains("no buffer `z`"));
    let call = recorder.kernel(&RUN).bind("x", &value).bind("y", &value);
    assert!(wrong(call.set("count", 1.0).over(4)).contains("another type"));
    let entry = KernelId::new(&SCALE, "no_such_entry");
    assert!(wrong(recorder.kernel(&entry).over(4)).contains("no entry point"));
    Ok(())
}

#[test]
fn adapters_are_chosen_by_index_and_by_name() -> Result<()> {
    let report = gpu().report();
    let by = |adapter: String| {
        block_on(Gpu::open(&Choice { adapter: Some(adapter), backend: report.backend }))
    };
    assert_eq!(by(report.index.to_string())?.report().name, report.name);
    let part = report.name[..4].to_uppercase();
    assert!(by(part)?.report().name.starts_with(&report.name[..4]));
    match by("no such adapter".into()) {
        Err(Error::NoAdapter(what)) => assert!(what.contains(&report.name), "{what}"),
        _ => panic!("an adapter that is not there was opened"),
    }
    Ok(())
}
