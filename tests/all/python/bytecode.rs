//! The bytecode of a program's own modules, in the user's cache.

use super::*;

/// A module's source that is worth compiling before the program starts.
fn large(word: &str) -> String {
    let functions: String =
        (0..2000).map(|number| format!("def f{number}(a, b):\n    return a + b\n")).collect();
    format!("word = '{word}'\n{functions}")
}

/// `sandsock python` with a cache of its own that has the compiled runner of the default cache.
fn cached(folder: &Path, home: &Path) -> assert_cmd::Command {
    let own = home.join("sandsock/python");
    if !own.exists() {
        std::fs::create_dir_all(&own).expect("makes");
        for made in [home.join("sandsock"), own.clone()] {
            std::fs::set_permissions(made, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        }
        for entry in
            std::fs::read_dir(cache().join("sandsock/python")).expect("it is there").flatten()
        {
            if entry.path().extension().is_some_and(|end| end == "cwasm") {
                std::fs::copy(entry.path(), own.join(entry.file_name())).expect("copies");
            }
        }
    }
    let mut python = python(folder);
    python.env("XDG_CACHE_HOME", home);
    python
}

#[test]
fn python_bytecode_is_compiled_once_and_by_no_program() {
    if !built() {
        return;
    }
    // The default cache has the compiled runner after this.
    let place = tempfile::tempdir().expect("a folder");
    let real = place.path().canonicalize().expect("a path");
    code(&real, 0, &[], "pass");
    let [home, site, app, other] = ["cache", "site", "app", "other"].map(|name| real.join(name));
    for folder in [&home, &site.join("package"), &app, &other] {
        std::fs::create_dir_all(folder).expect("makes");
    }
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    std::fs::write(site.join("package/__init__.py"), large("first")).expect("writes");
    std::fs::write(site.join("package/broken.py"), "x = (1 +\n").expect("writes");
    let program = "
import os, package
print(package.word, package.__cached__, os.path.exists(package.__cached__))
for path in (package.__cached__, os.path.dirname(package.__cached__) + '/left'):
    try:
        open(path, 'wb')
    except OSError as error:
        print(type(error).__name__)
";
    std::fs::write(app.join("main.py"), program).expect("writes");
    let run = |site: &Path, script: &Path| {
        let mut run = cached(&other, &home);
        run.arg("--site").arg(site).arg(script);
        let start = Instant::now();
        let (stdout, stderr) = ended(0, run);
        println!("{:?}: {stderr}", start.elapsed());
        (stdout, stderr)
    };
    let bytecode =
        format!("/python-cache{}/package/__pycache__/__init__.cpython-314.pyc", site.display());
    let script = app.join("main.py");
    let expected = |word: &str| {
        // WASI's name of the error of a write in a read-only folder.
        (format!("{word} {bytecode} True\n"), "Error\n")
    };
    let (stdout, stderr) = run(&site, &script);
    assert!(stderr.contains(&format!("compiling 2 modules of {}", site.display())), "{stderr}");
    let (first, ending) = expected("first");
    assert!(stdout.starts_with(&first) && stdout.ends_with(ending), "{stdout}");
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    assert_eq!(run(&site, &script), (stdout, String::new()));
    // A change counts at once, however small it is. The size and the time stay the same.
    let module = site.join("package/__init__.py");
    let time = module.metadata().expect("it is there").modified().expect("a time");
    std::fs::write(&module, large("other")).expect("writes");
    std::fs::File::options()
        .write(true)
        .open(&module)
        .and_then(|file| file.set_modified(time))
        .expect("is set");
    let (stdout, stderr) = run(&site, &script);
    assert!(stdout.starts_with(&expected("other").0) && stderr.is_empty(), "{stdout} {stderr}");
    // A program sees the bytecode of no folder but its own.
    std::fs::write(
        other.join("see.py"),
        "import os\ntry: print(os.listdir('/python-cache'))\nexcept OSError: print('nothing')",
    )
    .expect("writes");
    let mut see = cached(&other, &home);
    see.arg("see.py");
    assert_eq!(ended(0, see).0, "nothing\n");
    // Nothing lies beside the sources.
    assert!(!site.join("package/__pycache__").exists());
}
