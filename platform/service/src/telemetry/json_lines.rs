//! Log lines for machines: one object of JSON for each event.
//!
//! They say what the library's own JSON format says, and whose request it is. But that one makes a tree of the fields of a
//! span, and reads them back from their JSON for every event in it, to write them again; here they are written once and
//! copied as they lie.

use std::fmt::{self, Debug, Write};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use super::in_request::with_trace_id;

/// Events as lines.
pub(super) struct JsonLines;

/// The fields of a span as they are copied into its lines: each behind a comma.
pub(super) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut written = Fields { writer: &mut writer, written: Ok(()) };
        fields.record(&mut written);
        written.written
    }

    /// What is told twice counts as it was told last.
    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut later = FormattedFields::<Self>::new(String::new());
        self.format_fields(later.as_writer(), fields)?;
        let mut all = object(&current.fields)?;
        all.extend(object(&later.fields)?);
        current.fields.clear();
        all.iter().try_for_each(|(name, value)| write!(current.fields, ",{}:{value}", Value::from(name.as_str())))
    }
}

fn object(fields: &str) -> Result<Map<String, Value>, fmt::Error> {
    let object = format!("{{{}}}", fields.trim_start_matches(','));
    serde_json::from_str(&object).map_err(|_| fmt::Error)
}

impl<S> FormatEvent<S, SpanFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, SpanFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, r#"","level":"{}""#, event.metadata().level())?;
        let mut fields = Fields { writer: &mut writer, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        entry(&mut writer, "target", event.metadata().target())?;
        with_trace_id(|id| entry(&mut writer, "trace_id", id))?;

        let explicit = event.parent().and_then(|id| context.span(id));
        if let Some(span) = explicit.or_else(|| context.lookup_current()) {
            writer.write_str(r#","span":{"name":"#)?;
            quoted(&mut writer, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<SpanFields>>() {
                writer.write_str(&fields.fields)?;
            }
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

/// Writes the fields of an event behind what stands there already.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = name(self.writer, field.name()).and_then(|()| value(self.writer));
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, |writer| text(writer, format_args!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |writer| quoted(writer, value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // What is no number is null, which does not fail.
        self.write(field, |writer| writer.write_str(&serde_json::to_string(&value).unwrap_or_default()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer| write!(writer, "{value}"));
    }
}

fn entry(writer: &mut Writer<'_>, key: &str, value: &str) -> fmt::Result {
    name(writer, key)?;
    quoted(writer, value)
}

/// A comma, a name, and a colon.
fn name(writer: &mut Writer<'_>, name: &str) -> fmt::Result {
    writer.write_char(',')?;
    quoted(writer, name)?;
    writer.write_char(':')
}

fn quoted(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_char('"')?;
    Escaping(writer).write_str(text)?;
    writer.write_char('"')
}

fn text(writer: &mut Writer<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    writer.write_char('"')?;
    Escaping(writer).write_fmt(text)?;
    writer.write_char('"')
}

/// The inside of a JSON string (RFC 8259, 7).
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
            let (plain, from) = rest.split_at(at);
            self.0.write_str(plain)?;
            match from.as_bytes()[0] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                b'\r' => self.0.write_str("\\r")?,
                b'\t' => self.0.write_str("\\t")?,
                0x08 => self.0.write_str("\\b")?,
                0x0c => self.0.write_str("\\f")?,
                other => write!(self.0, "\\u{other:04x}")?,
            }
            // What is escaped is one byte long.
            rest = &from[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt};

    use super::*;
    use crate::telemetry::kept::Kept;

    /// Without the time, which is another for each.
    fn lines(kept: &Kept) -> Vec<Map<String, Value>> {
        let without_time = |line: &str| {
            let mut line: Map<String, Value> = serde_json::from_str(line).unwrap();
            assert!(line.remove("timestamp").is_some());
            line
        };
        kept.text().lines().map(without_time).collect()
    }

    fn log() {
        let odd = "quotes \" back\\slash \u{0}\u{1}\u{8}\u{c}\u{1f}\u{7f} new\nline\r\ttab {} zoë 🦀 </script>";
        tracing::info!("no field");
        tracing::warn!(odd, "{odd}");
        tracing::error!(number = 7_u64, negative = -7_i64, right = true, ratio = 0.5, whole = 1.0, "numbers");
        tracing::info!(
            huge = u128::MAX,
            nothing = f64::NAN,
            large = 1e300,
            small = 1e-9,
            max = u64::MAX,
            "odd numbers"
        );
        tracing::info!(debugged = ?Some(odd), shown = %odd, none = None::<u64>, "quotes in quotes");
        tracing::info!(error = &io::Error::other(odd) as &dyn std::error::Error, field.with.dots = 1, "an error");
        tracing::info!(only = "a field");
        tracing::info!(target: "another::target", "elsewhere");
        let outer = tracing::info_span!("request", trace_id = "0af7651916cd43dd8448eb211c80319c");
        let _outer = outer.enter();
        tracing::info!(status = 200, "inside");
        tracing::info_span!("empty").in_scope(|| tracing::info!("inside a span without fields"));
        let late = tracing::info_span!("late", first = odd, second = tracing::field::Empty);
        late.record("second", 2);
        late.record("second", odd);
        tracing::info!(parent: &late, "a parent that is named");
        late.in_scope(|| tracing::info!("a field that came late"));
        tracing::info!(parent: None, "no parent");
    }

    #[test]
    fn a_line_says_what_the_librarys_own_format_says() {
        let (ours, theirs) = (Kept::default(), Kept::default());
        let fast = fmt::layer().fmt_fields(SpanFields).event_format(JsonLines).with_writer(ours.clone());
        let own = fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(theirs.clone());
        tracing::subscriber::with_default(Registry::default().with(fast.boxed()), log);
        tracing::subscriber::with_default(Registry::default().with(own.boxed()), log);
        assert_eq!(lines(&ours), lines(&theirs));
        let text = ours.text();
        assert!(text.lines().all(|line| line.matches(r#""second":"#).count() <= 1), "{text}");
        assert!(lines(&ours).len() > 10);
    }
}
