//! Tests that need more than a Rust toolchain say so when they do not run.

/// Says why a test does not run; with `UNITBEE_REQUIRE_LAB=1`, where everything must run, it fails instead.
#[expect(clippy::print_stderr, reason = "a skip must be seen")]
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(!is_required(), "{test} cannot run and UNITBEE_REQUIRE_LAB=1 is set: {reason}");
    eprintln!("SKIP {test}: {reason}");
}

/// Whether everything must run.
pub(crate) fn is_required() -> bool {
    std::env::var_os("UNITBEE_REQUIRE_LAB").is_some_and(|value| value == "1")
}
