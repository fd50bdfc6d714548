//! Lingering: logind keeps the user's manager, and so the services, from boot to shutdown.
//!
//! logind is asked over the system's bus where that can be reached, since that costs no exchange with the host; else by
//! `loginctl enable-linger`, which is given the name: without one it acts on the owner of the session, and there may be
//! no session. What they answer is not believed: logind's own state is looked at afterwards
//! (org.freedesktop.login1(5), loginctl(1), polkit action `org.freedesktop.login1.set-self-linger`).

use std::time::Duration;

use super::bus::{Bus, PROPERTIES};
use super::link::Account;
use crate::host::{Command, End, Facts, Host, HostError, printable};
use crate::supervisor::error::linger_command;
use crate::supervisor::{Missing, Persistence, SupervisorError};

/// Makes user `$1` linger, then waits until the manager has made its sockets in `$2`: up to 15 s for the bus, 2 s more
/// where the manager is there already and may never have one. Exits with 3 if it does not linger in the end, with 4
/// if there is no manager either.
const SCRIPT: &str = r#"
lingers() {
  [ -e "/var/lib/systemd/linger/$1" ] || [ "$(loginctl show-user --property=Linger -- "$1" 2>/dev/null)" = Linger=yes ]
}
if ! lingers "$1"; then
  loginctl --no-ask-password enable-linger -- "$1" >&2 </dev/null
  if ! lingers "$1"; then
    [ -S "$2/systemd/private" ] || [ -S "$2/bus" ] || exit 4
    exit 3
  fi
fi
tries=75
while [ "$tries" -gt 0 ] && [ ! -S "$2/bus" ]; do
  [ "$tries" -gt 10 ] && [ -S "$2/systemd/private" ] && tries=10
  tries=$((tries - 1))
  sleep 0.2
done
"#;

/// Has the user's manager kept, as far as the host lets this user.
pub(super) async fn ensure(host: &dyn Host, facts: &Facts) -> Result<Persistence, SupervisorError> {
    if facts.linger && facts.bus {
        return Ok(Persistence::Already);
    }
    let account = Account::of(facts);
    let missing =
        |missing| SupervisorError::Missing { host: host.name().to_owned(), user: facts.user.clone(), missing };
    if !facts.systemd {
        return Err(missing(Missing::Systemd));
    }
    if facts.bus
        && let Some(persistence) = over_bus(host, &account, facts).await?
    {
        return Ok(persistence);
    }
    let command = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .args([account.user.as_str(), account.runtime_dir().as_str()])
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

/// Asks logind itself; `None` where its bus cannot be reached. There is a manager already, so nothing is waited for.
async fn over_bus(host: &dyn Host, account: &Account, facts: &Facts) -> Result<Option<Persistence>, HostError> {
    let Some(bus) = Bus::open_system(host, account).await? else { return Ok(None) };
    let login1 = Some("org.freedesktop.login1");
    let user = format!("/org/freedesktop/login1/user/_{}", facts.uid);
    let ask = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "SetUserLinger");
    let asked = bus.connection.call_method(login1, ask.0, Some(ask.1), ask.2, &(facts.uid, true, false)).await;
    let body = ("org.freedesktop.login1.User", "Linger");
    let state = bus.connection.call_method(login1, user.as_str(), Some(PROPERTIES), "Get", &body).await;
    let lingers = state.ok().and_then(|reply| reply.body().deserialize::<zbus::OwnedVariant>().ok());
    Ok(match (lingers.and_then(|value| bool::try_from(value).ok()), asked) {
        (Some(true), _) => Some(Persistence::Enabled),
        (Some(false), Err(error)) => {
            let detail = printable(error.to_string().as_bytes());
            Some(Persistence::Refused { command: linger_command(&facts.user), detail })
        }
        _ => None,
    })
}
