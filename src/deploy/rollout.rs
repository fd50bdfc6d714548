//! Many hosts at a time: each on its own, a bounded number at once, one's failure never another's.

use futures_util::StreamExt;

/// How many hosts are worked on at once; `MaxStartups` of a common jump host is the thing to mind.
const AT_ONCE: usize = 16;

/// Does `work` for every host and gives the results in the order of the hosts.
pub async fn each<H, T, F>(hosts: impl IntoIterator<Item = H>, work: impl Fn(H) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let mut done: Vec<(usize, T)> = futures_util::stream::iter(hosts.into_iter().enumerate())
        .map(|(place, host)| {
            let result = work(host);
            async move { (place, result.await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_the_order_of_the_hosts() {
        let slow_first = super::each([3_u64, 1, 2], |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            seconds
        });
        assert_eq!(slow_first.await, [3, 1, 2]);
    }
}
