//! Lingering: logind keeps the user's manager, and so the services, from boot to shutdown.
//!
//! logind is asked over the system's bus where that can be reached, since that costs no exchange with the host; else by
//! `loginctl enable-linger`, which is given the name: without one it acts on the owner of the session, and there may be
//! no session. What they answer is not believed: logind's own state is looked at afterwards
//! (org.freedesktop.login1(5), loginctl(1), polkit action `org.freedesktop.login1.set-self-linger`).

use std::time::Duration;

use super::bus::Bus;
use super::call::CallError;
use crate::host::{Command, End, Facts, Host, HostError};
use crate::supervisor::error::linger_command;
use crate::supervisor::{Missing, Persistence, SupervisorError};

const LOGIND: &str = "org.freedesktop.login1";

/// Makes user `$1` with uid `$2` linger, then waits up to 15 s until the manager is up, and with it its sockets. A
/// socket alone proves nothing: it may be left over from a manager that has ended. Exits with 3 if the user does not
/// linger in the end, with 4 if there is no manager either.
const SCRIPT: &str = r#"
lingers() {
  [ -e "/var/lib/systemd/linger/$1" ] || [ "$(loginctl show-user --property=Linger -- "$1" 2>/dev/null)" = Linger=yes ]
}
has_manager() { systemctl is-active --quiet "user@$1.service"; }
if ! lingers "$1"; then
  loginctl --no-ask-password enable-linger -- "$1" >&2 </dev/null
  if ! lingers "$1"; then
    has_manager "$2" && exit 3
    exit 4
  fi
fi
tries=75
until has_manager "$2" || [ "$tries" -eq 0 ]; do
  tries=$((tries - 1))
  sleep 0.2
done
"#;

/// Has the user's manager kept, as far as the host lets this user.
pub(super) async fn ensure(host: &dyn Host, facts: &Facts) -> Result<Persistence, SupervisorError> {
    if facts.linger && facts.bus {
        return Ok(Persistence::Already);
    }
    let missing =
        |missing| SupervisorError::Missing { host: host.name().to_owned(), user: facts.user.clone(), missing };
    if !facts.systemd {
        return Err(missing(Missing::Systemd));
    }
    if facts.bus
        && let Some(persistence) = over_bus(host, facts).await?
    {
        return Ok(persistence);
    }
    let command = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .args([facts.user.clone(), facts.uid.to_string()])
        .env("LC_ALL", "C")
        .deadline(Duration::from_secs(40));
    let output = host.run(&command).await?;
    match output.end {
        End::Exit(0) if facts.linger => Ok(Persistence::Already),
        End::Exit(0) => Ok(Persistence::Enabled),
        End::Exit(3) => {
            Ok(Persistence::Refused { command: linger_command(&facts.user), detail: super::systemctl::said(&output) })
        }
        End::Exit(4) => Err(missing(Missing::UserManager)),
        end => Err(HostError::Garbled {
            host: host.name().to_owned(),
            during: "enable-linger".to_owned(),
            detail: format!("{end:?}"),
        }
        .into()),
    }
}

/// Asks logind itself; `None` where its bus cannot be reached, where it does not say, or where the manager is not up
/// and has to be waited for.
async fn over_bus(host: &dyn Host, facts: &Facts) -> Result<Option<Persistence>, HostError> {
    let Some(bus) = Bus::open_system(host, facts.uid).await? else { return Ok(None) };
    let asked = bus
        .call(
            LOGIND,
            "/org/freedesktop/login1",
            "org.freedesktop.login1.Manager",
            "SetUserLinger",
            &(facts.uid, true, false),
        )
        .await;
    let user = format!("/org/freedesktop/login1/user/_{}", facts.uid);
    let manager = format!("user@{}.service", facts.uid);
    let Ok((user, manager)) =
        tokio::try_join!(bus.properties(LOGIND, &user, "org.freedesktop.login1.User"), bus.unit(&manager))
    else {
        return Ok(None);
    };
    if manager.text("ActiveState") != "active" {
        return Ok(None);
    }
    Ok(match asked {
        _ if user.flag("Linger") => Some(Persistence::Enabled),
        Err(CallError::Refused { words, .. }) => {
            Some(Persistence::Refused { command: linger_command(&facts.user), detail: words })
        }
        _ => None,
    })
}
