//! Jobs of the manager, awaited by signal.
//!
//! The order is what makes it right: first the match rule, then the subscription, then the call. The job's path, which
//! the call answers with, tells its `JobRemoved` from those of other jobs of the unit (org.freedesktop.systemd1(5)).

use std::time::Duration;

use futures_util::StreamExt;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream, ObjectPath, OwnedObjectPath};

use super::bus::{Bus, MANAGER, MANAGER_PATH, SYSTEMD};
use super::call::{CallError, Outcome, Verb};
use crate::supervisor::Unseen;

/// Queues a job for the unit with this full name and waits for its end, at most `deadline`.
pub(super) async fn run(bus: &Bus, verb: Verb, name: &str, deadline: Duration) -> Result<Outcome, CallError> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SYSTEMD)
        .path(MANAGER_PATH)
        .interface(MANAGER)
        .member("JobRemoved")
        .arg(2, name)
        .build()?;
    let mut removed = MessageStream::for_match_rule(rule, &bus.connection, None).await?;
    bus.subscribe().await?;
    let answer = bus.manager(verb.method(), &(name, "replace")).await?;
    let job: OwnedObjectPath = answer.body().deserialize()?;
    let end = async {
        while let Some(Ok(signal)) = removed.next().await {
            let body = signal.body();
            let (_id, path, _unit, result): (u32, ObjectPath<'_>, &str, &str) = body.deserialize()?;
            if path == *job {
                return Ok(Outcome::Ended(result.to_owned()));
            }
        }
        Ok(Outcome::Unseen(Unseen::ConnectionLost))
    };
    tokio::time::timeout(deadline, end).await.unwrap_or(Ok(Outcome::Unseen(Unseen::Deadline)))
}
