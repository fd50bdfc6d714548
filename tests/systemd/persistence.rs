//! Services that outlive the session: with the host's consent, or with the command that an administrator needs.

use unitbee::supervisor::{Missing, Persistence, SupervisorError, Transport, ensure_persistent};

use crate::site::Site;

const SUDO: &str = "sudo loginctl enable-linger bee";

#[tokio::test]
async fn linger_is_enabled_and_judged_by_logind() {
    for transport in [Transport::ForwardedBus, Transport::Systemctl] {
        let Some(site) = Site::up("linger", "bullseye", &[]) else { return };
        site.leave_only(transport);
        let (host, facts) = (site.host(), site.facts().await);
        assert!(!facts.linger);
        assert_eq!(ensure_persistent(host.as_ref(), &facts).await.unwrap(), Persistence::Enabled);
        site.sh("test -e /var/lib/systemd/linger/bee");
        let facts = site.facts().await;
        let before = host.exchanges();
        assert_eq!(ensure_persistent(host.as_ref(), &facts).await.unwrap(), Persistence::Already);
        assert_eq!(host.exchanges(), before, "what is known is not asked again");
    }
}

#[tokio::test]
async fn where_polkit_is_missing_the_command_is_told() {
    for (suite, transport) in
        [("bullseye", Transport::ForwardedBus), ("forky", Transport::ForwardedBus), ("forky", Transport::Systemctl)]
    {
        let Some(site) = Site::up("refused", suite, &["--no-polkit"]) else { return };
        site.leave_only(transport);
        let persistence = ensure_persistent(site.host().as_ref(), &site.facts().await).await.unwrap();
        let Persistence::Refused { command, detail } = persistence else { panic!("{persistence:?} on {suite}") };
        assert_eq!(command, SUDO);
        assert!(!detail.is_empty());
        site.root("test ! -e /var/lib/systemd/linger/bee");
        assert!(site.connect().await.is_ok(), "the manager of the session is there all the same");
    }
}

#[tokio::test]
async fn a_manager_is_brought_up_where_no_session_does_it() {
    let Some(site) = Site::up("no-session", "trixie", &["--no-pam"]) else { return };
    let error = site.connect().await.unwrap_err();
    assert!(matches!(error, SupervisorError::Missing { missing: Missing::UserManager, .. }), "{error:?}");
    let persistence = ensure_persistent(site.host().as_ref(), &site.facts().await).await.unwrap();
    assert_eq!(persistence, Persistence::Enabled);
    let supervisor = site.connect().await.unwrap();
    assert_eq!(supervisor.transport(), Transport::ForwardedBus, "the bus is there when linger is");
}

#[tokio::test]
async fn neither_a_manager_nor_the_right_to_have_one() {
    let Some(site) = Site::up("nothing", "bookworm", &["--no-pam", "--no-polkit"]) else { return };
    let facts = site.facts().await;
    for error in [ensure_persistent(site.host().as_ref(), &facts).await.unwrap_err(), site.connect().await.unwrap_err()]
    {
        assert!(matches!(error, SupervisorError::Missing { missing: Missing::UserManager, .. }), "{error:?}");
        assert_eq!(error.hint().as_deref(), Some(SUDO));
    }
    // A manager that has ended may leave its sockets behind.
    site.root(
        "mkdir -p /run/user/1000/systemd && chown -R bee: /run/user/1000 && cd /run/user/1000
        for socket in bus systemd/private; do
          setpriv --reuid bee python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('$socket')\"
        done",
    );
    let facts = site.facts().await;
    assert!(facts.bus, "a socket is there");
    for error in [ensure_persistent(site.host().as_ref(), &facts).await.unwrap_err(), site.connect().await.unwrap_err()]
    {
        assert!(matches!(error, SupervisorError::Missing { missing: Missing::UserManager, .. }), "{error:?}");
    }
}
