//! Programs that services of the lab run, compiled from `tests/lab/*.rs`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process, thread};

/// Compiles `tests/lab/<name>.rs` once for each change of it and returns the program's path. It is static, so that the
/// same bytes run on every host.
pub(crate) fn build(name: &str) -> PathBuf {
    compiled(name, name, "target-feature=+crt-static")
}

/// Compiles it into `<output>-<digest>` with an option of rustc's code generation that says how it is linked.
pub(crate) fn compiled(name: &str, output: &str, codegen: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(name).with_extension("rs");
    let mut hasher = DefaultHasher::new();
    fs::read(&source).unwrap().hash(&mut hasher);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let program = dir.join(format!("{output}-{:016x}", hasher.finish()));
    if !program.exists() {
        // Tests run beside each other: each compiles under its own name, and the last rename wins.
        let partial = dir.join(format!("{output}-{}-{:?}.partial", process::id(), thread::current().id()));
        let rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "-O", "-C", codegen, "-C", "strip=symbols", "-o"])
            .args([&partial, &source])
            .output()
            .unwrap();
        assert!(rustc.status.success(), "rustc: {}", String::from_utf8_lossy(&rustc.stderr));
        fs::rename(partial, &program).unwrap();
    }
    program
}
