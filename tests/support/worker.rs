//! The program that services of the lab run, compiled from `tests/lab/worker.rs`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, process};

const SOURCE: &str = include_str!("../lab/worker.rs");

/// Compiles it once for each change of its source and returns its path.
pub(crate) fn build() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(compile).clone()
}

fn compile() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let program = dir.join(format!("worker-{:016x}", hasher.finish()));
    if !program.exists() {
        // Tests may run as processes of their own: each compiles under its own name, and the last rename wins.
        let partial = dir.join(format!("worker-{}.partial", process::id()));
        let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
            .arg(&partial)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/worker.rs"))
            .output()
            .unwrap();
        assert!(output.status.success(), "rustc: {}", String::from_utf8_lossy(&output.stderr));
        fs::rename(partial, &program).unwrap();
    }
    program
}
