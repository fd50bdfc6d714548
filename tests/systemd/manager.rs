//! Which manager answers, and what is said where none can.

use unitbee::supervisor::{Approach, Missing, Supervisor, SupervisorError, SupervisorKind, Transport};

use crate::site::Site;

#[tokio::test]
async fn a_host_without_systemd() {
    let Some(site) = Site::up("bare", "trixie", &["--kind", "bare"]) else { return };
    let (facts, approach) = (site.facts().await, Approach::default());
    let error = Supervisor::connect_by(approach, site.host(), &facts, SupervisorKind::Systemd).await.unwrap_err();
    assert!(matches!(error, SupervisorError::Missing { missing: Missing::Systemd, .. }), "{error:?}");
    assert!(matches!(site.connect().await.unwrap(), Supervisor::Runner(_)), "nobody asked for systemd");
}

/// `systemctl --user` does without a bus, as long as it finds the manager's own socket.
#[tokio::test]
async fn a_manager_without_a_session_bus() {
    for suite in ["bullseye", "forky"] {
        let Some(site) = Site::up("no-bus", suite, &[]) else { return };
        site.sh("loginctl enable-linger bee");
        site.root(
            "rm /usr/lib/systemd/user/dbus.s* /usr/lib/systemd/user/sockets.target.wants/dbus.socket
            systemctl restart user@1000.service",
        );
        let supervisor = site.connect().await.unwrap();
        assert_eq!(supervisor.transport(), Transport::Systemctl);
        assert_eq!(supervisor.version().await.unwrap(), Some(site.lab.systemd()));
        site.root("rm -f /run/user/1000/systemd/private /run/user/1000/bus");
        let error = site.connect().await.unwrap_err();
        assert!(matches!(error, SupervisorError::Missing { missing: Missing::SessionBus, .. }), "{error:?}");
    }
}

/// What a login shell prints comes before what the host has to say, and may be anything.
#[tokio::test]
async fn a_login_shell_that_prints() {
    let Some(site) = Site::up("greeting", "trixie", &[]) else { return };
    for greeting in ["printf 'Welcome to the hive\\n'", "echo", "head -c 3000 /dev/zero | tr '\\0' x"] {
        site.sh(&format!("echo {} >.bashrc", shlex::try_quote(greeting).unwrap()));
        for transport in [Transport::ForwardedBus, Transport::StdioBridge, Transport::Systemctl] {
            site.leave_only(transport);
            let supervisor = site.connect().await.unwrap();
            assert_eq!(supervisor.transport(), transport, "after {greeting}");
            assert!(!supervisor.status_of("no-such").await.unwrap().installed);
        }
    }
}

/// An address that leads to the system's manager instead of the user's is noticed before anything is done.
#[tokio::test]
async fn another_manager_behind_the_socket() {
    let Some(site) = Site::up("wrong", "bookworm", &["--no-pam"]) else { return };
    site.root(
        "mkdir -p /run/user/1000 && ln -s /run/dbus/system_bus_socket /run/user/1000/bus && chown bee: /run/user/1000",
    );
    let supervisor = site.connect().await.unwrap();
    for error in [
        supervisor.status_of("ssh").await.map(drop).unwrap_err(),
        supervisor.daemon_reload().await.unwrap_err(),
        supervisor.version().await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, SupervisorError::WrongManager { .. }), "{error:?}");
    }
}
