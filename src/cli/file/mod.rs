//! Files on disk; the library itself works on bytes.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use impasto::{Error, Result};

/// The largest file that is read, in bytes: nothing that is painted here comes near it, and a
/// device such as `/dev/zero` has no end.
const MAX_FILE: u64 = 8 << 30;

/// Reads a whole file.
///
/// # Errors
/// [`Error::File`]: no such file, a folder, no permission, or more than 8 GiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    // A pipe would be waited for, and a device may have no end.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Err(refuse(path, "it is a device or a pipe: copy what it gives into a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refuse(path, "it has more than 8 GiB: name a picture file"));
    }
    Ok(bytes)
}

/// Checks, before any work, that [`write_atomic`] can write to `path`: its folder is there and
/// writable, and it is itself no folder and not write-protected.
///
/// # Errors
/// [`Error::File`] naming the folder or the file, and the way out.
pub fn check_writable(path: &Path) -> Result<()> {
    match Destination::of(path)? {
        Destination::Device => Ok(()),
        Destination::File(target, _) => {
            temporary(&target, None).map(drop).map_err(|e| unwritable(path, folder(&target), &e))
        }
    }
}

/// Makes a folder for results, and those that it lies in.
///
/// # Errors
/// [`Error::File`] when it can't be made.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| {
        refuse(folder, format!("the folder can't be made ({e}): choose another with -o"))
    })
}

/// Writes `bytes` to `path` all at once: into a temporary file in the same folder, which then
/// takes the name. Whatever goes wrong, an existing file stays as it was.
///
/// An existing file passes its permissions on; a new one gets the usual ones. A symbolic link
/// stays, and its target is written. Devices and pipes are written directly.
///
/// # Errors
/// [`Error::File`], as from [`check_writable`], or when the disk is full.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    match Destination::of(path)? {
        Destination::Device => File::options()
            .write(true)
            .open(path)
            .and_then(|mut device| device.write_all(bytes))
            .map_err(|e| refuse(path, format!("it can't be written to ({e})"))),
        Destination::File(target, permissions) => {
            replace(&target, permissions, bytes).map_err(|e| unwritable(path, folder(&target), &e))
        }
    }
}

/// Whether both paths lead to one file, over links of either kind; it need not be there yet.
#[must_use]
pub fn same_file(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let beside = || Some(fs::canonicalize(folder).ok()?.join(path.file_name()?));
        fs::canonicalize(path).ok().or_else(beside)
    };
    let (place_a, place_b) = (place(a), place(b));
    (place_a.is_some() && place_a == place_b) || same_inode(a, b)
}

#[cfg(unix)]
fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    id(a).is_some_and(|a| id(b) == Some(a))
}

#[cfg(not(unix))]
fn same_inode(_: &Path, _: &Path) -> bool {
    false
}

/// Where writing to a path ends up.
enum Destination {
    /// A device or a pipe, opened by the path itself.
    Device,
    /// A file, with the permissions it has if it exists. Links are followed, even to a file yet
    /// to be made.
    File(PathBuf, Option<fs::Permissions>),
}

impl Destination {
    fn of(path: &Path) -> Result<Destination> {
        // As many links in a row as Linux follows.
        const LINKS: usize = 40;
        let permissions = match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                return Err(refuse(path, "this is a folder: name a file in it, such as out.png"));
            }
            Ok(meta) if !meta.is_file() => return Ok(Destination::Device),
            // Renaming over it would work, but it was protected for a reason.
            Ok(meta) if meta.permissions().readonly() => {
                return Err(refuse(
                    path,
                    "the file is write-protected: allow writing to it, or choose another name",
                ));
            }
            Ok(meta) => Some(meta.permissions()),
            Err(_) => None,
        };
        let mut target = path.to_owned();
        for _ in 0..LINKS {
            match fs::read_link(&target) {
                Ok(link) => target = folder(&target).join(link),
                Err(_) => return Ok(Destination::File(target, permissions)),
            }
        }
        Err(refuse(path, "this link leads in a circle: remove it, or choose another name"))
    }
}

/// The folder that `path` lies in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn replace(target: &Path, permissions: Option<fs::Permissions>, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(target, permissions)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

/// A temporary file beside `target`, gone when dropped.
fn temporary(
    target: &Path,
    permissions: Option<fs::Permissions>,
) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".impasto-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    let file = builder.tempfile_in(folder(target))?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    Ok(file)
}

fn refuse(path: &Path, what: impl Into<String>) -> Error {
    Error::File { path: path.display().to_string(), what: what.into() }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::NotFound => "there is no such file: check the name".to_owned(),
        ErrorKind::IsADirectory => "this is a folder: name a picture file in it".to_owned(),
        ErrorKind::PermissionDenied => {
            "reading it is not allowed: check its permissions".to_owned()
        }
        _ if path.is_dir() => "this is a folder: name a picture file in it".to_owned(),
        _ => format!("it can't be read ({error}): check the disk, or copy it elsewhere"),
    };
    refuse(path, what)
}

fn unwritable(path: &Path, folder: &Path, error: &io::Error) -> Error {
    let shown = folder.display();
    let what = match error.kind() {
        _ if folder.exists() && !folder.is_dir() => {
            format!("{shown} is not a folder: choose another place")
        }
        ErrorKind::NotFound => {
            format!("there is no folder {shown}: make it first, or choose another place")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("writing into the folder {shown} is not allowed: choose another place")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("the disk of the folder {shown} is full: make room, or choose another place")
        }
        _ => format!("it can't be written into the folder {shown} ({error})"),
    };
    refuse(path, what)
}
