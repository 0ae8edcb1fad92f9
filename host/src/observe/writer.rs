//! A thread that writes the records of an observer, from a bounded queue.
//!
//! No call of a guest makes a system call to write, or waits for a lock that is held during one.
//! The records are whole: lines of text, or blocks of a capture. A record without room is lost, and
//! counted. When there is room again, the number of lost records is written. Each instance has a
//! share of the queue, so an instance with much to write leaves room for the others.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most bytes that wait to be written.
const QUEUE: usize = 8 << 20;
/// The most of them that one instance has.
const SHARE: usize = 2 << 20;
/// How long a lossless writer, or a flush, waits for an output that takes nothing.
const STALL: Duration = Duration::from_secs(1);

/// Makes the record that has the number of lost records.
pub(super) type Loss = fn(u64) -> Vec<u8>;

/// Writes records in the order in which they come.
pub(super) struct Writer {
    shared: Arc<Shared>,
    lossless: bool,
}

struct Shared {
    what: &'static str,
    loss: Loss,
    queue: Mutex<Queue>,
    /// There is a new record, or the writer is closed.
    more: Condvar,
    /// Bytes were written, or the output has failed.
    less: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The output, until the thread takes it.
    to: Option<Box<dyn Write + Send>>,
    records: VecDeque<(u64, Vec<u8>)>,
    /// The bytes in the queue, and those that are being written.
    bytes: usize,
    /// The same bytes, by instance.
    shares: HashMap<u64, usize>,
    lost: u64,
    /// The number of all lost records, and how many of them are in the log of `tracing`.
    all_lost: u64,
    logged: u64,
    written: u64,
    /// The value of `written` when a wait was given up. No one waits again until more bytes are
    /// written.
    stalled: Option<u64>,
    closed: bool,
    /// The output has failed. Nothing is written any more.
    over: bool,
}

impl Writer {
    /// Writes to `to`. `what` names the output in the log of `tracing`, which reports failures and
    /// losses.
    pub(super) fn new(what: &'static str, to: impl Write + Send + 'static, loss: Loss) -> Self {
        let queue = Queue { to: Some(Box::new(to)), ..Queue::default() };
        let shared = Shared {
            what,
            loss,
            queue: Mutex::new(queue),
            more: Condvar::new(),
            less: Condvar::new(),
        };
        Self { shared: Arc::new(shared), lossless: false }
    }

    /// Sets whether an instance waits if there is no room. Then nothing is lost, as long as the
    /// output takes any. Use it only for an instance with a thread of its own.
    pub(super) fn set_lossless(&mut self, lossless: bool) {
        self.lossless = lossless;
    }

    /// Adds a record to the queue.
    pub(super) fn put(&self, instance: u64, record: Vec<u8>) {
        if record.is_empty() {
            return;
        }
        let mut queue = self.shared.queue();
        if let Some(to) = queue.to.take() {
            self.shared.begin(&mut queue, to);
        }
        while self.lossless && !queue.has_room(instance, record.len()) && !queue.over {
            match self.shared.wait_for_less(queue) {
                (again, true) => queue = again,
                (again, false) => {
                    queue = again;
                    break;
                }
            }
        }
        if queue.over {
            return;
        }
        if !queue.has_room(instance, record.len()) {
            queue.lost += 1;
            queue.all_lost += 1;
            return;
        }
        queue.push_loss(self.shared.loss);
        queue.push(instance, record);
        self.shared.more.notify_one();
    }

    /// Waits until everything is written, or the output takes nothing.
    pub(super) fn flush(&self) {
        let mut queue = self.shared.queue();
        queue.push_loss(self.shared.loss);
        let lost = queue.all_lost - queue.logged;
        queue.logged = queue.all_lost;
        if lost > 0 {
            tracing::warn!(
                "{lost} records of the {} were lost: its output was too slow",
                self.shared.what
            );
        }
        self.shared.more.notify_one();
        while queue.bytes > 0 && !queue.over {
            match self.shared.wait_for_less(queue) {
                (again, true) => queue = again,
                (_, false) => return,
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
        self.shared.queue().closed = true;
        self.shared.more.notify_one();
    }
}

impl Queue {
    /// A record that is longer than a share has room if the queue has nothing else of its instance.
    fn has_room(&self, instance: u64, length: usize) -> bool {
        let own = self.shares.get(&instance).copied().unwrap_or(0);
        let fits = |taken: usize, most: usize| taken == 0 || taken.saturating_add(length) <= most;
        fits(own, SHARE) && fits(self.bytes, QUEUE)
    }

    fn push(&mut self, instance: u64, record: Vec<u8>) {
        self.bytes += record.len();
        *self.shares.entry(instance).or_default() += record.len();
        self.records.push_back((instance, record));
    }

    fn push_loss(&mut self, loss: Loss) {
        if self.lost > 0 && !self.over {
            let record = loss(std::mem::take(&mut self.lost));
            self.push(0, record);
        }
    }

    /// A record was taken from the queue and written.
    fn done(&mut self, instance: u64, length: usize) {
        self.bytes -= length;
        self.written += length as u64;
        if let Some(share) = self.shares.get_mut(&instance) {
            *share -= length;
            if *share == 0 {
                self.shares.remove(&instance);
            }
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread, with the first record.
    fn begin(self: &Arc<Self>, queue: &mut Queue, to: Box<dyn Write + Send>) {
        let own = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sandsock-observer".to_owned());
        if let Err(error) = thread.spawn(move || own.write(to)) {
            tracing::warn!(
                "the {} is not written, because its thread can't be started: {error}",
                self.what
            );
            queue.over = true;
        }
    }

    /// Waits until something is written. Returns false if the output takes nothing.
    fn wait_for_less<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
    ) -> (MutexGuard<'a, Queue>, bool) {
        let before = queue.written;
        if queue.stalled == Some(before) {
            return (queue, false);
        }
        let end = Instant::now() + STALL;
        while queue.written == before && !queue.over {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.stalled = Some(before);
                return (queue, false);
            }
            queue = self.less.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (queue, true)
    }

    fn write(&self, mut to: Box<dyn Write + Send>) {
        loop {
            let (instance, record) = {
                let mut queue = self.queue();
                loop {
                    if let Some(next) = queue.records.pop_front() {
                        break next;
                    }
                    if queue.closed {
                        return;
                    }
                    queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            // Each record is written by itself. An output that drops writes then drops whole
            // records.
            let result = to.write_all(&record).and_then(|()| to.flush());
            let mut queue = self.queue();
            queue.done(instance, record.len());
            if let Err(error) = result {
                tracing::warn!("the {} ends here: {error}", self.what);
                queue.over = true;
                (queue.bytes, queue.records, queue.shares) = Default::default();
            }
            let over = queue.over;
            self.less.notify_all();
            if over {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// The text that was written, and a gate that is closed at first.
    #[derive(Clone, Default)]
    struct Output {
        text: Arc<Mutex<Vec<u8>>>,
        open: Arc<(Mutex<bool>, Condvar)>,
    }

    impl Output {
        fn open(&self) {
            *self.open.0.lock().unwrap() = true;
            self.open.1.notify_all();
        }

        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.text.lock().unwrap().clone())
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect()
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut open = self.open.0.lock().unwrap();
            while !*open {
                open = self.open.1.wait(open).unwrap();
            }
            self.text.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn loss(count: u64) -> Vec<u8> {
        format!("{count} lost\n").into_bytes()
    }

    fn line(instance: u64, number: usize) -> Vec<u8> {
        format!("{instance} {number} {}\n", "x".repeat(1000)).into_bytes()
    }

    #[test]
    fn an_output_that_takes_nothing_holds_nobody_up_and_losses_are_counted() {
        let output = Output::default();
        let writer = Writer::new("test", output.clone(), loss);
        let start = Instant::now();
        for number in 0..20_000 {
            writer.put(1, line(1, number));
        }
        // Another instance has its own share of the room.
        writer.put(2, line(2, 0));
        assert!(start.elapsed() < STALL, "{:?}", start.elapsed());
        assert!(writer.shared.queue().bytes <= QUEUE);
        output.open();
        writer.flush();
        writer.put(1, line(1, 20_000));
        drop(writer);
        let lines = output.lines();
        let lost: u64 =
            lines.iter().filter_map(|line| line.strip_suffix(" lost")?.parse::<u64>().ok()).sum();
        let kept = lines.iter().filter(|line| line.starts_with("1 ")).count();
        assert_eq!(kept as u64 + lost, 20_001);
        assert!(kept * 1000 <= SHARE + 1000 && lines.iter().any(|line| line.starts_with("2 0 ")));
        assert!(lines.last().is_some_and(|line| line.starts_with("1 20000 ")));
    }

    #[test]
    fn a_lossless_writer_loses_nothing_while_the_output_moves() {
        let output = Output::default();
        let mut writer = Writer::new("test", output.clone(), loss);
        writer.set_lossless(true);
        let opener = output.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            opener.open();
        });
        for number in 0..10_000 {
            writer.put(1, line(1, number));
        }
        drop(writer);
        thread.join().unwrap();
        assert_eq!(output.lines().len(), 10_000);
    }

    #[test]
    fn a_lossless_writer_gives_up_an_output_that_takes_nothing() {
        let mut writer = Writer::new("test", Output::default(), loss);
        writer.set_lossless(true);
        let start = Instant::now();
        for number in 0..10_000 {
            writer.put(1, line(1, number));
        }
        // It waited once. The end does not wait again.
        drop(writer);
        assert!(start.elapsed() >= STALL && start.elapsed() < 10 * STALL, "{:?}", start.elapsed());
    }

    #[test]
    fn a_failure_ends_the_writing() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writer = Writer::new("test", Broken, loss);
        writer.put(1, line(1, 0));
        writer.flush();
        writer.put(1, line(1, 1));
        assert_eq!(writer.shared.queue().bytes, 0);
    }
}
