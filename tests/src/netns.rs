//! Network namespaces, for what one host's loopback cannot show: links of their own that go down
//! and up.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace, deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one, with its loopback up.
    ///
    /// # Errors
    /// Why there can be none here, as the reason of a skipped test.
    pub fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("sandsock-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Two of them joined by a link: `left` in the first with 10.77.0.1, `right` in the second with
    /// 10.77.0.2.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn linked() -> Result<(Self, Self), String> {
        let (a, b) = (Self::new()?, Self::new()?);
        a.ip(&format!("link add left type veth peer name right netns {}", b.name))?;
        for (namespace, link, host) in [(&a, "left", 1), (&b, "right", 2)] {
            namespace.ip(&format!("address add 10.77.0.{host}/24 dev {link}"))?;
            namespace.ip(&format!("link set {link} up"))?;
        }
        Ok((a, b))
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the `ip` command in it, its arguments parted by spaces.
    ///
    /// # Errors
    /// What it complained of.
    pub fn ip(&self, arguments: &str) -> Result<String, String> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split(' '));
        ip(&all)
    }

    /// Runs `body` on a thread inside the namespace. Everything that this thread starts is inside
    /// too.
    ///
    /// # Panics
    /// If the thread cannot go there, or panics.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let namespace =
                File::open(Path::new("/run/netns").join(&self.name)).expect("it is there");
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("it can be entered");
            body()
        };
        std::thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| format!("no `ip` command: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
