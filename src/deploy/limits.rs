//! Which limits of units that were started do not hold.

use super::error::ApplyError;
use super::execute::Passed;
use crate::host::{Answer, Ask, Host, Query};
use crate::observe::flags::limit_gap;
use crate::service::spec::Limits;
use crate::supervisor::{Supervisor, SupervisorKind, layout};

/// The limits of units that do not hold, in words; one exchange for those whose cgroup nobody looked at yet, and one more
/// where only a runner knows why there is none.
pub(super) async fn unenforced(
    host: &dyn Host,
    supervisor: &Supervisor,
    mut up: Vec<Passed>,
) -> Result<Vec<(String, String)>, ApplyError> {
    let manager = supervisor.kind();
    let is_unseen = |up: &&mut Passed| {
        manager != SupervisorKind::Launchd && up.cgroup.is_none() && up.spec.limits != Limits::default()
    };
    let mut unseen: Vec<&mut Passed> = up.iter_mut().filter(is_unseen).collect();
    if !unseen.is_empty() {
        let ask =
            |up: &&mut Passed| Ask::Cgroup(layout::cgroup(manager, up.spec.slice.as_str(), up.spec.unit.as_str()));
        let asks = unseen.iter().map(ask).collect();
        for (up, answer) in unseen.iter_mut().zip(host.query(&Query { asks }).await?.answers) {
            if let Answer::Cgroup(found) = answer {
                up.cgroup = found;
            }
        }
    }
    let bare: Vec<String> = up
        .iter()
        .filter(|up| manager == SupervisorKind::Runner && up.cgroup.is_none() && up.spec.limits != Limits::default())
        .map(|up| up.spec.unit.to_string())
        .collect();
    let told = if bare.is_empty() { Vec::new() } else { supervisor.status(&bare).await? };
    let gap = |up: &Passed| {
        let unit = up.spec.unit.as_str();
        let status = told.iter().find(|status| status.unit == unit);
        let without = status.and_then(|status| status.no_limits_reason.as_deref());
        Some((unit.to_owned(), limit_gap(manager, &up.spec.limits, up.cgroup.as_ref(), without)?))
    };
    Ok(up.iter().filter_map(gap).collect())
}
