//! The step loop, wherever the picture lies.

use crate::loss::regions::Regions;
use crate::loss::targets::LossSettings;
use crate::paint::Layout;
use crate::paint::course::{Course, Frame};
use crate::paint::descent::Descent;
use crate::paint::ring::LossRow;
use crate::paint::start::{Carried, Start};
use crate::paint::tiles::Tiles;
use crate::paint::whole::Whole;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Timing};
use crate::nets::Graph;
use crate::picture::Picture;

/// All that a picture is made from. Pictures come in the sizes they are used at and in the content's colour space
/// ([`Picture::into_space_of`]), which is the result's.
pub struct Job<'a> {
    /// The content, at the size of the result.
    pub content: &'a Picture,
    /// The styles, each with its weight in the blend.
    pub styles: &'a [(Picture, f32)],
    /// Which parts of the picture the styles paint; by default each paints all of it. Masks have the sizes of their
    /// pictures.
    pub regions: &'a Regions,
    /// The initial picture.
    pub start: Start,
    /// The loss.
    pub loss: LossSettings,
    /// How the picture is moved.
    pub descent: Descent,
    /// Where the picture lies; by default on the GPU.
    pub layout: Layout,
}

impl Job<'_> {
    /// How the picture is moved at this strength. Adam's steps are as long as the learning rate however small the
    /// gradient is: where little is asked for, long ones would only shake the picture.
    pub(crate) fn descent(&self) -> Descent {
        let weaker = |lr| self.loss.strength * lr;
        let (lr, in_tiles) = (weaker(self.descent.lr), self.descent.in_tiles.map(weaker));
        Descent { lr, in_tiles, ..self.descent }
    }
}

/// What the painter tells while it works.
pub enum Event<'a> {
    /// So many steps are done.
    Steps(u64),
    /// So many tiles of the next step are done, of so many in both passes together.
    Tiles(usize, usize),
    /// Losses of steps that were done a little while ago, in order, none left out.
    Losses(&'a [LossRow]),
    /// The picture after so many steps, as asked for with `save_every`.
    Picture(u64, Picture),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take the next step.
    Continue,
    /// Stop after the steps under way, or between two tiles.
    Stop,
}

/// A picture in the making.
pub struct Painter {
    gpu: Gpu,
    frame: Frame,
    course: Course,
    place: Place,
    target_seconds: f64,
}

/// Where the picture lies.
enum Place {
    Gpu(Box<Whole>),
    Host(Box<Tiles>),
}

impl Painter {
    /// Measures the targets and records the step.
    ///
    /// # Errors
    /// When a layer is missing, a picture too small or too large, or the driver gives up.
    pub async fn new(gpu: &Gpu, graph: &Graph, job: &Job<'_>) -> Result<Self> {
        let carried = match &job.start {
            Start::Carried(carried) => Some(carried.as_ref()),
            _ => None,
        };
        let (place, target_seconds) = match job.layout.tiles {
            None => {
                graph.check_fits(gpu, job.content.size())?;
                let (whole, seconds) = Whole::new(gpu, graph, job, carried).await?;
                (Place::Gpu(Box::new(whole)), seconds)
            }
            Some(tiles) => {
                let sides = (tiles.most, tiles.keep);
                let (tiles, seconds) = Tiles::new(gpu, graph, job, carried, sides).await?;
                (Place::Host(Box::new(tiles)), seconds)
            }
        };
        let (frame, course) = (Frame::of(job.content), Course::new(carried, job.descent.flat));
        Ok(Painter { gpu: gpu.clone(), frame, course, place, target_seconds })
    }

    /// What a step costs, or both passes over a tile.
    pub fn plan(&self) -> &Plan {
        match &self.place {
            Place::Gpu(whole) => whole.program.plan(),
            Place::Host(tiles) => tiles.tiled.plan(),
        }
    }

    /// How long the targets took: the network's features of the content and of every style.
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
        match &mut self.place {
            Place::Gpu(whole) => whole.paint(steps, save_every, common, watch).await,
            Place::Host(tiles) => tiles.paint(steps, save_every, common, watch).await,
        }
    }

    async fn rgb(&self) -> Result<Vec<f32>> {
        match &self.place {
            Place::Gpu(whole) => whole.rgb().await,
            Place::Host(tiles) => Ok(tiles.pieces.result().to_vec()),
        }
    }

    /// Everything that another painter needs to go on, at this size or another. The picture's alpha stays behind.
    ///
    /// # Errors
    /// Whatever the driver reported.
    pub async fn carried(&self) -> Result<Carried> {
        let (size, steps) = (self.frame.size, self.course.steps);
        let picture = Picture::from_planes(size, self.rgb().await?, None, self.frame.depth)?;
        let state = match &self.place {
            Place::Gpu(whole) => whole.optimizer.state(&self.gpu, steps).await?,
            Place::Host(tiles) => tiles.pieces.state(steps),
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
        match &mut self.place {
            Place::Gpu(whole) => whole.profile(&mut self.course).await,
            Place::Host(_) => Err(Error::Usage("steps in tiles are not profiled".into())),
        }
    }
}
