//! What is painted: the pictures, and what they come to at each scale.

use super::finish::Finish;
use crate::error::Result;
use crate::loss::Regions;
use crate::picture::Picture;
use crate::shape::Wrap;

/// The pictures of a session, in the content's colour space ([`Picture::into_space_of`]) and at their sizes at the last
/// scale.
#[derive(Clone)]
pub struct Scene {
    /// The content, at the size of the result.
    pub content: Picture,
    /// The styles, each with its weight in the blend.
    pub styles: Vec<(Picture, f32)>,
    /// Masks of the content and of the styles, at those sizes.
    pub regions: Regions,
    /// What becomes of the painting.
    pub finish: Finish,
    /// Columns and rows of the content that are painted on every side and are no part of the result
    /// ([`Scene::with_margin`]).
    pub margin: (u32, u32),
}

/// A scene at the size of a scale.
pub(super) struct Small {
    pub content: Picture,
    pub styles: Vec<(Picture, f32)>,
    pub regions: Regions,
}

impl Scene {
    /// The whole of the content painted, and the painting left as it is.
    pub fn new(content: Picture, styles: Vec<(Picture, f32)>) -> Self {
        let (regions, finish, margin) = Default::default();
        Self { content, styles, regions, finish, margin }
    }

    /// The scene with so many more columns and rows on every side of its content, in which its inside is mirrored. They
    /// are painted, and cut off in the end: near its edges a network sees its own padding, and what is painted for that
    /// looks like a thin frame. The planner must have that size.
    #[must_use]
    pub fn with_margin(mut self, margin: (u32, u32)) -> Self {
        let masks = std::mem::take(&mut self.regions.content);
        self.regions.content = masks.iter().map(|mask| mask.with_border(margin)).collect();
        self.content = self.content.with_border(margin);
        self.margin = (self.margin.0 + margin.0, self.margin.1 + margin.1);
        self
    }

    /// The scene for a picture of `size`, some of whose edges may meet, and styles of theirs.
    pub(super) fn at(
        &self,
        (size, wrap): ((u32, u32), Wrap),
        styles: impl Iterator<Item = (u32, u32)>,
    ) -> Small {
        let style = |((picture, weight), size): (&(Picture, f32), _)| {
            (at_size(picture, size, Wrap::None), *weight)
        };
        let styles: Vec<_> = self.styles.iter().zip(styles).map(style).collect();
        let sizes = styles.iter().map(|(style, _)| style.size());
        let regions = self.regions.resized((size, wrap), sizes);
        Small { content: at_size(&self.content, size, wrap), styles, regions }
    }

    /// A painting as it is written: at the size of the result, whatever size is being painted.
    ///
    /// # Errors
    /// As [`Picture::from_planes`].
    pub(super) fn finished(&self, painting: Picture, wrap: Wrap) -> Result<Picture> {
        let painting = match painting.size() == self.content.size() {
            true => painting,
            false => self.enlarged(painting, wrap)?,
        };
        let painting = self.finish.of(painting, &self.content);
        let painting = match self.regions.union(painting.size(), wrap) {
            Some(mask) => painting.over(&self.content, mask.plane()),
            None => painting,
        };
        Ok(painting.without_border(self.margin))
    }

    /// A painting of another size, with the content's own alpha.
    fn enlarged(&self, painting: Picture, wrap: Wrap) -> Result<Picture> {
        let (size, depth, metadata) =
            (painting.size(), painting.depth(), painting.metadata().clone());
        let colours = Picture::from_planes(size, painting.into_planes().0, None, depth)?;
        let (size, alpha) = (self.content.size(), self.content.alpha().map(<[f32]>::to_vec));
        let rgb = at_size(&colours, size, wrap).into_planes().0;
        Ok(Picture::from_planes(size, rgb, alpha, depth)?.with_metadata(metadata))
    }
}

fn at_size(picture: &Picture, (width, height): (u32, u32), wrap: Wrap) -> Picture {
    picture.resized_around(width, height, wrap)
}
