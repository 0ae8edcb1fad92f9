//! An interrupt ends `run` and its future. A handler may let it go on, or return the error that
//! ends it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sandsock::{Error, aio, set_interrupt_handler};

fn main() {
    let ended = Rc::new(Cell::new(false));
    struct Told(Rc<Cell<bool>>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    println!("waiting");
    let told = Told(Rc::clone(&ended));
    let result = aio::run(async move {
        let _told = told;
        std::future::pending::<()>().await;
    });
    assert_eq!(result.unwrap_err().class(), "InterruptedError");
    assert!(ended.get());

    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
    }
    set_interrupt_handler(Some(|| {
        COUNT.set(COUNT.get() + 1);
        if COUNT.get() == 1 { Ok(()) } else { Err(Error::exception("KeyboardInterrupt", "")) }
    }));
    println!("waiting");
    let result = aio::run(async {
        while COUNT.get() == 0 {
            aio::sleep(Duration::from_millis(1)).await;
        }
        println!("going on");
        std::future::pending::<()>().await;
    });
    assert_eq!(result.unwrap_err().class(), "KeyboardInterrupt");
}
