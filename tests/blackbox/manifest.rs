//! The manifest that most subjects start from.

/// A service `web`, unit `web-main`, that runs the daemon on port 8080 with these habits and has these further keys.
pub(crate) fn web(habits: &[&str], keys: &str) -> String {
    let command = [&["./daemon", "--port", "8080"], habits].concat();
    format!(
        r#"[service.web]
command = {command:?}
health = {{ url = "http://127.0.0.1:8080/health", within = "30s", healthy_for = "300ms" }}
stop = {{ url = "http://127.0.0.1:8080/v1/shutdown", drain = "2s", term = "5s" }}
{keys}
"#
    )
}
