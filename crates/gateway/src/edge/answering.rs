//! A request that is answered also when nobody waits for the answer any more.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use tokio::task::spawn_local;

/// Goes on by itself, as a task of its own, when it is dropped before it has ended: a visitor who leaves
/// after having asked does not undo what the application does, nor its being counted. While the
/// visitor waits it is polled where they do, so that nobody else has to be woken.
pub(super) struct Answering<T: 'static> {
    work: Option<LocalBoxFuture<'static, Option<T>>>,
}

impl<T: 'static> Answering<T> {
    pub(super) fn new(work: impl Future<Output = T> + 'static) -> Self {
        let work = AssertUnwindSafe(work).catch_unwind().map(Result::ok);
        Self { work: Some(work.boxed_local()) }
    }
}

impl<T: 'static> Future for Answering<T> {
    /// Nothing where answering itself broke.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let outcome = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(outcome)
    }
}

impl<T: 'static> Drop for Answering<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            spawn_local(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc, time::Duration};
    use tokio::{task::LocalSet, time::sleep};

    #[tokio::test]
    async fn it_goes_on_without_whoever_waited() {
        let done = Rc::new(Cell::new(false));
        let work = {
            let done = Rc::clone(&done);
            async move {
                sleep(Duration::from_millis(20)).await;
                done.set(true);
            }
        };
        let leaving = async {
            let answering = Answering::new(work);
            assert!(tokio::time::timeout(Duration::from_millis(1), answering).await.is_err());
            assert!(!done.get());
            sleep(Duration::from_millis(60)).await;
            assert!(done.get());
        };
        LocalSet::new().run_until(leaving).await;
    }

    #[tokio::test]
    async fn one_that_breaks_breaks_alone() {
        assert_eq!(Answering::new(async { 7 }).await, Some(7));
        let broken: Option<u8> = Answering::new(async { panic!("for the test") }).await;
        assert_eq!(broken, None);
    }
}
