//! What a connection may not do: say nothing, or never finish its headers.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::fake::Fake;
use super::super::*;
use crate::config::Config;

async fn open_door() -> (std::net::SocketAddr, tokio::sync::watch::Sender<bool>) {
    let (tell, hear) = tokio::sync::watch::channel(false);
    let mut config = Config::for_data(std::path::Path::new("x")).unwrap();
    config.server.header_timeout = tidegate_proto::time::Span(50);
    let api = Api::new(
        Arc::new(Fake::default()),
        config.limits,
        config.server,
        hear,
    );
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut stop = tell.subscribe();
    tokio::spawn(serve(listener, api, async move {
        let _ = stop.wait_for(|stop| *stop).await;
    }));
    (address, tell)
}

#[tokio::test]
async fn a_connection_that_keeps_others_waiting_is_closed() {
    let (address, _tell) = open_door().await;
    for said in ["", "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(said.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        // Ends only when the other side closes; an error is a close too.
        let _ = slow.read_to_end(&mut heard).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(
            heard.is_empty() || heard.starts_with("HTTP/1.1 408"),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn a_request_in_time_is_answered() {
    let (address, _tell) = open_door().await;
    let mut quick = TcpStream::connect(address).await.unwrap();
    let request = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    quick.write_all(request.as_bytes()).await.unwrap();
    let mut heard = String::new();
    quick.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
}
