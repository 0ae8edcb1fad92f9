//! `DefaultSelector` as Python's: registering, modifying, unregistering, the errors of each, and
//! the result of `select`.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{DefaultSelector, EVENT_READ, EVENT_WRITE, Error, Flags, errno, socketpair};
use sandsock_test_programs::{fails, fails_with};

fn main() -> Result<(), Error> {
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let mut selector = DefaultSelector::new()?;
    fails(selector.register(&a, 0, "a"), "ValueError", "Invalid events: 0");
    fails(selector.register(&a, 4, "a"), "ValueError", "Invalid events: 4");
    fails(selector.register(&-1, EVENT_READ, "a"), "ValueError", "Invalid file descriptor: -1");
    fails_with(selector.register(&77, EVENT_READ, "a"), "OSError", errno::EBADF);
    assert!(selector.get_map().is_empty());
    fails(selector.unregister(&77), "KeyError", "'77 is not registered'");
    fails(selector.modify(&77, EVENT_READ, "a"), "KeyError", "'77 is not registered'");
    fails(selector.get_key(&77), "KeyError", "'77 is not registered'");

    let key = *selector.register(&a, EVENT_READ, "a")?;
    assert_eq!((key.fd, key.events, key.data), (a.fileno(), EVENT_READ, "a"));
    let text = format!("'{0} (FD {0}) is already registered'", a.fileno());
    fails(selector.register(&a, EVENT_READ, "a"), "KeyError", &text);
    assert_eq!(*selector.get_key(&a)?, key);

    // Nothing is ready: at once, and after a while.
    assert!(selector.select(Some(Duration::ZERO))?.is_empty());
    assert!(selector.select(Some(Duration::from_millis(10)))?.is_empty());
    b.sendall(b"x", Flags::NONE)?;
    assert_eq!(selector.select(None)?, [(&key, EVENT_READ)]);

    // The data alone, the events with it; what comes is cut to what was asked for.
    assert_eq!(selector.modify(&a, EVENT_READ, "new")?.data, "new");
    assert_eq!(selector.select(None)?[0].0.data, "new");
    selector.modify(&a, EVENT_WRITE, "new")?;
    assert_eq!(selector.select(None)?[0].1, EVENT_WRITE);
    selector.modify(&a, EVENT_READ | EVENT_WRITE, "new")?;
    selector.register(&b, EVENT_WRITE, "b")?;
    let mut ready: Vec<_> =
        selector.select(None)?.into_iter().map(|(key, events)| (key.data, events)).collect();
    ready.sort_unstable();
    assert_eq!(ready, [("b", EVENT_WRITE), ("new", EVENT_READ | EVENT_WRITE)]);
    // Python's modify takes events that register would not.
    assert_eq!(selector.modify(&b, 8, "b")?.events, 8);
    assert_eq!(selector.select(None)?.len(), 1);
    assert_eq!(selector.get_map().keys().copied().collect::<Vec<_>>(), [a.fileno(), b.fileno()]);

    // The peer's end is for those who read and those who write.
    let fd = b.fileno();
    b.close()?;
    assert_eq!(selector.select(None)?[0].1, EVENT_READ | EVENT_WRITE);
    // A closed one is taken out by its number, and once.
    fails(selector.unregister(&b), "ValueError", "Invalid file descriptor: -1");
    assert_eq!(selector.unregister(&fd)?.data, "b");
    fails(selector.unregister(&fd), "KeyError", &format!("'{fd} is not registered'"));
    assert_eq!(selector.unregister(&a)?.data, "new");
    assert!(selector.get_map().is_empty());

    // A closed one that is modified is out.
    let fd = a.fileno();
    selector.register(&a, EVENT_READ, "a")?;
    a.close()?;
    fails_with(selector.modify(&fd, EVENT_WRITE, "a"), "OSError", errno::EBADF);
    assert!(selector.get_map().is_empty());
    Ok(())
}
