//! `impasto devices`: what there is to run on.

use std::process::ExitCode;

use clap::Args;
use impasto::gpu::AdapterReport;
use impasto::gpu::adapters::{self, NONE_AT_ALL};
use impasto::{Error, Result};

use crate::cli::flags::Common;
use crate::cli::output::say;

/// Arguments of `impasto devices`.
#[derive(Args)]
pub struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the adapters on standard output.
///
/// # Errors
/// [`Error::NoAdapter`] when there is none.
pub fn run(common: &Common, args: &DevicesArgs) -> Result<ExitCode> {
    let mut adapters = pollster::block_on(adapters::list());
    let any = !adapters.is_empty();
    if common.backend.is_some() {
        adapters.retain(|report| report.backend == common.backend);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&adapters);
        say(&text.map_err(|e| Error::System(e.to_string()))?)?;
    }
    if adapters.is_empty() {
        let message = match common.backend {
            Some(backend) if any => {
                format!("--backend {backend}: no such adapter; leave it out to see all")
            }
            _ => NONE_AT_ALL.into(),
        };
        return Err(Error::NoAdapter(message));
    }
    if !args.json {
        adapters.iter().try_for_each(|report| say(&describe(report)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(report: &AdapterReport) -> String {
    let backend = report.backend.map_or("other".into(), |b| b.to_string());
    let [least, most] = report.subgroup_sizes;
    let subgroups = match (report.subgroups, least == most) {
        (false, _) => "none".into(),
        (true, true) => format!("of {least}"),
        (true, false) => format!("of {least} to {most}"),
    };
    let software = if report.software { ", a software driver" } else { "" };
    let yes = |there| if there { "yes" } else { "no" };
    let mut lines = vec![
        format!("{}  {}{software}", report.index, report.name),
        format!("   {backend}, {}, driver {}", report.kind, report.driver),
        format!(
            "   buffers up to {} MB, {} MB bound at once; workgroups of {} with {} KiB",
            report.max_buffer_bytes / 1_000_000,
            report.max_binding_bytes / 1_000_000,
            report.max_workgroup_invocations,
            report.max_workgroup_bytes / 1024,
        ),
        format!(
            "   subgroups {subgroups}, timestamps {}, f16 {}",
            yes(report.timestamps),
            yes(report.f16)
        ),
    ];
    if !report.cooperative_matrices.is_empty() {
        lines.push(format!("   matrices by subgroup: {}", report.cooperative_matrices.join(", ")));
    }
    lines.extend(report.unusable.as_ref().map(|why| format!("   can't run impasto: {why}")));
    lines.join("\n")
}
