//! Reading and writing on disk.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::{check_writable, read, same_file, write_atomic};
use impasto::Error;

fn line<T: std::fmt::Debug>(result: impasto::Result<T>) -> String {
    let error = result.expect_err("refused");
    assert!(matches!(error, Error::File { .. }));
    error.to_string()
}

/// The names in a folder: no temporary file may stay.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn reading_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    assert!(line(read(&file)).contains("no such file"));
    assert!(line(read(folder.path())).contains("a folder"));
    assert!(line(read(&folder.path().join("a/b"))).contains("no such file"));
    fs::write(&file, "x").unwrap();
    assert_eq!(read(&file).unwrap(), b"x");
}

#[test]
fn writing_makes_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.png");
    check_writable(&file).unwrap();
    assert!(names(folder.path()).is_empty());
    write_atomic(&file, b"one").unwrap();
    check_writable(&file).unwrap();
    write_atomic(&file, b"two").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"two");
    assert_eq!(names(folder.path()), ["out.png"]);
}

#[test]
fn unwritable_places_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/out.png");
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for (path, word) in [
        (missing, "there is no folder"),
        (file.join("out.png"), "is not a folder"),
        (folder.path().to_owned(), "this is a folder"),
    ] {
        let checked = line(check_writable(&path));
        assert!(checked.contains(word), "{checked}");
        assert_eq!(line(write_atomic(&path, b"y")), checked);
    }
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn same_file_over_links() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    fs::write(&a, "x").unwrap();
    fs::write(&b, "x").unwrap();
    assert!(same_file(&a, &folder.path().join(".").join("a")));
    assert!(!same_file(&a, &b));
    // `c` is not there yet, and still is itself.
    assert!(!same_file(&a, &c) && same_file(&c, &folder.path().join(".").join("c")));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&a, &c).unwrap();
        assert!(same_file(&a, &c));
        fs::remove_file(&b).unwrap();
        fs::hard_link(&a, &b).unwrap();
        assert!(same_file(&a, &b) && same_file(&b, &c));
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn permissions_are_the_usual_or_kept() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, usual] = ["ours", "usual"].map(|name| folder.path().join(name));
        fs::write(&usual, "x").unwrap();
        write_atomic(&ours, b"y").unwrap();
        assert_eq!(mode(&ours), mode(&usual));
        set_mode(&ours, 0o640);
        write_atomic(&ours, b"z").unwrap();
        assert_eq!(mode(&ours), 0o640);
    }

    #[test]
    fn links_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        fs::create_dir(&there).unwrap();
        let [link, chain] = ["link", "chain"].map(|name| folder.path().join(name));
        symlink("there/out.png", &link).unwrap();
        symlink("link", &chain).unwrap();
        for content in ["made", "replaced"] {
            check_writable(&chain).unwrap();
            write_atomic(&chain, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(there.join("out.png")).unwrap(), content);
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(&there), ["out.png"]);
        assert_eq!(names(folder.path()), ["chain", "link", "there"]);
    }

    #[test]
    fn links_in_a_circle_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        symlink(&a, &b).unwrap();
        symlink(&b, &a).unwrap();
        assert!(line(check_writable(&a)).contains("circle"));
        assert!(line(write_atomic(&a, b"x")).contains("circle"));
        assert_eq!(names(folder.path()), ["a", "b"]);
    }

    #[test]
    fn devices_are_written_directly() {
        let null = Path::new("/dev/null");
        check_writable(null).unwrap();
        write_atomic(null, b"x").unwrap();
        assert!(!fs::metadata(null).unwrap().is_file());
    }

    /// Runs only inside `a_failed_write_leaves_the_file`, in a process that may not write much.
    #[test]
    fn child_writes_too_much() {
        if let Some(file) = std::env::var_os("IMPASTO_TEST_TOO_MUCH") {
            let failed = line(write_atomic(Path::new(&file), &[7; 1 << 20]));
            assert!(failed.contains("can't be written"), "{failed}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.png");
        fs::write(&file, "precious").unwrap();
        // Files of at most 64 blocks, and an error instead of a signal beyond them.
        let child = std::process::Command::new("sh")
            .args(["-c", "ulimit -f 64; trap '' XFSZ; exec \"$0\" child_writes_too_much"])
            .arg(std::env::current_exe().unwrap())
            .env("IMPASTO_TEST_TOO_MUCH", &file)
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        assert_eq!(names(folder.path()), ["out.png"]);
    }

    #[test]
    fn protected_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.png");
        fs::write(&file, "precious").unwrap();
        set_mode(&file, 0o444);
        assert!(line(check_writable(&file)).contains("write-protected"));
        assert!(line(write_atomic(&file, b"x")).contains("write-protected"));
        set_mode(&file, 0o644);

        set_mode(folder.path(), 0o555);
        if fs::write(folder.path().join("probe"), "").is_ok() {
            // Not `eprintln`, which the test harness swallows.
            let why = "this user (root?) may write into read-only folders";
            let _ = writeln!(std::io::stderr(), "skipped read-only folders: {why}");
        } else {
            let checked = line(check_writable(&file));
            assert!(checked.contains("not allowed") && checked.contains("folder"), "{checked}");
            // A write that fails leaves the file as it was.
            assert_eq!(line(write_atomic(&file, b"x")), checked);
            assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
            set_mode(&file, 0o000);
            assert!(line(read(&file)).contains("not allowed"));
        }
        set_mode(folder.path(), 0o755);
    }
}
