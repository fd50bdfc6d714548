//! Lines that a change adds to a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use unitbee::host::{Append, Base, Batch, Changed, HostError, HostPath};

use crate::changes::{at, change, put};
use crate::world::{Mount, alone, listing, skip};

fn batch<'a>(path: &HostPath, lines: impl IntoIterator<Item = &'a str>) -> Batch {
    let append = |line: &str| Append { path: path.clone(), line: line.into() };
    Batch { appends: lines.into_iter().map(append).collect(), ..Batch::default() }
}

#[test]
fn lines_are_added_and_a_large_file_is_put_aside() {
    alone("appends::lines_are_added_and_a_large_file_is_put_aside", async |mut world| {
        let log = HostPath::new(Base::State, "unitbee/audit");
        let path = world.home().join(".local/state/unitbee/audit");
        for host in world.both() {
            let words = [" a 'b' $HOME \\n * ü", "-n"];
            assert_eq!(change(&host, batch(&log, words)).await.unwrap(), Changed::default());
            let both = Batch { puts: vec![put(world.folder.join("x"), 0o644, "x")], ..batch(&log, ["third"]) };
            assert_eq!(change(&host, both).await.unwrap(), Changed::default());
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n-n\nthird\n", words[0]));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o700);

            // Cut short, and just not large enough.
            fs::write(&path, "x".repeat(1 << 20)).unwrap();
            change(&host, batch(&log, ["next"])).await.unwrap();
            assert!(fs::read_to_string(&path).unwrap().ends_with("xx\nnext\n"));
            change(&host, batch(&log, ["after"])).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
            assert!(fs::read_to_string(format!("{path}.1")).unwrap().ends_with("xx\nnext\n"));

            for line in ["", "two\nlines", "a\0b"] {
                let error = change(&host, batch(&log, [line])).await.unwrap_err();
                assert!(
                    matches!(&error, HostError::Change { detail, .. } if detail == "not a line of text"),
                    "{error:?}"
                );
            }
            fs::remove_dir_all(world.home().join(".local")).unwrap();
        }
    });
}

#[test]
fn a_line_that_cannot_be_added_does_not_fail_the_change() {
    const TEST: &str = "appends::a_line_that_cannot_be_added_does_not_fail_the_change";
    alone(TEST, async |mut world| {
        let small = world.folder.join("small");
        fs::create_dir(&small).unwrap();
        let Some(_small) = Mount::new(&small, "size=64k") else {
            return skip(TEST, "no file system can be mounted here");
        };
        let fill = || fs::write(small.join("fill"), vec![7; 1 << 20]).unwrap_err();
        for host in world.both() {
            fs::write(small.join("gone"), "").unwrap();
            fill();
            let removes = vec![at(small.join("gone"))];
            let changed = change(&host, Batch { removes, ..batch(&at(small.join("log")), ["line"]) }).await.unwrap();
            assert_eq!(changed.notes, [format!("append to {small}/log: No space left on device")]);
            assert!(!small.join("gone").exists());
            fs::remove_file(small.join("fill")).unwrap();
            let changed = change(&host, batch(&at(small.join("log")), ["line"])).await.unwrap();
            assert_eq!((changed, listing(&small)["log"].as_str()), (Changed::default(), "600 line\n"));
            fs::remove_file(small.join("log")).unwrap();
        }
    });
}
