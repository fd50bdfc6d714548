//! The formula of Homebrew: it says what Cargo says, its blocks name what is there, and its own test passes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs itself")]

#[path = "support/skip.rs"]
mod skip;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const UNITBEE: &str = env!("CARGO_BIN_EXE_unitbee");

/// What the formula says; its install and test blocks ran. `None` where there is no ruby.
fn formula() -> Option<Value> {
    let programs = Path::new(UNITBEE).parent().unwrap();
    let output = Command::new("ruby")
        .args(["-W", "tests/support/homebrew.rb", "packaging/homebrew/unitbee.rb"])
        .arg(programs)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let Ok(output) = output else {
        skip::skip("the formula of Homebrew", "ruby is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn it_says_what_cargo_says() {
    let Some(formula) = formula() else { return };
    let desc = formula["desc"].as_str().unwrap();
    // Homebrew takes no more than 80 characters.
    assert!(desc.len() <= 80 && env!("CARGO_PKG_DESCRIPTION").starts_with(desc), "{desc}");
    assert_eq!(formula["homepage"], env!("CARGO_PKG_REPOSITORY"));
    assert_eq!(formula["url"]["url"], concat!(env!("CARGO_PKG_REPOSITORY"), ".git"));
    assert_eq!(formula["url"]["tag"], concat!("v", env!("CARGO_PKG_VERSION")));
    let licences: Vec<_> =
        formula["license"]["any_of"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(licences.join(" OR "), env!("CARGO_PKG_LICENSE"));
}

#[test]
fn it_installs_what_packages_carry() {
    let Some(formula) = formula() else { return };
    let files: Vec<_> = formula["files"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(files[0].starts_with("cargo install --locked"), "{files:?}");
    for file in [
        "bash_completion/unitbee",
        "zsh_completion/_unitbee",
        "fish_completion/unitbee.fish",
        "man1/unitbee.1",
        "man1/unitbee-ensure.1",
        "share/unitbee/unitbee.schema.json",
    ] {
        assert!(files.contains(&file), "{file} is not among {files:?}");
    }
}

#[test]
fn its_service_is_a_command_line_of_ours() {
    let Some(formula) = formula() else { return };
    let service = &formula["service"];
    let words: Vec<_> = service["run"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(words[0].ends_with("/bin/unitbee"), "{words:?}");
    assert!(service["run_type"] == "interval" && service["interval"].as_u64() >= Some(60), "{service}");
    // A command line that is understood gets as far as the manifest.
    let manifest = words.iter().position(|word| *word == "--file").unwrap() + 1;
    assert!(formula["caveats"].as_str().unwrap().contains(words[manifest]), "{formula}");
    let mut args = words[1..].to_vec();
    args[manifest - 1] = "/nowhere/unitbee.toml";
    let output = Command::new(UNITBEE).args(&args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no manifest /nowhere/unitbee.toml"), "{said}");
}
