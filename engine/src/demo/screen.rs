//! What the demo shows: on a terminal a page that updates in place, elsewhere a plain log.

use std::io::{self, Write as _};
use std::time::Duration;

use super::{Said, Shown, clock_of};

/// Longest reason that is shown.
const WIDTH: usize = 60;

/// The terminal, or a log.
#[derive(Debug)]
pub(super) struct Screen {
    in_place: bool,
    opened: bool,
    /// Events and time of the last drawing, for the rate.
    last: (u64, Duration),
    rate: f64,
}

impl Screen {
    pub(super) const fn new(in_place: bool) -> Self {
        Self {
            in_place,
            opened: false,
            last: (0, Duration::ZERO),
            rate: 0.0,
        }
    }

    /// Without a terminal: one line for everything that is said.
    pub(super) fn say(&self, said: &Said) -> io::Result<()> {
        if self.in_place {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{} {:<8} {:<16} {:<10} {:<8} {}",
            clock_of(&said.time),
            said.kind,
            said.rule,
            said.resource,
            said.severity(),
            said.why()
        )
    }

    /// Draws the page.
    pub(super) fn draw(&mut self, shown: &Shown, running: Duration) -> io::Result<()> {
        let since = running.saturating_sub(self.last.1).as_secs_f64();
        if since >= 1.0 {
            #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
            let events = (shown.events - self.last.0) as f64;
            self.rate = events / since;
            self.last = (shown.events, running);
        }
        if !self.in_place {
            return Ok(());
        }
        let mut page = String::with_capacity(4096);
        if !self.opened {
            self.opened = true;
            // The alternate screen; the shell's own comes back at the end.
            page.push_str("\x1b[?1049h\x1b[?25l");
        }
        page.push_str("\x1b[H");
        let mut line = |text: String| {
            page.push_str(&text);
            page.push_str("\x1b[K\r\n");
        };
        line(format!(
            "\x1b[1mTidegate demo\x1b[0m   {} s   {:.0} events/s   {} events   {} results   Ctrl-C ends",
            running.as_secs(),
            self.rate,
            shown.events,
            shown.results
        ));
        line(String::new());
        line(format!("\x1b[1mRaised now ({})\x1b[0m", shown.raised.len()));
        for said in shown.raised.values().take(10) {
            line(format!(
                "  {}{}\x1b[0m",
                colour(&said.severity()),
                row(said)
            ));
        }
        line(String::new());
        line("\x1b[1mNewest results\x1b[0m".to_owned());
        for said in shown.newest.iter().rev() {
            line(format!("  {:<8} {}", said.kind, row(said)));
        }
        page.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(page.as_bytes())?;
        out.flush()
    }

    /// Gives the terminal back.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if self.opened {
            let mut out = io::stdout().lock();
            out.write_all(b"\x1b[?25h\x1b[?1049l")?;
            out.flush()?;
        }
        Ok(())
    }
}

fn row(said: &Said) -> String {
    let why: String = said.why().chars().take(WIDTH).collect();
    format!(
        "{} {:<16} {:<10} {:<8} {why}",
        clock_of(&said.time),
        said.rule,
        said.resource,
        said.severity()
    )
}

const fn colour_of(rank: u8) -> &'static str {
    match rank {
        3 => "\x1b[31;1m",
        2 => "\x1b[31m",
        1 => "\x1b[33m",
        _ => "\x1b[36m",
    }
}

fn colour(severity: &str) -> &'static str {
    colour_of(match severity {
        "CRITICAL" => 3,
        "MAJOR" => 2,
        "MINOR" => 1,
        _ => 0,
    })
}
