//! `impasto bench step` on meganeura, through Vulkan or Metal: the same work, the same JSON, so that
//! both can be put side by side.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/meganeura_step/Cargo.toml -- --size 64 --json meganeura.json
//! impasto bench step --size 64 --json ours.json && impasto bench compare meganeura.json ours.json
//! ```
//!
//! VGG-19 to conv5_1 with random weights, Gram losses at relu1_1 … relu5_1, a content loss at
//! relu4_2, Adam on the picture.
//!
//! meganeura 0.3 has a max pool, but spreads its gradient evenly over four neighbours in memory
//! instead of giving it to the largest of the 2×2 window. So a step pools by `a + relu(b - a)`,
//! along rows and then along columns, which has the right gradient; `--own-pool` steps with its own
//! pool, and the wrong gradient. The forward pass alone always has its own pool.
//!
//! Its fusion of dispatches is off in steps: with it, the maps were all zero on Mesa 22.3's lavapipe,
//! no faster than the right ones. `--fuse` turns it on; see that loss and gradient stay what they
//! are without. `--half` lets it use cooperative matrices, which are of f16 on most adapters.

use std::time::Instant;

use meganeura::{
    CompileOptions, CoopPolicy, Graph, Mode, NodeId, Session, SessionConfig, SessionOptions,
};

/// As in Cargo.toml.
const MEGANEURA: &str = "meganeura 0.3.0";
/// Layers of each block and their width; the last block ends after its first layer.
const BLOCKS: [(usize, usize); 5] = [(2, 64), (2, 128), (4, 256), (4, 512), (1, 512)];
/// The content loss is at block 4's second layer.
const CONTENT: (usize, usize) = (3, 1);
/// Multiply-adds a pixel of the picture.
const MACS: f64 = 361_152.0;
const LAPS: usize = 7;
/// Seconds of a lap at least.
const LAP: f64 = 0.25;
/// No further lap once the laps have taken so many seconds.
const PATIENCE: f64 = 10.0;

/// Even numbers between -1 and 1, the same in every peer.
struct Random(u64);

impl Random {
    fn numbers(&mut self, count: usize) -> Vec<f32> {
        let next = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }
}

#[derive(Clone, Copy)]
enum Pool {
    Own,
    Exact,
}

/// How meganeura is used, by the command line.
#[derive(Clone, Copy)]
struct Use {
    pool: Pool,
    fuse: bool,
    half: bool,
}

/// A feature map in the graph; meganeura's are flat.
#[derive(Clone, Copy)]
struct Map {
    node: NodeId,
    channels: usize,
    side: usize,
}

impl Map {
    fn pixels(&self) -> usize {
        self.side * self.side
    }

    fn pool(self, g: &mut Graph, pool: Pool) -> Self {
        let (channels, side) = (self.channels as u32, self.side as u32);
        let node = match pool {
            Pool::Own => g.max_pool_2d(self.node, 1, channels, side, side, 2, 2, 2, 0),
            Pool::Exact => {
                let rows = larger_of_pairs(g, self.node, channels * side / 2, side);
                larger_of_pairs(g, rows, channels * side / 2 * side / 2, 1)
            }
        };
        Self { node, side: self.side / 2, ..self }
    }

    fn gram(self, g: &mut Graph) -> NodeId {
        let flat = g.reshape(self.node, &[self.channels, self.pixels()]);
        let products = g.matmul_bt(flat, flat);
        let share = vec![1.0 / self.pixels() as f32; self.channels.pow(2)];
        let share = g.constant(share, &[self.channels, self.channels]);
        g.mul(products, share)
    }
}

/// Elementwise, the larger of each two runs of `run` numbers.
fn larger_of_pairs(g: &mut Graph, x: NodeId, pairs: u32, run: u32) -> NodeId {
    let (a, b) = (g.split_a(x, pairs, 1, 1, run), g.split_b(x, pairs, 1, 1, run));
    let minus_a = g.neg(a);
    let difference = g.add(b, minus_a);
    let more = g.relu(difference);
    g.add(a, more)
}

/// What a session is to be given before it runs.
#[derive(Default)]
struct Values {
    parameters: Vec<(String, Vec<f32>)>,
    inputs: Vec<(String, Vec<f32>)>,
}

impl Values {
    fn session(self, g: &Graph, mode: Mode, how: Use) -> Session {
        // By itself meganeura rounds to f16 where that is all that the adapter's matrices take.
        let coop = if how.half { CoopPolicy::Auto } else { CoopPolicy::Disabled };
        let runtime = SessionOptions { coop, ..SessionOptions::default() };
        let fuse_dispatches = how.fuse || mode == Mode::Inference;
        let options = CompileOptions { fuse_dispatches, ..CompileOptions::default() };
        let config = SessionConfig { mode, options, runtime, ..SessionConfig::default() };
        let (mut session, _) = meganeura::build(g, config);
        self.parameters.iter().for_each(|(name, values)| session.set_parameter(name, values));
        self.inputs.iter().for_each(|(name, values)| session.set_input(name, values));
        session
    }

    /// Numbers that no gradient is wanted of.
    fn fixed(&mut self, g: &mut Graph, name: String, values: Vec<f32>) -> NodeId {
        let node = g.parameter(&name, &[values.len()]);
        self.parameters.push((name, values));
        g.stop_gradient(node)
    }
}

/// The maps that the losses look at.
struct Taps {
    style: Vec<Map>,
    content: Map,
}

/// Appends the network; `weights` makes nodes of named numbers.
fn vgg(
    g: &mut Graph,
    random: &mut Random,
    picture: Map,
    pool: Pool,
    weights: &mut dyn FnMut(&mut Graph, String, Vec<f32>) -> NodeId,
) -> Taps {
    let (mut map, mut style, mut content) = (picture, Vec::new(), picture);
    for (i, (layers, width)) in BLOCKS.into_iter().enumerate() {
        if i > 0 {
            map = map.pool(g, pool);
        }
        for j in 0..layers {
            // As wide as numbers of variance 2 / (9 fan_in).
            let scale = (6.0 / (9 * map.channels) as f32).sqrt();
            let numbers = random.numbers(width * map.channels * 9);
            let scaled = numbers.into_iter().map(|v| v * scale).collect();
            let weight = weights(g, format!("weight{i}_{j}"), scaled);
            let bias = weights(g, format!("bias{i}_{j}"), vec![0.0; width]);
            let (side, pixels) = (map.side as u32, map.pixels() as u32);
            let (from, to) = (map.channels as u32, width as u32);
            let sums = g.conv2d(map.node, weight, 1, from, side, side, to, 3, 3, 1, 1);
            let sums = g.add_per_channel(sums, bias, to, pixels);
            map = Map { node: g.relu(sums), channels: width, side: map.side };
            if j == 0 {
                style.push(map);
            }
            if (i, j) == CONTENT {
                content = map;
            }
        }
    }
    Taps { style, content }
}

/// A session whose step is a step of the painting.
fn painter(size: usize, how: Use) -> Session {
    let (mut g, mut values, mut random) = (Graph::new(), Values::default(), Random(1));
    let node = g.parameter("picture", &[3 * size * size]);
    let picture = Map { node, channels: 3, side: size };
    let mut weights = |g: &mut Graph, name, numbers| values.fixed(g, name, numbers);
    let taps = vgg(&mut g, &mut random, picture, how.pool, &mut weights);
    values.parameters.push(("picture".into(), random.numbers(3 * size * size)));
    // A pass over another two pictures could take minutes; any numbers make the same work.
    let mut losses = Vec::new();
    for (i, map) in taps.style.into_iter().enumerate() {
        let (gram, name) = (map.gram(&mut g), format!("gram{i}"));
        let target = g.input(&name, &[map.channels, map.channels]);
        values.inputs.push((name, random.numbers(map.channels.pow(2))));
        losses.push(g.mse_loss(gram, target));
    }
    let count = taps.content.channels * taps.content.pixels();
    let target = g.input("content", &[count]);
    values.inputs.push(("content".into(), random.numbers(count)));
    let mut loss = g.mse_loss(taps.content.node, target);
    for style in losses {
        loss = g.add(loss, style);
    }
    g.set_outputs(vec![loss]);
    values.session(&g, Mode::Training, how)
}

/// A session whose step is the forward pass.
fn forward(size: usize, how: Use) -> Session {
    let (mut g, mut values, mut random) = (Graph::new(), Values::default(), Random(1));
    let picture = Map { node: g.input("picture", &[3 * size * size]), channels: 3, side: size };
    // Plain parameters: meganeura has Winograd for these, in sessions without gradients.
    let mut weights = |g: &mut Graph, name: String, numbers: Vec<f32>| {
        let node = g.parameter(&name, &[numbers.len()]);
        values.parameters.push((name, numbers));
        node
    };
    let taps = vgg(&mut g, &mut random, picture, Pool::Own, &mut weights);
    values.inputs.push(("picture".into(), random.numbers(3 * size * size)));
    g.set_outputs(taps.style.last().map(|map| map.node).into_iter().collect());
    values.session(&g, Mode::Inference, how)
}

/// Median, fastest and slowest seconds of a session's step.
fn laps(session: &mut Session) -> [f64; 3] {
    let mut lap = |repeats: usize| {
        let start = Instant::now();
        (0..repeats).for_each(|_| session.step());
        session.wait();
        start.elapsed().as_secs_f64() / repeats as f64
    };
    // The first run compiles and allocates.
    lap(1);
    let once = lap(1);
    if once > PATIENCE {
        return [once; 3];
    }
    let repeats = (LAP / once).ceil().clamp(1.0, 1000.0) as usize;
    let start = Instant::now();
    let mut laps = vec![lap(repeats)];
    while laps.len() < LAPS && start.elapsed().as_secs_f64() < PATIENCE {
        laps.push(lap(repeats));
    }
    laps.sort_by(f64::total_cmp);
    [laps[(laps.len() - 1) / 2], laps[0], laps[laps.len() - 1]]
}

/// Prints, and hands over as JSON, the adapter and the row.
fn measure(size: usize, how: Use) -> (String, String) {
    let mut session = painter(size, how);
    let adapter = session.device_information().device_name.clone();
    session.step();
    session.wait();
    // Two numbers by which peers can be checked against each other.
    let mut gradient = vec![0.0; 3 * size * size];
    session.read_param_grad("picture", &mut gradient);
    let norm = gradient.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    println!("{size}²: loss {:.6e}, gradient's norm {norm:.6e}", session.read_loss());

    session.set_adam(0.02, 0.9, 0.99, 1e-8);
    let [seconds, fastest, slowest] = laps(&mut session);
    let bytes = session.memory_summary().total_allocated_bytes();
    drop(session);
    let [forward, ..] = laps(&mut forward(size, how));
    let gflops = 4.0 * MACS * (size * size) as f64 / seconds / 1e9;
    println!("{size}²: {seconds:.4} s a step, {gflops:.1} GFLOP/s, forward {forward:.4} s");
    let precision = if how.half { "f16" } else { "f32" };
    let row = format!(
        r#"{{"bench": "step", "size": {size}, "network": "random:vgg19", "precision": "{precision}",
  "seconds_per_step": {seconds}, "spread": [{fastest}, {slowest}], "forward_seconds": {forward},
  "effective_gflops": {gflops}, "buffer_bytes": {bytes}}}"#
    );
    (adapter, row)
}

fn main() {
    let (mut sizes, mut file) = (vec![64], None);
    let mut how = Use { pool: Pool::Exact, fuse: false, half: false };
    let usage =
        "usage: meganeura_step [--size 64,128] [--json FILE] [--own-pool] [--fuse] [--half]";
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--own-pool" => how.pool = Pool::Own,
            "--fuse" => how.fuse = true,
            "--half" => how.half = true,
            "--size" => {
                let list = args.next().expect(usage);
                let numbers = list.split(',').map(str::parse).collect::<Result<_, _>>();
                sizes = numbers.expect("--size takes 64,128,…");
            }
            "--json" => file = Some(args.next().expect(usage)),
            _ => panic!("{usage}"),
        }
    }
    let driver = match how.pool {
        Pool::Exact => MEGANEURA.into(),
        Pool::Own => format!("{MEGANEURA}, its own pool's gradient"),
    };
    let mut rows = Vec::new();
    for size in sizes {
        let (adapter, row) = measure(size, how);
        rows.push(row);
        // After every size: a software driver may never get to the last.
        if let Some(path) = &file {
            let rows = rows.join(",\n ");
            let report = format!(
                "{{\"adapter\": {adapter:?}, \"driver\": {driver:?}, \"rows\": [\n {rows}\n]}}\n"
            );
            std::fs::write(path, report).expect("the file can be written");
        }
    }
}
