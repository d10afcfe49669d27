//! HTTP/1.1 with a visitor: one request after the other, and perhaps another protocol after them.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
};

use futures_util::FutureExt as _;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;

use super::{
    answering::Answering,
    client::{Client, HEAD_BYTES_MAX, HEAD_TIME_MAX},
    client_stream::{ClientStream, Socket},
    ending::Ending,
    framing::{Ambiguity, Framing},
};
use crate::{
    phases::{self, response_body::ResponseBody, tunnel::Tunnel, worker::Worker},
    render,
};

const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Answers what comes on a connection until it ends.
pub(super) async fn serve(
    worker: Rc<Worker>,
    stream: impl Socket,
    client: Client,
    mut ending: Ending,
) {
    let ambiguity = Ambiguity::default();
    let stream = ClientStream::new(stream, Some(Framing::new(ambiguity.clone())));
    let number = Cell::new(0);
    let tunnel: Rc<RefCell<Option<Tunnel>>> = Rc::default();
    let (peer, switched) = (client.peer, Rc::clone(&tunnel));
    let service = service_fn(move |request: Request<Incoming>| {
        // It keeps its slot until it is done.
        let (worker, slot) = (Rc::clone(&worker), Rc::clone(&client.slot));
        let switched = Rc::clone(&switched);
        number.set(number.get() + 1);
        let ambiguous = ambiguity.is_about(number.get());
        let (visit, body) = client.visit(&worker, request);
        let answering = Answering::new(async move {
            let _slot = slot;
            let mut response = phases::pass(&worker, visit, ambiguous, body).await;
            *switched.borrow_mut() = response.body_mut().take_tunnel();
            response
        });
        let broken = || render::broken().map(ResponseBody::Own);
        answering.map(move |answer| Ok::<_, Infallible>(answer.unwrap_or_else(broken)))
    });
    // Of headers it takes 100 of its own accord; to say so would have it count on the heap.
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who says that nothing more will be asked still waits for the answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX.into())
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
}
