//! Names in folders: a guest can leave no more of them than its limit says.

use sandsock_tests::{Guest, Way, both_ways, programs};

fn names(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).expect("reads").count()
}

#[test]
pub(crate) fn attack_paths_left_refused() {
    both_ways(|way: Way| {
        for most in [1, 20] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(folder.path().join("sub")).expect("makes");
            let guest = |limit: usize| {
                Guest::new(programs::attack_paths_left_refused, way)
                    .allow(format!("unix-bind={}/**", folder.path().display()))
                    .allow("unix-bind=@*")
                    .limit(format!("unix-names={limit}"))
                    .arg(folder.path().display())
                    .arg(most)
            };
            let running = guest(most).start();
            running.lines(1);
            assert_eq!(names(folder.path()), most + 1);
            std::fs::remove_file(folder.path().join("0")).expect("removes");
            running.join().success();
            assert_eq!(names(folder.path()), most + 1);
            for file in std::fs::read_dir(folder.path()).expect("reads").flatten() {
                let _ = std::fs::remove_file(file.path());
            }
            guest(most + 3).arg("twin").run().success();
        }
    });
}
