//! The step loop, wherever the picture lies.

use web_time::Instant;

use crate::error::{Error, Knob, Result};
use crate::gpu::{Gpu, Plan, Timing};
use crate::loss::settings::taps;
use crate::loss::{Aim, LossSettings, StyleTargets, StyleTraits};
use crate::nets::Graph;
use crate::paint::course::{Course, Frame};
use crate::paint::descent::Descent;
use crate::paint::event::{Event, Verdict};
use crate::paint::handover;
use crate::paint::job::{Job, weaker};
use crate::paint::levels::Levels;
use crate::paint::on_gpu::OnGpu;
use crate::paint::on_host::OnHost;
use crate::paint::start::{Carried, Start};
use crate::picture::Picture;
use crate::shape::Wrap;
use crate::tiles::grid::Grid;
use crate::tiles::measure;

/// A picture in the making.
pub struct Painter {
    gpu: Gpu,
    frame: Frame,
    course: Course,
    canvas: Canvas,
    target_seconds: f64,
    /// What it is painted by, and how it is moved at a strength of 1.
    loss: LossSettings,
    descent: Descent,
    /// The content's own moments, where they have been wanted, and whether masks were over them.
    own: Option<Vec<StyleTraits>>,
    masked: bool,
}

/// The content without its finest detail, as far as the strength goes: neighbours bring their own (section 3.3).
fn first_picture(settings: &LossSettings, content: &Picture, rgb: Vec<f32>) -> Vec<f32> {
    let smooth = Levels::new(settings, content.size()).without_fine(&rgb);
    let blend = |(own, smooth): (&f32, f32)| own + settings.strength * (smooth - own);
    rgb.iter().zip(smooth).map(blend).collect()
}

/// Where the picture lies.
enum Canvas {
    Gpu(Box<OnGpu>),
    Host(Box<OnHost>),
}

impl Painter {
    /// Measures the content and records the step.
    ///
    /// # Errors
    /// When a layer is missing, a picture too small or too large, styles were measured for something else, or the driver
    /// gives up.
    pub async fn new(gpu: &Gpu, graph: &Graph, job: &Job<'_>) -> Result<Self> {
        let (aim, descent, carried) = (job.aim(), job.descent(), job.carried());
        job.loss.check_wrap(graph, job.content.size())?;
        if job.loss.style_loss.is_by_place() && graph.wrap() != Wrap::None {
            let what =
                format!("{}: places that are compared do not go around edges", Knob::Seamless);
            return Err(Error::Usage(what));
        }
        if job.layout.tiles.is_none() {
            graph.check_fits(gpu, job.content.size())?;
        }
        let lap = Instant::now();
        let own = measure::own_moments(gpu, graph, &aim).await?;
        let style = StyleTargets::new(gpu, &aim, own.as_deref()).await?;
        let own_seconds = lap.elapsed().as_secs_f64();
        let mut start = job.start.rgb(job.content, job.loss.strength, graph.wrap());
        if matches!(job.start, Start::Content) && job.loss.style_loss.is_by_place() {
            start = first_picture(&job.loss, job.content, start);
        }
        // In tiles another optimiser may take over.
        let method = match job.layout.tiles {
            None => descent.method,
            Some(_) => descent.by_pieces().unwrap_or(descent).method,
        };
        let before = |carried| handover::state(carried, (job.content.size(), graph.wrap()), method);
        let before = carried.map(before).transpose()?;
        let (canvas, seconds) = match job.layout.tiles {
            None => {
                let begin = (start, before.as_deref());
                let (canvas, seconds) =
                    OnGpu::new(gpu, graph, (&aim, style), &descent, begin).await?;
                (Canvas::Gpu(Box::new(canvas)), seconds)
            }
            Some(_) if graph.wrap() != Wrap::None => {
                let what = format!("{}: tiles would leave seams: paint it whole", Knob::Seamless);
                return Err(Error::Usage(what));
            }
            Some(tiles) => {
                let reach = job.loss.tile_reach(graph, job.content.size());
                let grid = Grid::new(job.content.size(), tiles.most, reach)?;
                let kept = tiles.keep.then(|| grid.count());
                let (cut, begin) = ((grid, tiles.most, kept), (start, before));
                let (canvas, seconds) =
                    OnHost::new(gpu, graph, (&aim, &style), &descent, cut, begin).await?;
                (Canvas::Host(Box::new(canvas)), seconds)
            }
        };
        Ok(Painter {
            gpu: gpu.clone(),
            frame: Frame::of(job.content),
            course: Course::new(carried, job.descent.flat),
            canvas,
            target_seconds: own_seconds + seconds,
            loss: job.loss.clone(),
            descent: job.descent,
            own,
            masked: !job.regions.content.is_empty(),
        })
    }

    /// Re-aims a painting in progress: at other styles, another blend, strength, style loss or weights, or other regions.
    /// The picture, what the optimiser knows, what was measured of the content and the count of steps stay; only the
    /// step is recorded anew. L-BFGS starts afresh from its best point, because what it knows is another loss.
    ///
    /// That costs a recording and its bind groups. Another style loss compiles its kernels once.
    /// docs/PERFORMANCE.md has the time beside a new painter's.
    ///
    /// # Errors
    /// [`Error::Usage`] for another content size, other layers, another normalization, or detail that is turned on or
    /// off: those need a new painter. Otherwise as [`Painter::new`]; after such an error this one has no step any more.
    pub async fn retarget(&mut self, graph: &Graph, aim: &Aim<'_>) -> Result<()> {
        self.check(aim)?;
        let known = |own: &&Vec<StyleTraits>| {
            let layers = aim.loss.style_taps();
            let there = |own: &StyleTraits| {
                layers.iter().all(|layer| own.at(&layer.layer, aim.loss.style_loss).is_ok())
            };
            !self.masked && aim.regions.content.is_empty() && own.iter().all(there)
        };
        if aim.loss.keeps_own_style() && self.own.as_ref().filter(known).is_none() {
            self.own = measure::own_moments(&self.gpu, graph, aim).await?;
            self.masked = !aim.regions.content.is_empty();
        }
        let own = self.own.as_deref().filter(|_| aim.loss.keeps_own_style());
        let style = StyleTargets::new(&self.gpu, aim, own).await?;
        let by = (&weaker(&self.descent, aim.loss.strength), self.course.steps);
        match &mut self.canvas {
            Canvas::Gpu(canvas) => canvas.retarget(graph, (aim, style), by).await?,
            Canvas::Host(canvas) => canvas.retarget(graph, (aim, &style), by).await?,
        }
        self.course.retarget();
        self.loss = aim.loss.clone();
        Ok(())
    }

    /// That an aim leaves alone what is not measured again.
    fn check(&self, aim: &Aim<'_>) -> Result<()> {
        let (old, new) = (&self.loss, aim.loss);
        let wrong = |what: &str| Err(Error::Usage(format!("{what}: begin a new painting")));
        match () {
            () if aim.content.size != self.frame.size => wrong("the content has another size"),
            () if old.content_taps() != new.content_taps() => wrong("content is read elsewhere"),
            () if taps(&old.style_taps()) != taps(&new.style_taps()) => {
                wrong("styles are read elsewhere")
            }
            () if old.style_loss.is_by_place() != new.style_loss.is_by_place() => {
                wrong("styles are compared otherwise")
            }
            () if old.normalization != new.normalization => wrong("losses are divided otherwise"),
            () if (old.detail_weight > 0.0) != (new.detail_weight > 0.0) => {
                wrong("detail is turned on or off")
            }
            () => Ok(()),
        }
    }

    /// What a step costs, or both passes over a tile.
    pub fn plan(&self) -> &Plan {
        match &self.canvas {
            Canvas::Gpu(canvas) => canvas.plan(),
            Canvas::Host(canvas) => canvas.gradient.plan(),
        }
    }

    /// How long the targets took: the network's features of the content, and what becomes of the styles' moments.
    pub fn target_seconds(&self) -> f64 {
        self.target_seconds
    }

    /// Steps taken, those before what was carried over included.
    pub fn steps(&self) -> u64 {
        self.course.steps
    }

    /// Whether the loss is flat; where the job says so, no more steps are taken then.
    pub fn is_flat(&self) -> bool {
        self.course.is_flat()
    }

    /// Tells the losses of steps at this size that were taken before a break, so that [`Painter::is_flat`] sees them.
    pub fn recall(&mut self, losses: impl Iterator<Item = f32>) {
        if let Some(flat) = &mut self.course.flat {
            losses.for_each(|loss| flat.push(loss));
        }
    }

    /// Takes up to `steps` steps and tells `watch` about them; `save_every` so many, it gets the
    /// picture too.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no finite number any more, and whatever the driver
    /// reported.
    pub async fn paint(
        &mut self,
        steps: u64,
        save_every: Option<u64>,
        watch: &mut dyn FnMut(Event<'_>) -> Verdict,
    ) -> Result<()> {
        self.course.begin();
        let common = (&mut self.course, &self.frame);
        match &mut self.canvas {
            Canvas::Gpu(canvas) => canvas.paint(steps, save_every, common, watch).await,
            Canvas::Host(canvas) => canvas.paint(steps, save_every, common, watch).await,
        }
    }

    async fn rgb(&self) -> Result<Vec<f32>> {
        match &self.canvas {
            Canvas::Gpu(canvas) => canvas.rgb().await,
            Canvas::Host(canvas) => Ok(canvas.result().into_owned()),
        }
    }

    /// Everything that another painter needs to go on, at this size or another. The picture's alpha stays behind.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn carried(&self) -> Result<Carried> {
        let (size, steps) = (self.frame.size, self.course.steps);
        let picture = Picture::from_planes(size, self.rgb().await?, None, self.frame.depth)?;
        let state = match &self.canvas {
            Canvas::Gpu(canvas) => canvas.state(steps).await?,
            Canvas::Host(canvas) => canvas.state(steps),
        };
        Ok(Carried { picture, state, seconds: self.course.seconds() })
    }

    /// The picture as it stands, with the content's alpha, depth, colour profile and EXIF.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn picture(&self) -> Result<Picture> {
        self.frame.picture(self.rgb().await?)
    }

    /// GPU time of every dispatch of one step, which is taken as well.
    ///
    /// # Errors
    /// [`Error::Usage`] when the picture is painted in tiles; otherwise as
    /// [`Program::profile`](crate::gpu::Program::profile).
    pub async fn profile(&mut self) -> Result<Vec<Timing>> {
        self.course.begin();
        match &mut self.canvas {
            Canvas::Gpu(canvas) => canvas.profile(&mut self.course).await,
            Canvas::Host(_) => Err(Error::Usage("steps in tiles are not profiled".into())),
        }
    }
}
