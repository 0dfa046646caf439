//! Log lines on their way out, several at a time.
//!
//! A call of the system takes longer than making a line, so under load one call writes many. A line that comes soon after the
//! last was written is put off, and [`PUT_OFF`] later a thread writes it with all that came meanwhile. A warning or an error
//! is written at once, with whatever was put off before it; and so is a line that comes alone.
//!
//! One thread writes at a time. Whoever has a line meanwhile leaves it to that one and goes on: to wait for somebody else's
//! takes two calls more.
//!
//! Invariant: as long as there is something to write, there is a thread that writes or will within [`PUT_OFF`]. What a process
//! has to say is out when it has called [`LineWriter::flush`]; one that is killed lacks the lines of that moment, and a
//! warning only if a call of the system was under way. Lines are whole, and those of one thread in their order.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// What was put off is written when it is dropped.
pub(super) struct LineWriter<O: Write>(Arc<Shared<O>>);

struct Shared<O> {
    out: Mutex<O>,
    waiting: Mutex<Waiting>,
    taken_up: Condvar,
    put_off: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    is_written: bool,
    is_put_off: bool,
    written_at: Option<Instant>,
    has_ended: bool,
}

/// One line for it, or several that end together.
pub(super) struct Line<'a, O: Write> {
    writer: &'a LineWriter<O>,
    may_wait: bool,
}

/// In bytes. Whoever finds more waiting waits as well, so that a reader who is slow or away costs time and no memory.
const MOST_WAITING: usize = 1_024 * 1_024;
/// In bytes. Whoever finds more put off writes it.
const MOST_PUT_OFF: usize = 64 * 1_024;
/// Long enough for a busy process to save nearly all of its calls, too short for anybody who reads to see.
const PUT_OFF: Duration = Duration::from_millis(2);

impl<O: Write + Send + 'static> LineWriter<O> {
    pub fn new(out: O) -> Self {
        let shared = Arc::new(Shared::over(out));
        let putting_off = Arc::clone(&shared);
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || putting_off.write_what_is_put_off());
        // Without that thread nothing is put off.
        lock(&shared.waiting).has_ended = started.is_err();
        Self(shared)
    }
}

impl<O: Write> LineWriter<O> {
    /// Returns when everything that was logged before has been written.
    pub fn flush(&self) {
        let shared = &self.0;
        let waiting = lock(&shared.waiting);
        if waiting.is_written {
            drop(waiting);
            // Whoever writes holds it until there is no more.
            drop(lock(&shared.out));
        } else {
            shared.write_out(waiting);
        }
    }
}

impl<O: Write> Shared<O> {
    fn over(out: O) -> Self {
        Self { out: Mutex::new(out), waiting: Mutex::default(), taken_up: Condvar::new(), put_off: Condvar::new() }
    }

    fn write_line(&self, line: &[u8], may_wait: bool) {
        let mut waiting = lock(&self.waiting);
        while waiting.is_written && waiting.lines.len() >= MOST_WAITING {
            waiting = self.taken_up.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.lines.extend_from_slice(line);
        if waiting.is_written {
            return;
        }
        if !may_wait || !waiting.is_soon() || waiting.lines.len() >= MOST_PUT_OFF {
            self.write_out(waiting);
        } else if !waiting.is_put_off {
            waiting.is_put_off = true;
            drop(waiting);
            self.put_off.notify_one();
        }
    }

    fn write_out<'w>(&'w self, mut waiting: MutexGuard<'w, Waiting>) {
        waiting.is_written = true;
        // Before the other lock is let go: whoever finds that somebody writes finds this one taken.
        let (mut out, mut lines) = (lock(&self.out), Vec::new());
        while !waiting.lines.is_empty() {
            mem::swap(&mut lines, &mut waiting.lines);
            drop(waiting);
            // Telling nobody is a call of the system too.
            if lines.len() >= MOST_WAITING {
                self.taken_up.notify_all();
            }
            // There is nowhere else to say that it failed.
            let _ = out.write_all(&lines);
            lines.clear();
            waiting = lock(&self.waiting);
        }
        // Its place in memory is used again.
        waiting.lines = lines;
        waiting.is_written = false;
        waiting.written_at = Some(Instant::now());
    }

    fn write_what_is_put_off(&self) {
        let mut waiting = lock(&self.waiting);
        while !waiting.has_ended {
            if !waiting.is_put_off {
                waiting = self.put_off.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(waiting);
            thread::sleep(PUT_OFF);
            waiting = lock(&self.waiting);
            waiting.is_put_off = false;
            if !waiting.is_written && !waiting.lines.is_empty() {
                self.write_out(waiting);
                waiting = lock(&self.waiting);
            }
        }
    }
}

impl Waiting {
    fn is_soon(&self) -> bool {
        let is_soon = || self.written_at.is_some_and(|written_at| written_at.elapsed() < PUT_OFF);
        !self.has_ended && (self.is_put_off || is_soon())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<O: Write> Drop for LineWriter<O> {
    fn drop(&mut self) {
        lock(&self.0.waiting).has_ended = true;
        self.0.put_off.notify_one();
        self.flush();
    }
}

impl<'a, O: Write + 'a> MakeWriter<'a> for LineWriter<O> {
    type Writer = Line<'a, O>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { writer: self, may_wait: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Line { writer: self, may_wait: *metadata.level() > Level::WARN }
    }
}

impl<O: Write> Write for Line<'_, O> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.writer.0.write_line(line, self.may_wait);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, PipeReader, PipeWriter, pipe};

    use super::*;

    /// More than a pipe holds.
    const LONG: usize = 200_000;
    const DEADLINE: Duration = Duration::from_secs(10);

    fn lines(reader: PipeReader) -> Vec<String> {
        BufReader::new(reader).lines().map(Result::unwrap).collect()
    }

    fn a_writer() -> (Arc<LineWriter<PipeWriter>>, PipeReader) {
        let (reader, out) = pipe().unwrap();
        (Arc::new(LineWriter::new(out)), reader)
    }

    /// One that puts off whatever may wait, and whose thread comes too late: it has none.
    fn a_busy_writer() -> (Arc<LineWriter<PipeWriter>>, PipeReader) {
        let (reader, out) = pipe().unwrap();
        let shared = Shared::over(out);
        lock(&shared.waiting).is_put_off = true;
        (Arc::new(LineWriter(Arc::new(shared))), reader)
    }

    impl LineWriter<PipeWriter> {
        fn info(&self, line: &[u8]) {
            self.0.write_line(line, true);
        }

        fn warn(&self, line: &[u8]) {
            self.0.write_line(line, false);
        }

        fn waiting(&self) -> MutexGuard<'_, Waiting> {
            lock(&self.0.waiting)
        }
    }

    /// A line that nobody reads, so that its writer is busy for as long as the test likes.
    fn hold(writer: &Arc<LineWriter<PipeWriter>>) -> thread::JoinHandle<()> {
        let held = Arc::clone(writer);
        let busy = thread::spawn(move || held.warn(&[&b"x".repeat(LONG)[..], b"\n"].concat()));
        until(|| writer.waiting().is_written);
        until(|| writer.waiting().lines.is_empty());
        busy
    }

    fn until(holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < DEADLINE, "it never came to it");
            thread::yield_now();
        }
    }

    #[test]
    fn lines_of_many_threads_are_whole_and_those_of_each_in_order() {
        const EACH: usize = 2_000;
        let (writer, reader) = a_writer();
        let reading = thread::spawn(move || lines(reader));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let writer = Arc::clone(&writer);
                thread::spawn(move || {
                    for number in 0..EACH {
                        let line = format!("{thread} {number} {}\n", "x".repeat(number % 300));
                        writer.0.write_line(line.as_bytes(), number % 100 != 0);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        drop(writer);
        let mut next = [0; 4];
        for line in reading.join().unwrap() {
            let (thread, rest) = line.split_once(' ').unwrap();
            let next = &mut next[thread.parse::<usize>().unwrap()];
            assert_eq!(rest, format!("{next} {}", "x".repeat(*next % 300)));
            *next += 1;
        }
        assert_eq!(next, [EACH; 4]);
    }

    #[test]
    fn whoever_has_a_line_does_not_wait_for_another_to_be_written() {
        let (writer, reader) = a_writer();
        let busy = hold(&writer);
        for number in 0..100 {
            writer.0.write_line(format!("{number}\n").as_bytes(), number % 2 == 0);
        }
        assert!(!busy.is_finished());
        let reading = thread::spawn(move || lines(reader));
        busy.join().unwrap();
        drop(writer);
        let lines = reading.join().unwrap();
        assert_eq!(lines[0].len(), LONG);
        assert_eq!(lines[1..], (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_comes_alone_is_there_when_it_was_logged() {
        let (writer, _reader) = a_writer();
        writer.info(b"alone\n");
        assert!(writer.waiting().lines.is_empty());
        assert!(!writer.waiting().is_put_off);
    }

    #[test]
    fn what_was_put_off_is_written_by_itself() {
        let (writer, reader) = a_writer();
        let mut reader = BufReader::new(reader);
        for number in 0..1_000 {
            writer.info(format!("{number}\n").as_bytes());
        }
        for number in 0..1_000 {
            let mut line = String::new();
            // Nothing else happens that could write them.
            reader.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{number}\n"));
        }
        until(|| !writer.waiting().is_put_off);
    }

    #[test]
    fn a_warning_takes_with_it_what_was_put_off_before() {
        let (writer, reader) = a_busy_writer();
        writer.info(b"first\n");
        assert_eq!(writer.waiting().lines, b"first\n");
        writer.warn(b"second\n");
        assert!(writer.waiting().lines.is_empty());
        drop(writer);
        assert_eq!(lines(reader), ["first", "second"]);
    }

    #[test]
    fn no_more_is_put_off_than_there_may_be() {
        let (writer, reader) = a_busy_writer();
        let reading = thread::spawn(move || lines(reader));
        let line = [&b"z".repeat(999)[..], b"\n"].concat();
        for _ in 0..1_000 {
            writer.info(&line);
            assert!(writer.waiting().lines.len() < MOST_PUT_OFF);
        }
        drop(writer);
        assert_eq!(reading.join().unwrap().len(), 1_000);
    }

    #[test]
    fn nothing_is_lost_by_a_process_that_flushes_in_the_end() {
        let (writer, reader) = a_busy_writer();
        writer.info(b"the last\n");
        assert!(!writer.waiting().lines.is_empty());
        writer.flush();
        assert!(writer.waiting().lines.is_empty());

        // While another thread writes, its line is waited for.
        let busy = hold(&writer);
        writer.info(b"and what came meanwhile\n");
        let flushing = Arc::clone(&writer);
        let flushing = thread::spawn(move || flushing.flush());
        assert!(!flushing.is_finished());
        let reading = thread::spawn(move || lines(reader));
        flushing.join().unwrap();
        assert!(writer.waiting().lines.is_empty());
        busy.join().unwrap();
        drop(writer);
        let lines = reading.join().unwrap();
        assert_eq!((lines.len(), &*lines[0], &*lines[2]), (3, "the last", "and what came meanwhile"));
    }

    #[test]
    fn a_reader_who_is_away_costs_no_more_memory_than_there_may_be_and_no_line() {
        let (writer, reader) = a_writer();
        let busy = hold(&writer);
        let piling = {
            let (writer, line) = (Arc::clone(&writer), [&b"y".repeat(999)[..], b"\n"].concat());
            thread::spawn(move || (0..MOST_WAITING / 500).for_each(|_| writer.info(&line)))
        };
        until(|| writer.waiting().lines.len() >= MOST_WAITING);
        assert!(!piling.is_finished());
        assert!(writer.waiting().lines.len() < MOST_WAITING + 1_000);
        let reading = thread::spawn(move || lines(reader));
        busy.join().unwrap();
        piling.join().unwrap();
        drop(writer);
        assert_eq!(reading.join().unwrap().len(), 1 + MOST_WAITING / 500);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_the_next_is_tried() {
        let (writer, reader) = a_writer();
        drop(reader);
        for _ in 0..3 {
            writer.warn(b"nobody reads\n");
        }
        assert!(!writer.waiting().is_written);
        assert!(writer.waiting().lines.is_empty());
    }

    #[test]
    fn warnings_and_errors_are_never_put_off() {
        let (writer, _reader) = a_writer();
        let may_wait = |metadata| writer.make_writer_for(metadata).may_wait;
        let of = |level| match level {
            Level::ERROR => tracing::error_span!("x").metadata().map(may_wait),
            Level::WARN => tracing::warn_span!("x").metadata().map(may_wait),
            _ => tracing::info_span!("x").metadata().map(may_wait),
        };
        let subscriber = tracing_subscriber::registry();
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(of(Level::ERROR), Some(false));
            assert_eq!(of(Level::WARN), Some(false));
            assert_eq!(of(Level::INFO), Some(true));
        });
    }
}
