//! Metrics of an event: from a field to a value in its column.

use crate::batch::MetricColumn;
use crate::decode::columns::{Refused, push_number, push_odd};
use crate::decode::element::{Frame, Kind, Walk, brief};
use crate::json::JsonError;
use crate::value::Value;

/// The value of a metric.
enum Cell<'a> {
    Number(f64),
    Odd(Value),
    /// A number beyond the doubles, as written.
    Beyond(&'a str),
}

impl<'a> Walk<'_, 'a> {
    #[inline]
    pub(super) fn metric(&mut self, frame: Frame, key: &str) -> Result<Option<Frame>, JsonError> {
        self.event.metrics += 1;
        if self.event.metrics > self.limits.metrics_per_event {
            let most = self.limits.metrics_per_event;
            self.fault(format!("more than {most} metrics"));
            self.reader.skip()?;
            return Ok(None);
        }
        let cell = match self.reader.peek() {
            Some(b'-' | b'0'..=b'9') => match self.reader.simple_number() {
                Some(number) if frame.path == frame.strip => {
                    self.push_number(key, number);
                    return Ok(None);
                }
                Some(number) => Cell::Number(number),
                None => {
                    let number = self.reader.number()?;
                    if number.value.is_finite() {
                        Cell::Number(number.value)
                    } else {
                        Cell::Beyond(number.text)
                    }
                }
            },
            Some(b'{') => return self.nested_metrics(frame, key),
            other => Cell::Odd(self.odd(other)?),
        };
        if frame.path == frame.strip {
            self.push(key, cell);
        } else {
            self.scratch.extend(frame, key);
            let path = std::mem::take(&mut self.scratch.path);
            self.push(path.get(frame.strip..).unwrap_or_default(), cell);
            self.scratch.path = path;
        }
        Ok(None)
    }

    /// A value that is neither number nor object.
    fn odd(&mut self, byte: Option<u8>) -> Result<Value, JsonError> {
        Ok(match byte {
            Some(b'"') => Value::text(&self.reader.text()?),
            Some(b't' | b'f') => Value::Bool(self.reader.flag()?),
            Some(b'n') => {
                self.reader.null()?;
                Value::Missing
            }
            _ => {
                // An array: kept as its JSON text. Anything else is a syntax error.
                let text = self.reader.skip()?;
                let most = self.limits.json.text;
                if text.len() > most {
                    self.fault(format!("an array of more than {most} bytes"));
                }
                Value::text(text)
            }
        })
    }

    /// The plain path: a number of a metric that needs no path.
    #[inline]
    pub(super) fn push_number(&mut self, name: &str, number: f64) {
        match self.column(name) {
            Ok(Some((column, row))) => push_number(column, row, number),
            Ok(None) => {}
            Err(refused) => self.refuse(name, refused),
        }
    }

    /// A value that is no number.
    pub(super) fn push_value(&mut self, name: &str, value: Value) {
        self.push(name, Cell::Odd(value));
    }

    fn push(&mut self, name: &str, cell: Cell<'a>) {
        let value = match cell {
            Cell::Number(number) => return self.push_number(name, number),
            Cell::Beyond(written) => {
                let (name, written) = (brief(name), brief(written));
                let reason = format!("`{name}`: `{written}` is beyond the numbers of 64 bits");
                return self.fault(reason);
            }
            Cell::Odd(value) => value,
        };
        match self.column(name) {
            Ok(Some((column, row))) => push_odd(column, row, value),
            Ok(None) => {}
            Err(refused) => self.refuse(name, refused),
        }
    }

    /// The column of a metric, and the row that its value is of.
    #[inline]
    fn column(&mut self, name: &str) -> Result<Option<(&mut MetricColumn, u32)>, Refused> {
        if self.scratch.is_open(Kind::Event, name) {
            return Err(Refused::Twice);
        }
        let most = self.limits.metrics;
        let column = self
            .columns
            .column(name, self.sink.metrics, most, self.sink.batch)?;
        Ok(column.map(|column| (column, self.row)))
    }

    #[cold]
    fn refuse(&mut self, name: &str, refused: Refused) {
        match refused {
            Refused::Twice => self.twice(name),
            Refused::Name => {
                let name = brief(name);
                self.fault(format!(
                    "`{name}` is not a metric name: 1 to 256 bytes without control characters"
                ));
            }
            Refused::Full => {
                let most = self.limits.metrics;
                self.fault(format!("more than {most} different metrics in this shard"));
            }
        }
    }

    fn nested_metrics(&mut self, frame: Frame, key: &str) -> Result<Option<Frame>, JsonError> {
        self.scratch.extend(frame, key);
        let name = self.scratch.path.get(frame.strip..).unwrap_or_default();
        if self.scratch.is_open(Kind::Event, name) || self.columns.has(name, self.sink.metrics) {
            let name = name.to_owned();
            self.twice(&name);
        }
        self.reader.open_object()?;
        Ok(Some(self.scratch.enter(frame, Kind::Event)))
    }
}
