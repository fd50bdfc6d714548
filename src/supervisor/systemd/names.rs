//! How systemd names a unit in full.

/// Full name of the service unit `unit`.
pub(super) fn service(unit: &str) -> String {
    format!("{unit}.service")
}

/// Full name of the slice unit `slice`.
pub(super) fn slice(slice: &str) -> String {
    format!("{slice}.slice")
}
