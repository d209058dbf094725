//! HTTP/2 by hand: frames as bytes on a socket, so that a test can say what no client says.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
pub mod kind {
    /// Body.
    pub const DATA: u8 = 0;
    /// Begins a stream.
    pub const HEADERS: u8 = 1;
    /// Ends a stream with an error.
    pub const RESET: u8 = 3;
    /// Says what a side takes.
    pub const SETTINGS: u8 = 4;
    /// Asks for a sign of life.
    pub const PING: u8 = 6;
    /// Ends the connection.
    pub const GOAWAY: u8 = 7;
}

/// The stream ends with this frame.
pub const END_STREAM: u8 = 1;
/// The headers end with this frame.
pub const END_HEADERS: u8 = 4;

/// `REFUSED_STREAM`.
pub const REFUSED: u32 = 7;
/// `ENHANCE_YOUR_CALM`.
pub const CALM: u32 = 11;

/// Longest wait for the other side.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0: the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number at a place of what it carries.
    pub fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_be_bytes)
    }
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short");
    let mut bytes = length.to_be_bytes().get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Headers as the payload of a frame, none of them compressed.
pub fn headers(all: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in all {
        // A literal that is not kept, with a literal name.
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    // The length in seven bits; where they do not do, in seven more at a time.
    match text.len().checked_sub(127) {
        None => bytes.push(text.len() as u8),
        Some(mut rest) => {
            bytes.push(127);
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend(text.as_bytes());
}

/// The headers of a request.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "127.0.0.1"),
    ]
}

/// A connection.
#[derive(Debug)]
pub struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// Connects, and says the preface and empty settings.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let mut connection = Self { stream };
        let mut first = PREFACE.to_vec();
        first.extend(frame(kind::SETTINGS, 0, 0, &[]));
        connection.say(&first).await;
        connection
    }

    /// Says bytes; whoever hangs up meanwhile is noticed at the next read.
    pub async fn say(&mut self, bytes: &[u8]) {
        // A close is what some tests wait for.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// When nothing comes for long.
    pub async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0_u8; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let length = u32::from_be_bytes([0, a, b, c]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
            Some(Frame {
                kind,
                flags,
                stream,
                payload,
            })
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.expect("a frame or the end comes")
    }

    /// The next frame that satisfies a condition; `None` at the end of the connection.
    pub async fn find(&mut self, mut is_it: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if is_it(&frame) {
                return Some(frame);
            }
        }
    }
}
