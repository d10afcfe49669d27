//! One connection of a visitor, and the requests on it.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};

use futures_util::FutureExt as _;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    answering::Answering,
    client_stream::ClientStream,
    ending::Ending,
    framing::{Ambiguity, Framing},
    limits::Slot,
};
use crate::{
    phases::{self, response_body::ResponseBody, tunnel::Tunnel, visit::Visit, worker::Worker},
    render,
};

/// How long a connection may take for the head of a request, also when it waits for the next one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A connection that was taken.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) slot: Rc<Slot>,
}

/// Answers what comes on a connection until it ends.
pub(super) async fn serve(worker: Rc<Worker>, accepted: Accepted, mut ending: Ending) {
    let Accepted { stream, peer, slot } = accepted;
    // Small answers must not wait for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    let ambiguity = Ambiguity::default();
    let stream = ClientStream::new(stream, Some(Framing::new(ambiguity.clone())));
    let number = Cell::new(0);
    let tunnel: Rc<RefCell<Option<Tunnel>>> = Rc::default();
    let service = {
        let (slot, tunnel) = (Rc::clone(&slot), Rc::clone(&tunnel));
        service_fn(move |request: Request<Incoming>| {
            // It keeps its slot until it is done.
            let (worker, slot, tunnel) = (Rc::clone(&worker), Rc::clone(&slot), Rc::clone(&tunnel));
            number.set(number.get() + 1);
            let ambiguous = ambiguity.is_about(number.get());
            let (visit, body) = visit(&worker, peer, request);
            let answering = Answering::new(async move {
                let _slot = slot;
                let mut response = phases::pass(&worker, visit, ambiguous, body).await;
                *tunnel.borrow_mut() = response.body_mut().take_tunnel();
                response
            });
            let broken = || render::broken().map(ResponseBody::Own);
            answering.map(move |answer| Ok::<_, Infallible>(answer.unwrap_or_else(broken)))
        })
    };
    // Of headers it takes 100 of its own accord; to say so would have it count on the heap.
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who says that nothing more will be asked still waits for the answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let outcome = {
        let mut told = pin!(ending.told().fuse());
        poll_fn(|cx| {
            if told.as_mut().poll(cx).is_ready() {
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(cx)
        })
        .await
    };
    if let Err(cause) = &outcome {
        tracing::debug!(%peer, %cause, "a connection broke off");
    }
    let parts = connection.into_parts();
    let (mut stream, tunnel) = (parts.io.into_inner(), tunnel.take());
    match tunnel.filter(|_| outcome.is_ok() && stream.switches().is_ok()) {
        Some(tunnel) => tunnel.run(stream, &parts.read_buf, ending.told()).await,
        // Who was waited for long enough is not waited for once more.
        None if outcome.is_err_and(|cause| cause.is_timeout()) => {}
        None => drop(stream.shutdown().await),
    }
    drop(slot);
}

/// A request that was read from `peer`.
fn visit(worker: &Worker, peer: SocketAddr, request: Request<Incoming>) -> (Visit, Incoming) {
    let (head, body) = request.into_parts();
    let state = &worker.state;
    let whence = state.proxies.whence(peer.ip(), &head.headers);
    let is_https = whence.is_https.unwrap_or(state.site.is_https());
    (Visit::new(whence.address, is_https, state.clock.now(), head), body)
}
