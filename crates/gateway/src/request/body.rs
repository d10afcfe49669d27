//! The body of a request on its way through: counted, limited, and never waited for without end.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{pace::Pace, uploads::Upload};

/// The longest body of a request, in bytes.
pub(crate) const REQUEST_BYTES_MAX: u64 = 256 << 20;
/// A client that is waited for so long altogether must have sent so much of a body meanwhile.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(30);
const REQUEST_BYTES_MIN: u64 = 8 << 10;

/// Why a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the body is too long")]
    TooLong,
    #[error("the body did not go on in time")]
    TooSlow,
    #[error("the body broke off")]
    BrokenOff,
}

/// How the body of a request fares; shared with whoever reports about it.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    bytes: Cell<u64>,
    fault: Cell<Option<Fault>>,
}

impl Flow {
    /// How many bytes came.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// So many more came.
    pub(crate) fn passed(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// Why it ended early, if it did.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    fn fail(&self, fault: Fault) -> Fault {
        self.fault.set(Some(fault));
        fault
    }
}

/// A request's body as the client sends it.
pub(crate) struct Inbound {
    inner: Incoming,
    flow: Rc<Flow>,
    pace: Pace,
    _upload: Upload,
}

impl Inbound {
    pub(crate) fn new(inner: Incoming, flow: Rc<Flow>, upload: Upload) -> Self {
        let pace = Pace::new(REQUEST_WAIT_MAX, REQUEST_BYTES_MIN);
        Self { inner, flow, pace, _upload: upload }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
                ready!(self.pace.poll_over(cx));
                return Poll::Ready(Some(Err(self.flow.fail(Fault::TooSlow))));
            };
            let data = match frame {
                None => return Poll::Ready(None),
                Some(Err(_)) => return Poll::Ready(Some(Err(self.flow.fail(Fault::BrokenOff)))),
                Some(Ok(frame)) => frame.into_data(),
            };
            // Trailers are not passed on: they would be headers that nobody has looked at.
            let Ok(data) = data else { continue };
            self.pace.moved(data.len());
            self.flow.passed(data.len() as u64);
            if self.flow.bytes() > REQUEST_BYTES_MAX {
                return Poll::Ready(Some(Err(self.flow.fail(Fault::TooLong))));
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }
}

/// A request's body on loan: to one attempt to send it after the other for as long as nothing of it
/// was read, and until the answer has ended.
#[derive(Clone)]
pub(crate) struct Lent {
    loan: Option<Rc<RefCell<Loan>>>,
    hint: SizeHint,
}

struct Loan {
    body: Option<Inbound>,
    state: LoanState,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LoanState {
    Untouched,
    Touched,
    Ended,
}

impl Lent {
    /// Lends `body`; there is none if `hint` says that it is empty.
    pub(crate) fn new(body: Option<Inbound>, hint: SizeHint) -> Self {
        let loan = body.map(|body| {
            let loan = Loan { body: Some(body), state: LoanState::Untouched, waker: None };
            Rc::new(RefCell::new(loan))
        });
        Self { loan, hint }
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.loan.is_none()
    }

    /// Whether it can still be sent from its beginning.
    pub(crate) fn is_untouched(&self) -> bool {
        self.loan.as_ref().is_none_or(|loan| loan.borrow().state == LoanState::Untouched)
    }

    /// Takes it back: nobody needs what is left of it, and whoever sends it can stop.
    pub(crate) fn end(&self) {
        let Some(loan) = &self.loan else { return };
        let (body, waker) = {
            let mut loan = loan.borrow_mut();
            loan.state = LoanState::Ended;
            (loan.body.take(), loan.waker.take())
        };
        drop(body);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Some(loan) = &self.loan else { return Poll::Ready(None) };
        let mut loan = loan.borrow_mut();
        let Some(body) = &mut loan.body else {
            let broken = loan.state == LoanState::Ended;
            return Poll::Ready(broken.then_some(Err(Fault::BrokenOff)));
        };
        let frame = body.poll_data(cx);
        let goes_on = match &frame {
            Poll::Pending => true,
            Poll::Ready(Some(Ok(_))) => !body.inner.is_end_stream(),
            Poll::Ready(_) => false,
        };
        loan.state = LoanState::Touched;
        if !goes_on {
            loan.body = None;
        }
        loan.waker = frame.is_pending().then(|| cx.waker().clone());
        frame
    }

    fn is_end_stream(&self) -> bool {
        let Some(loan) = &self.loan else { return true };
        let loan = loan.borrow();
        match &loan.body {
            Some(body) => body.inner.is_end_stream(),
            None => loan.state == LoanState::Touched,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let Some(loan) = &self.loan else { return SizeHint::with_exact(0) };
        loan.borrow().body.as_ref().map_or(self.hint, |body| body.inner.size_hint())
    }
}
