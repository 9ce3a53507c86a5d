//! How a user names a network on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::random::check_divide;
use crate::error::{Error, Result};

/// `--network default`, `--network random:vgg19[/K]` or `--network FILE.safetensors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkSpec {
    /// The network inside the program.
    #[default]
    Default,
    /// [`super::network::Network::random`].
    Random {
        /// What VGG-19's widths are divided by.
        divide: u32,
    },
    /// A file for [`super::network::Network::from_safetensors`].
    File(PathBuf),
}

impl FromStr for NetworkSpec {
    type Err = Error;

    fn from_str(spec: &str) -> Result<Self> {
        if spec == "default" {
            return Ok(Self::Default);
        }
        if let Some(random) = spec.strip_prefix("random") {
            if let Some(divide) = random_divide(random) {
                check_divide(divide)?;
                return Ok(Self::Random { divide });
            }
            if random.is_empty() || random.starts_with(':') {
                return Err(Error::Usage(format!(
                    "random network `{spec}` is unknown; write random:vgg19, or random:vgg19/K to \
                     divide its widths by K = 2, 4, 8, 16, 32 or 64"
                )));
            }
        }
        let path = PathBuf::from(spec);
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if extension == "safetensors" {
            return Ok(Self::File(path));
        }
        let hint = if ["pth", "pt", "bin", "ckpt"].iter().any(|e| extension == *e) {
            "; convert a PyTorch checkpoint to safetensors first"
        } else {
            ""
        };
        Err(Error::Usage(format!(
            "network `{spec}` is unknown; choose default, random:vgg19[/K] or a file that ends in \
             .safetensors{hint}"
        )))
    }
}

/// The K of `:vgg19[/K]`.
fn random_divide(spec: &str) -> Option<u32> {
    match spec.strip_prefix(":vgg19")? {
        "" => Some(1),
        divide => divide.strip_prefix('/')?.parse().ok(),
    }
}

/// As the user writes it; also the network's name in errors.
impl fmt::Display for NetworkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Random { divide: 1 } => f.write_str("random:vgg19"),
            Self::Random { divide } => write!(f, "random:vgg19/{divide}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
