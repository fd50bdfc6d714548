//! The manifest that `unitbee init` writes.

use toml::Value;

use super::read::toml_key;
use super::template::escape;
use crate::service::name::check_part;

/// Writes a manifest of one service, with a comment for each key that one may want next.
///
/// Lines that start with `#` and no blank are settings that are switched off. A `service` that cannot be a name is
/// made one.
#[must_use]
pub fn starter(service: &str, command: &[String], build: Option<&str>) -> String {
    let name = name(service);
    let service = toml_key(&name);
    let command = Value::from(command.iter().map(|word| escape(word)).collect::<Vec<_>>());
    let build = match build {
        Some(build) => format!("build = {}", Value::from(build)),
        None => "#build = \"cargo build --release\"".to_owned(),
    };
    format!(
        r#"# What runs, and where. `unitbee plan` shows what would change, `unitbee apply` does it.

# Name of the project, by default that of this folder; a unit of another project is not replaced.
#project = "my-project"

# All units are put into this slice.
#slice = "rbee"

[service.{service}]
# Program and arguments; no shell is involved. A relative path with a slash is a file here, which is shipped; an
# absolute path or a bare name is looked up on the host.
command = {command}

# Command that builds the program here; `unitbee build` runs it.
{build}

# Arguments for a short run of the program on the host before a new release takes effect; if it fails, nothing changes.
#check = ["--version"]

# Instances, each with its own keys, which can be written as {{placeholders}} in the other values; {{service}},
# {{instance}} and {{unit}} are always there. {{{{word}}}} is the text {{word}}.
#instances = {{ 8080 = {{ port = 8080 }}, 8081 = {{ port = 8081 }} }}

# Environment that anybody may read, and names of variables to be taken from this shell's environment and kept private.
#env = {{ RUST_LOG = "info" }}
#secrets = ["API_TOKEN"]

# Sizes count in 1024; 100% is one core.
#limits = {{ cpu = "200%", memory = "4G", tasks = 512 }}

# What happens when it ends by itself: "on-failure", "always" or "no".
#restart = {{ when = "on-failure", delay = "1s", max_delay = "1min", give_up_after = 10 }}

# Answered with 2xx by a healthy service, as its host sees it; with several instances, at http://127.0.0.1:{{port}}/….
# Without `url` a service is healthy that runs for as long as `healthy_for` says, 1.5 s by default.
#health = {{ url = "http://127.0.0.1:8080/health", within = "60s", healthy_for = "2s" }}

# How it is ended: POST to the URL, after `drain` TERM, after `term` KILL.
#stop = {{ url = "http://127.0.0.1:8080/shutdown", drain = "10s", term = "10s" }}

# Releases kept on each host, and how many running instances are replaced at a time (a number, or "all").
#keep = 3
#parallel = 1

# Host names or tags; without this key, this machine.
#hosts = ["gpu"]

#[host.gpu1]
# Destination as ssh takes it.
#ssh = "user@gpu1.example"
#tags = ["gpu"]
"#
    )
}

/// Makes a name of what may be none, such as that of a folder.
fn name(text: &str) -> String {
    let name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || ":_.-".contains(c) { c } else { '_' }).take(64).collect();
    let name = name.trim_start_matches(['-', '.']);
    if check_part(name).is_ok() { name.to_owned() } else { "service".to_owned() }
}
