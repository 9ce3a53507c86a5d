//! `impasto bench` as a user meets it: rows, reports, comparisons, errors.

mod common;
#[path = "common/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::slice;

use impasto::bench::kernels::measure;
use impasto::bench::peak::Ceilings;
use impasto::bench::{Direction, KernelRow, Report, Row, compare};
use impasto::nets::Network;
use impasto::ops::CATALOGUE;
use impasto::ops::conv2d::Variant;
use impasto::shape::Precision;

/// `impasto bench …` in a folder, on the device that the other tests run on.
fn bench(folder: &Path, args: &[&str]) -> Output {
    program::impasto().current_dir(folder).arg("bench").args(args).output().expect("impasto runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn report(folder: &Path, name: &str) -> Report {
    let text = std::fs::read_to_string(folder.join(name)).expect("a report");
    compare::read(&text).expect("rows")
}

fn kernels(report: &Report) -> Vec<&KernelRow> {
    let rows = report.rows.iter();
    rows.filter_map(|row| if let Row::Kernels(row) = row { Some(row) } else { None }).collect()
}

#[test]
fn steps_are_rows_that_can_be_compared() {
    let folder = folder();
    let args = ["step", "--size", "32,48", "--network", "random:vgg19/16", "--json", "a.json"];
    let out = bench(folder.path(), &args);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let report = report(folder.path(), "a.json");
    assert!(!report.adapter.is_empty() && !report.driver.is_empty());
    assert_eq!(report.rows.len(), 2);
    for (row, size) in report.rows.iter().zip([32_u32, 48]) {
        let Row::Step(row) = row else { panic!("{row:?}") };
        assert_eq!((row.size, row.network.as_str()), (size, "random:vgg19/16"));
        assert!(row.seconds_per_step > 0.0 && row.buffer_bytes > 4 * 3 * u64::from(size * size));
        assert!(row.forward_seconds > 0.0);
        assert!(row.spread[0] <= row.seconds_per_step && row.seconds_per_step <= row.spread[1]);
        // VGG-19's multiply-adds a pixel to conv5_1, all but the first layer's over 16², there and back.
        let macs = f64::from(3 * 64 * 9) / 16.0 + f64::from(361_152 - 3 * 64 * 9) / 256.0;
        let gflops = 4.0 * macs * f64::from(size * size) / row.seconds_per_step / 1e9;
        assert!((row.effective_gflops / gflops - 1.0).abs() < 1e-6, "{row:?}, not {gflops}");
    }
    let out = bench(folder.path(), &["compare", "a.json", "a.json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stdout).matches("1.00× as fast").count(), 4, "{}", text(&out.stdout));
}

#[test]
fn every_variant_is_checked_and_one_is_chosen() {
    let folder = folder();
    let args = "kernels --size 48 --network random:vgg19/16 --json k.json --html k.html";
    let out = bench(folder.path(), &args.split(' ').collect::<Vec<_>>());
    assert!(out.status.success(), "{}", text(&out.stderr));
    let report = report(folder.path(), "k.json");
    let rows = kernels(&report);
    for row in &rows {
        assert!(row.error < 1e-5, "{row:?}");
        assert!(row.median_us > 0.0 && row.gflops > 0.0 && row.ceiling_share > 0.0, "{row:?}");
    }
    let there = common::variants(common::gpu(), Precision::F32, "bench kernels");
    let there: BTreeSet<&str> = there.into_iter().map(Variant::name).collect();
    for direction in [Direction::Forward, Direction::Backward] {
        let measured = rows.iter().filter(|r| r.op == "conv2d" && r.direction == direction);
        let measured: BTreeSet<&str> = measured.map(|row| row.variant.as_str()).collect();
        assert_eq!(measured, there, "{direction:?}");
    }
    for direction in Direction::ALL {
        for (op, layer) in [("conv2d", "conv1_1"), ("conv2d", "conv4_4"), ("gram", "conv3_1")] {
            if direction == Direction::Weight {
                let same = |r: &&&KernelRow| r.op == op && r.direction == direction;
                let count =
                    rows.iter().filter(same).filter(|r| r.layer == layer && r.chosen).count();
                assert_eq!(count, usize::from(op == "conv2d"), "{op} {layer}");
                continue;
            }
            let same = rows.iter().filter(|r| (r.op.as_str(), r.layer.as_str()) == (op, layer));
            let same: Vec<_> = same.filter(|r| r.direction == direction).collect();
            assert!(same.len() > 1, "{op} {layer} {direction:?}: {same:?}");
            assert_eq!(same.iter().filter(|r| r.chosen).count(), 1, "{same:?}");
        }
    }
    let page = std::fs::read_to_string(folder.path().join("k.html")).expect("a page");
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("conv4_4") && !page.contains("src=") && !page.contains("NaN"));
}

#[test]
fn every_operation_can_be_benched() {
    // The ceilings do not matter here.
    let (flops, bandwidth, dispatch) = (1e9, 1e9, 1e-6);
    let ceilings = Ceilings { flops, half_flops: None, matrix_flops: None, bandwidth, dispatch };
    let network = Network::random(16, 0, Some("relu3_1")).expect("a network");
    for entry in CATALOGUE {
        let of = (24, Precision::F32);
        let (ops, mut watch) = (slice::from_ref(&entry), |_: &KernelRow| {});
        let bench = measure(common::gpu(), &ceilings, &network, ops, of, &mut watch);
        let rows = pollster::block_on(bench).expect("rows");
        for row in &rows {
            assert_eq!(row.op, entry.name);
            assert!(row.error < 1e-5 && row.median_us > 0.0 && row.gflops > 0.0, "{row:?}");
        }
        for direction in Direction::ALL {
            let there = rows.iter().any(|row| row.direction == direction && row.chosen);
            let expected = match direction {
                Direction::Forward => true,
                // A choice has no gradient.
                Direction::Backward => !["gather", "nearest"].contains(&entry.name),
                Direction::Weight => entry.name == "conv2d",
            };
            assert_eq!(there, expected, "{} {direction:?}", entry.name);
        }
    }
}

#[test]
fn ceilings_are_measured() {
    let folder = folder();
    let out = bench(folder.path(), &["peak", "--json", "p.json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let report = report(folder.path(), "p.json");
    let gpu = common::gpu();
    let more = [gpu.report().f16, gpu.fragment_side().is_some()];
    assert_eq!(report.rows.len(), 3 + more.into_iter().filter(|there| *there).count());
    for row in &report.rows {
        assert!(
            matches!(row, Row::Peak(row) if row.value.is_finite() && row.value > 0.0),
            "{row:?}"
        );
    }
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let folder = folder();
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("good.json", r#"{"adapter":"a","driver":"d","rows":[{"bench":"novel","x":1}]}"#);
    write("bad.json", r#"{"adapter":"a"}"#);
    let cases = [
        (vec!["compare", "good.json", "bad.json"], 1, "bad.json"),
        (vec!["compare", "good.json", "none.json"], 1, "none.json"),
        (vec!["compare", "good.json", "good.json"], 2, "no row in common"),
        (vec!["kernels", "--op", "fold"], 2, "conv2d, gram"),
        (vec!["step", "--size", "0"], 2, "--size"),
        (vec!["step", "--network", "none.safetensors"], 1, "none.safetensors"),
        (vec!["peak", "--json", "none/p.json"], 1, "none"),
    ];
    for (args, code, word) in cases {
        let out = bench(folder.path(), &args);
        let message = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {message}");
        assert!(message.contains(word), "{args:?}: {message}");
    }
}
