//! Who joins the group that a hint names is in it at once, though the connection from before is kept.

use super::bench::Bench;
use super::manifest::web;

pub(crate) fn subject(bench: &Bench) {
    bench.root("rm -rf /var/log/journal; systemctl restart systemd-journald; gpasswd -d bee systemd-journal || true");
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    bench.unitbee(&["logs"]).exits(1).says("lets bee read no journal").says("usermod -aG systemd-journal bee");
    bench.root("usermod -aG systemd-journal bee");
    bench.unitbee(&["logs"]).exits(0).hides("usermod");
}
