//! What the suite runs against: a supervisor on a kind of host, reached in some way. Subjects ask these for what they
//! need and name no supervisor and no suite themselves.

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    /// First part of the names of its trials.
    pub(crate) name: &'static str,
    /// Base of its hosts.
    pub(crate) base: &'static str,
    /// Options of `lab up`.
    pub(crate) options: &'static [&'static str],
    /// Who runs the services there.
    pub(crate) manager: Manager,
    /// Whether its userland is that of busybox.
    pub(crate) busybox: bool,
    /// Where unitbee runs.
    pub(crate) reach: Reach,
    /// What can start a service at boot where no manager does.
    pub(crate) cron: Cron,
    /// Whether limits hold there: the lab's containers may have no controllers.
    pub(crate) limits_hold: bool,
    /// How many times longer things may take there: an emulated processor is slow.
    pub(crate) patience: u32,
}

/// Who runs services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Systemd,
    /// launchd, which has them in this domain.
    Launchd(&'static str),
    Runner,
}

/// What brings a service back after its host was rebooted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Boot,
    /// A login at the screen.
    Login,
    /// Nothing but somebody who asks for it.
    Asked,
}

/// What starts things at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cron {
    Absent,
    Able,
    /// It is there, and cannot.
    Busybox,
}

/// Where unitbee runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On the host itself, in a session of its user.
    Here,
    /// On this machine, over SSH.
    Ssh,
}

pub(crate) static SYSTEMD_247: Target = over_ssh("systemd-247", "bullseye", &["--suite", "bullseye"]);
pub(crate) static SYSTEMD_252: Target = over_ssh("systemd-252", "bookworm", &["--suite", "bookworm"]);
pub(crate) static SYSTEMD_257: Target = over_ssh("systemd-257", "trixie", &["--suite", "trixie"]);
pub(crate) static SYSTEMD_262: Target = over_ssh("systemd-262", "forky", &["--suite", "forky"]);

/// A unitbee built here needs a libc of this machine's age, so it runs itself on no older host.
pub(crate) static HERE: Target =
    Target { name: "here", reach: Reach::Here, ..over_ssh("", "bookworm", &["--suite", "bookworm"]) };

/// A host that lets nobody decide that services outlive a session.
pub(crate) static NO_POLKIT: Target = over_ssh("no-polkit", "trixie", &["--suite", "trixie", "--no-polkit"]);

/// A machine with a kernel of its own, where limits hold. Emulated, a login to it takes seconds.
pub(crate) static VM: Target = Target { limits_hold: true, patience: 6, ..over_ssh("vm", "vm", &["--kind", "vm"]) };

/// The same userland as the newest systemd's, without an init.
pub(crate) static RUNNER: Target =
    Target { manager: Manager::Runner, ..over_ssh("runner", "trixie", &["--suite", "trixie", "--kind", "bare"]) };

/// A machine with a kernel of its own and no init, where the user may write a part of the cgroup tree, so that limits hold.
pub(crate) static RUNNER_CGROUP: Target = Target {
    manager: Manager::Runner,
    limits_hold: true,
    patience: 15,
    ..over_ssh("runner-cgroup", "vm", &["--kind", "bare-vm"])
};

/// Without an init too, and unitbee is on the host itself.
pub(crate) static RUNNER_HERE: Target = Target {
    manager: Manager::Runner,
    reach: Reach::Here,
    ..over_ssh("runner-here", "bookworm", &["--suite", "bookworm", "--kind", "bare"])
};

/// Without an init, and with Debian's cron.
pub(crate) static RUNNER_CRON: Target = Target {
    manager: Manager::Runner,
    cron: Cron::Able,
    ..over_ssh("runner-cron", "cron", &["--kind", "bare", "--cron"])
};

/// A host of busybox and dropbear, with busybox's cron.
pub(crate) static RUNNER_BUSYBOX_CRON: Target = Target {
    manager: Manager::Runner,
    busybox: true,
    cron: Cron::Busybox,
    ..over_ssh("runner-busybox-cron", "busybox", &["--kind", "busybox", "--cron"])
};

/// A host of busybox and dropbear.
pub(crate) static RUNNER_BUSYBOX: Target =
    Target { manager: Manager::Runner, busybox: true, ..over_ssh("runner-busybox", "busybox", &["--kind", "busybox"]) };

/// A model of a Mac with somebody at its screen.
pub(crate) static MAC: Target = mac("mac", &["--kind", "mac"], "gui/1000");

/// The same with nobody there.
pub(crate) static MAC_HEADLESS: Target = mac("mac-headless", &["--kind", "mac", "--headless"], "user/1000");

/// The same; its services are the system's, and its user may act as root.
pub(crate) static MAC_DAEMON: Target = mac("mac-daemon", &["--kind", "mac", "--headless"], "system");

/// A Mac that unitbee itself runs on, for the one who is at its screen.
pub(crate) static MAC_HERE: Target = Target { reach: Reach::Here, ..mac("mac-here", &["--kind", "mac"], "gui/1000") };

const fn mac(name: &'static str, options: &'static [&'static str], domain: &'static str) -> Target {
    Target { manager: Manager::Launchd(domain), ..over_ssh(name, "trixie", options) }
}

impl Target {
    /// The domain of launchd that has the services.
    pub(crate) fn domain(&self) -> Option<&'static str> {
        if let Manager::Launchd(domain) = self.manager { Some(domain) } else { None }
    }

    /// The option by which a service without manifest is the system's.
    pub(crate) fn scope(&self) -> &'static [&'static str] {
        if self.domain() == Some("system") { &["--scope", "system"] } else { &[] }
    }

    /// Tells whether a log is rotated while it is written; else that is done by the verbs that see to it that a service runs.
    pub(crate) fn rotates_by_itself(&self) -> bool {
        self.domain().is_none()
    }

    /// What brings its services back after a reboot.
    pub(crate) fn comes_back(&self) -> Return {
        match self.manager {
            Manager::Launchd(domain) if domain.starts_with("gui/") => Return::Login,
            Manager::Launchd(domain) if domain.starts_with("user/") => Return::Asked,
            Manager::Runner if self.cron != Cron::Able => Return::Asked,
            Manager::Systemd | Manager::Launchd(_) | Manager::Runner => Return::Boot,
        }
    }

    /// The program by which a process leaves its session; a Mac has none, but the lab has kept its own.
    pub(crate) fn setsid(&self) -> &'static str {
        if self.domain().is_some() { "/usr/libexec/lab/setsid" } else { "setsid" }
    }

    /// Whether its hosts are emulated machines: slow, one at a time, and now and then dead of the emulator.
    pub(crate) fn is_emulated(&self) -> bool {
        self.base == "vm"
    }

    /// Processes of the daemon with `--children`: a Mac has no program by which one of them could leave its session.
    pub(crate) fn family(&self) -> usize {
        if self.domain().is_some() { 2 } else { 3 }
    }
}

const fn over_ssh(name: &'static str, base: &'static str, options: &'static [&'static str]) -> Target {
    Target {
        name,
        base,
        options,
        manager: Manager::Systemd,
        busybox: false,
        reach: Reach::Ssh,
        cron: Cron::Absent,
        limits_hold: false,
        patience: 1,
    }
}
