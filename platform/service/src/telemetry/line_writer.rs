//! Log lines on their way out, several at a time.
//!
//! One thread writes. Whoever has a line meanwhile leaves it with those that wait and goes on, because a call of the system
//! takes longer than making a line, and to wait for somebody else's takes two more. What waits is written by the same thread
//! in one piece, as soon as it is done with the last.
//!
//! Invariant: as long as there is something to write, there is a thread that writes. Nothing is kept back for a time or a size:
//! when the threads of a process have ended all of their lines are written, and one that is killed lacks those of a moment.
//! Lines are whole, and those of one thread in their order.

use std::{
    io::{self, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

pub(super) struct LineWriter<O> {
    out: Mutex<O>,
    waiting: Mutex<Waiting>,
    taken_up: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    is_written: bool,
}

/// In bytes. Whoever finds more waiting waits as well, so that a reader who is slow or away costs time and no memory.
const MOST_WAITING: usize = 1_024 * 1_024;

impl<O: Write> LineWriter<O> {
    pub fn new(out: O) -> Self {
        Self { out: Mutex::new(out), waiting: Mutex::default(), taken_up: Condvar::new() }
    }

    fn write_line(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        while waiting.is_written && waiting.lines.len() >= MOST_WAITING {
            waiting = self.taken_up.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.lines.extend_from_slice(line);
        if !waiting.is_written {
            waiting.is_written = true;
            self.write_out(waiting);
        }
    }

    fn write_out<'w>(&'w self, mut waiting: MutexGuard<'w, Waiting>) {
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
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<O: Write> Write for &LineWriter<O> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, PipeReader, PipeWriter, pipe},
        sync::Arc,
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    /// More than a pipe holds.
    const LONG: usize = 200_000;

    fn lines(reader: PipeReader) -> Vec<String> {
        BufReader::new(reader).lines().map(Result::unwrap).collect()
    }

    fn a_writer() -> (Arc<LineWriter<PipeWriter>>, PipeReader) {
        let (reader, out) = pipe().unwrap();
        (Arc::new(LineWriter::new(out)), reader)
    }

    /// A line that nobody reads, so that its writer is busy for as long as the test likes.
    fn hold(writer: &Arc<LineWriter<PipeWriter>>) -> thread::JoinHandle<()> {
        let held = Arc::clone(writer);
        let busy = thread::spawn(move || held.write_line(&[&b"x".repeat(LONG)[..], b"\n"].concat()));
        until(|| lock(&writer.waiting).is_written);
        until(|| lock(&writer.waiting).lines.is_empty());
        busy
    }

    fn until(holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it never came to it");
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
                        (&*writer)
                            .write_all(format!("{thread} {number} {}\n", "x".repeat(number % 300)).as_bytes())
                            .unwrap();
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
            writer.write_line(format!("{number}\n").as_bytes());
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
    fn a_reader_who_is_away_costs_no_more_memory_than_there_may_be_and_no_line() {
        let (writer, reader) = a_writer();
        let busy = hold(&writer);
        let piling = {
            let (writer, line) = (Arc::clone(&writer), [&b"y".repeat(999)[..], b"\n"].concat());
            thread::spawn(move || (0..MOST_WAITING / 500).for_each(|_| writer.write_line(&line)))
        };
        until(|| lock(&writer.waiting).lines.len() >= MOST_WAITING);
        assert!(!piling.is_finished());
        assert!(lock(&writer.waiting).lines.len() < MOST_WAITING + 1_000);
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
            writer.write_line(b"nobody reads\n");
        }
        assert!(!lock(&writer.waiting).is_written);
    }
}
