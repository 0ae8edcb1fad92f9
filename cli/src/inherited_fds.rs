//! `--inherit`: the descriptors that this command inherited and hands over, among them those of
//! socket activation (man 3 sd_listen_fds).

use anyhow::{Context as _, bail};
use sandsock_host::policy::DescriptorNumber;
use sandsock_host::{Inherited, SandsockCtxBuilder};

/// man 3 sd_listen_fds: SD_LISTEN_FDS_START.
pub(crate) const LISTEN_START: i32 = 3;

/// The answer of wasi-libc's getpid() in every guest. A guest that checks LISTEN_PID finds its own.
const GUEST_PID: &str = "42";

/// The descriptors to hand over. They keep their numbers.
#[derive(Clone)]
pub(crate) struct InheritedFds {
    descriptors: Vec<(DescriptorNumber, Inherited)>,
    activation: Option<Activation>,
}

/// The service manager's environment variables.
#[derive(Clone)]
struct Activation {
    count: i32,
    names: Vec<String>,
}

impl InheritedFds {
    /// Takes the descriptors that `--inherit` names.
    pub(crate) fn new(words: &[String]) -> anyhow::Result<Self> {
        let mut fds = Self { descriptors: Vec::new(), activation: None };
        if words.is_empty() {
            return Ok(fds);
        }
        let activation = Activation::from_environment();
        for word in words {
            match (word.as_str(), &activation) {
                ("listen", Err(error)) => bail!("--inherit listen: {error}"),
                ("listen", Ok(activation)) => {
                    for number in LISTEN_START..LISTEN_START + activation.count {
                        fds.take(DescriptorNumber(number), "listen", Some(activation))?;
                    }
                }
                (number, activation) => {
                    let number = number.parse().with_context(|| format!("--inherit {number}"))?;
                    fds.take(number, word, activation.as_ref().ok())?;
                }
            }
        }
        fds.activation = activation.ok();
        Ok(fds)
    }

    fn take(
        &mut self,
        number: DescriptorNumber,
        word: &str,
        activation: Option<&Activation>,
    ) -> anyhow::Result<()> {
        if self.descriptors.iter().any(|(taken, _)| *taken == number) {
            bail!("--inherit {word}: {number} is handed over twice");
        }
        let descriptor = Inherited::of_process(number.0)
            .with_context(|| format!("--inherit {word}: this command did not inherit {number}"))?;
        let name = activation
            .and_then(|activation| activation.name(number.0))
            .map(|name| format!(" ({name})"));
        tracing::info!("handed over: {number}{}, {descriptor}", name.unwrap_or_default());
        self.descriptors.push((number, descriptor));
        Ok(())
    }

    /// Their numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = DescriptorNumber> {
        self.descriptors.iter().map(|(number, _)| *number)
    }

    pub(crate) fn descriptors(&self) -> &[(DescriptorNumber, Inherited)] {
        &self.descriptors
    }

    /// Gives the descriptors to a context. It owns them alone if it is the only context.
    pub(crate) fn give(self, builder: &mut SandsockCtxBuilder) {
        for (number, descriptor) in self.descriptors {
            builder.inherit(number.0, descriptor);
        }
    }

    /// Returns the variables by which the guest finds the descriptors of socket activation. They
    /// are the ones from 3 on, up to the first gap.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let Some(activation) = &self.activation else { return Vec::new() };
        let has = |number| self.descriptors.iter().any(|(taken, _)| taken.0 == number);
        let count = (LISTEN_START..LISTEN_START + activation.count)
            .take_while(|&number| has(number))
            .count();
        let names: Vec<&str> = activation.names.iter().take(count).map(String::as_str).collect();
        if count == 0 { Vec::new() } else { listen_environment(count, &names) }
    }
}

/// Returns the variables of man 3 sd_listen_fds for a guest that gets `count` descriptors.
pub(crate) fn listen_environment(count: usize, names: &[&str]) -> Vec<(String, String)> {
    let mut variables = vec![
        ("LISTEN_FDS".to_owned(), count.to_string()),
        ("LISTEN_PID".to_owned(), GUEST_PID.to_owned()),
    ];
    if !names.is_empty() {
        variables.push(("LISTEN_FDNAMES".to_owned(), names.join(":")));
    }
    variables
}

impl Activation {
    /// Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES. The error says why they can't be used.
    fn from_environment() -> anyhow::Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let Some(count) = variable("LISTEN_FDS") else {
            bail!("LISTEN_FDS is not set, so no service manager has handed over a descriptor");
        };
        let own = std::process::id();
        match variable("LISTEN_PID").map(|pid| pid.parse::<u32>()) {
            Some(Ok(pid)) if pid == own => {}
            Some(Ok(pid)) => bail!(
                "LISTEN_PID is {pid} and this is process {own}, so LISTEN_FDS is for another process"
            ),
            Some(Err(_)) => bail!("LISTEN_PID is not a process id"),
            None => bail!("LISTEN_PID is not set, so LISTEN_FDS may be for another process"),
        }
        let count = match count.parse::<i32>() {
            Ok(count) if (1..=4096).contains(&count) => count,
            _ => bail!("LISTEN_FDS is not a number from 1 to 4096"),
        };
        let names =
            variable("LISTEN_FDNAMES").map(|names| names.split(':').map(str::to_owned).collect());
        Ok(Self { count, names: names.unwrap_or_default() })
    }

    fn name(&self, number: i32) -> Option<&str> {
        let at = usize::try_from(number.checked_sub(LISTEN_START)?).ok()?;
        self.names.get(at).map(String::as_str)
    }
}
