//! A thread that writes what observers hand over, from a queue with bounds.
//!
//! No call of a guest makes a system call to write, and none waits for a lock that is held over
//! one. The pieces are whole: lines of text, blocks of a capture. A piece for which there is no
//! room is lost, and counted; where losses end, their number is written. Each instance has a share
//! of the queue, so that one which has much to write does not take the others' room.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many bytes wait to be written at most.
const QUEUE: usize = 8 << 20;
/// How many of them are one instance's at most.
const SHARE: usize = 2 << 20;
/// How long a patient instance, or the end, waits for an output that takes nothing.
const STALL: Duration = Duration::from_secs(1);

/// Makes the piece that says how many were lost.
pub(super) type Loss = fn(u64) -> Vec<u8>;

/// Writes pieces in the order in which they come.
pub(super) struct Writer {
    shared: Arc<Shared>,
    patient: bool,
}

struct Shared {
    what: &'static str,
    loss: Loss,
    queue: Mutex<Queue>,
    /// A piece has come, or the end.
    more: Condvar,
    /// Bytes were written, or can't be any more.
    less: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Where to write, until the thread has it.
    to: Option<Box<dyn Write + Send>>,
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// The bytes in the queue, and those that are just being written.
    bytes: usize,
    /// The same by instance.
    shares: HashMap<u64, usize>,
    lost: u64,
    /// All that were lost, and how many of them the log has heard of.
    all_lost: u64,
    logged: u64,
    written: u64,
    /// How many bytes were written when a wait was given up. Until there are more, nobody waits
    /// again.
    stalled: Option<u64>,
    closed: bool,
    /// Nothing can be written any more.
    over: bool,
}

impl Writer {
    /// Writes there. `what` is its name in the log, which reports failures and losses.
    pub(super) fn new(what: &'static str, to: impl Write + Send + 'static, loss: Loss) -> Self {
        let queue = Queue { to: Some(Box::new(to)), ..Queue::default() };
        let shared = Shared {
            what,
            loss,
            queue: Mutex::new(queue),
            more: Condvar::new(),
            less: Condvar::new(),
        };
        Self { shared: Arc::new(shared), patient: false }
    }

    /// Whether an instance waits where there is no room, as long as the output takes anything:
    /// nothing is lost then. Only for an instance with a thread of its own.
    pub(super) fn set_patient(&mut self, patient: bool) {
        self.patient = patient;
    }

    /// Hands a piece over.
    pub(super) fn put(&self, instance: u64, piece: Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let mut queue = self.shared.queue();
        if let Some(to) = queue.to.take() {
            self.shared.begin(&mut queue, to);
        }
        while self.patient && !queue.has_room(instance, piece.len()) && !queue.over {
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
        if !queue.has_room(instance, piece.len()) {
            queue.lost += 1;
            queue.all_lost += 1;
            return;
        }
        queue.tell_loss(self.shared.loss);
        queue.push(instance, piece);
        self.shared.more.notify_one();
    }

    /// Waits until all is written, or the output takes nothing any more.
    pub(super) fn flush(&self) {
        let mut queue = self.shared.queue();
        queue.tell_loss(self.shared.loss);
        let lost = queue.all_lost - queue.logged;
        queue.logged = queue.all_lost;
        if lost > 0 {
            tracing::warn!(
                "of the {}, {lost} records were lost: its output was too slow",
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
    /// A piece that is longer than a share goes where nothing else of its instance is.
    fn has_room(&self, instance: u64, length: usize) -> bool {
        let own = self.shares.get(&instance).copied().unwrap_or(0);
        let fits = |taken: usize, most: usize| taken == 0 || taken.saturating_add(length) <= most;
        fits(own, SHARE) && fits(self.bytes, QUEUE)
    }

    fn push(&mut self, instance: u64, piece: Vec<u8>) {
        self.bytes += piece.len();
        *self.shares.entry(instance).or_default() += piece.len();
        self.pieces.push_back((instance, piece));
    }

    fn tell_loss(&mut self, loss: Loss) {
        if self.lost > 0 && !self.over {
            let piece = loss(std::mem::take(&mut self.lost));
            self.push(0, piece);
        }
    }

    /// A piece has left.
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

    /// The thread is made with the first piece.
    fn begin(self: &Arc<Self>, queue: &mut Queue, to: Box<dyn Write + Send>) {
        let own = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sandsock-observer".to_owned());
        if let Err(error) = thread.spawn(move || own.write(to)) {
            tracing::warn!("there is no {}: {error}", self.what);
            queue.over = true;
        }
    }

    /// Waits until something was written. False if the output takes nothing.
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
            let (instance, piece) = {
                let mut queue = self.queue();
                loop {
                    if let Some(next) = queue.pieces.pop_front() {
                        break next;
                    }
                    if queue.closed {
                        return;
                    }
                    queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            // Each piece by itself: an output that drops some drops whole ones.
            let result = to.write_all(&piece).and_then(|()| to.flush());
            let mut queue = self.queue();
            queue.done(instance, piece.len());
            if let Err(error) = result {
                tracing::warn!("the {} ends here: {error}", self.what);
                queue.over = true;
                (queue.bytes, queue.pieces, queue.shares) = Default::default();
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

    /// The text that was written, and a gate that is shut at first.
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
        // Another has its share of the room.
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
    fn a_patient_instance_loses_nothing_while_the_output_moves() {
        let output = Output::default();
        let mut writer = Writer::new("test", output.clone(), loss);
        writer.set_patient(true);
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
    fn a_patient_instance_gives_an_output_up_that_takes_nothing() {
        let mut writer = Writer::new("test", Output::default(), loss);
        writer.set_patient(true);
        let start = Instant::now();
        for number in 0..10_000 {
            writer.put(1, line(1, number));
        }
        // It waited once, and so does the end not again.
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
