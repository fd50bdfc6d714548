//! The daemon of the demo: it answers `/health`, and ends when `/shutdown` is posted to or TERM comes.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::super::super::exit::Exit;
use super::super::super::output::progress::note;

/// Serves on a port of loopback until it is asked to end.
pub async fn serve(port: u16) -> Result<Exit> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.with_context(|| format!("listen on 127.0.0.1:{port}"))?;
    let mut term = signal(SignalKind::terminate()).context("listen for TERM")?;
    note(&format!("unitbee {} listens on 127.0.0.1:{port}", env!("CARGO_PKG_VERSION")));
    let ended = Arc::new(Notify::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("accept a connection")?;
                let ended = Arc::clone(&ended);
                tokio::spawn(async move {
                    let asked = AtomicBool::new(false);
                    let answer = service_fn(async |request| Ok::<_, Infallible>(answer(&request, &asked)));
                    http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer).await.ok();
                    // Only now, so that who asked has heard the answer.
                    if asked.into_inner() {
                        ended.notify_one();
                    }
                });
            }
            () = ended.notified() => {
                note("asked to end by the shutdown URL");
                return Ok(Exit::Done);
            }
            _ = term.recv() => {
                note("asked to end by TERM");
                return Ok(Exit::Done);
            }
        }
    }
}

fn answer(request: &Request<Incoming>, asked: &AtomicBool) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/health") => (StatusCode::OK, "healthy\n"),
        (&Method::POST, "/shutdown") => {
            asked.store(true, Ordering::Relaxed);
            (StatusCode::OK, "good bye\n")
        }
        _ => (StatusCode::NOT_FOUND, "there is /health, and /shutdown for POST\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
