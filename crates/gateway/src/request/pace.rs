//! How slow somebody may be who is waited for.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Ends the wait for somebody from whom too little comes: less than `bytes_min` while they were
/// waited for during `limit` altogether. Time in which nobody waited for them does not count.
pub(crate) struct Pace {
    limit: Duration,
    bytes_min: u64,
    waited: Duration,
    bytes: u64,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(limit: Duration, bytes_min: u64) -> Self {
        Self { limit, bytes_min, waited: Duration::ZERO, bytes: 0, since: None, sleep: None }
    }

    /// Something came.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        if self.bytes >= self.bytes_min {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
    }

    /// Nothing came; ready when that has been so for too long.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + self.limit.saturating_sub(self.waited);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_millis(200);

    /// Waits `times` times for `bytes` that come after a quarter of the limit; answers whether it
    /// was too long.
    async fn is_over(mut pace: Pace, times: u32, bytes: usize) -> bool {
        for _ in 0..times {
            let waited = tokio::time::timeout(LIMIT / 4, poll_fn(|cx| pace.poll_over(cx))).await;
            if waited.is_ok() {
                return true;
            }
            pace.moved(bytes);
        }
        false
    }

    #[tokio::test]
    async fn who_sends_too_little_is_not_waited_for() {
        assert!(is_over(Pace::new(LIMIT, 100), 10, 1).await, "a byte now and then is too little");
        assert!(!is_over(Pace::new(LIMIT, 100), 10, 60).await);
        assert!(!is_over(Pace::new(LIMIT, 1), 10, 1).await);
    }

    #[tokio::test]
    async fn time_in_which_nobody_waits_does_not_count() {
        let mut pace = Pace::new(LIMIT, 100);
        for _ in 0..3 {
            pace.moved(1);
            tokio::time::sleep(LIMIT / 2).await;
        }
        let waited = tokio::time::timeout(LIMIT / 4, poll_fn(|cx| pace.poll_over(cx))).await;
        assert!(waited.is_err());
    }
}
