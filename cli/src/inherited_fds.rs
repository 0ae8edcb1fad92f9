//! `--inherit`: the descriptors that this command inherited and hands over, among them those of
//! socket activation (man 3 sd_listen_fds).

use anyhow::{Context as _, bail};
use sandsock_host::policy::DescriptorNumber;
use sandsock_host::{Inherited, SandsockCtxBuilder};

/// man 3 sd_listen_fds: SD_LISTEN_FDS_START.
pub(crate) const LISTEN_START: i32 = 3;

/// What wasi-libc's getpid() answers in every guest: a guest that checks LISTEN_PID finds itself.
const GUEST_PID: &str = "42";

/// The descriptors to hand over, by their numbers, which stay what they are.
#[derive(Clone)]
pub(crate) struct InheritedFds {
    descriptors: Vec<(DescriptorNumber, Inherited)>,
    activation: Option<Activation>,
}

/// What the service manager said.
#[derive(Clone)]
struct Activation {
    count: i32,
    names: Vec<String>,
}

impl InheritedFds {
    /// Takes over what the words of `--inherit` say.
    pub(crate) fn new(words: &[String]) -> anyhow::Result<Self> {
        let mut handed = Self { descriptors: Vec::new(), activation: None };
        if words.is_empty() {
            return Ok(handed);
        }
        let activation = Activation::from_environment();
        for word in words {
            match (word.as_str(), &activation) {
                ("listen", Err(error)) => bail!("--inherit listen: {error}"),
                ("listen", Ok(activation)) => {
                    for number in LISTEN_START..LISTEN_START + activation.count {
                        handed.take(DescriptorNumber(number), "listen", Some(activation))?;
                    }
                }
                (number, activation) => {
                    let number = number.parse().with_context(|| format!("--inherit {number}"))?;
                    handed.take(number, word, activation.as_ref().ok())?;
                }
            }
        }
        handed.activation = activation.ok();
        Ok(handed)
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
        let descriptor = Inherited::of_process(number.0).with_context(|| {
            format!("--inherit {word}: {number} is nothing that this command inherited")
        })?;
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

    /// Gives them to a context, which has them alone unless there are more.
    pub(crate) fn give(self, builder: &mut SandsockCtxBuilder) {
        for (number, descriptor) in self.descriptors {
            builder.inherit(number.0, descriptor);
        }
    }

    /// The variables by which the guest finds the descriptors of socket activation: those from 3
    /// on, without a gap.
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

/// The variables of man 3 sd_listen_fds, for a guest that is handed so many descriptors.
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
    /// What LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say, or why there is nothing.
    fn from_environment() -> anyhow::Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let Some(count) = variable("LISTEN_FDS") else {
            bail!("LISTEN_FDS is not set: no service manager has handed anything over");
        };
        let own = std::process::id();
        match variable("LISTEN_PID").map(|pid| pid.parse::<u32>()) {
            Some(Ok(pid)) if pid == own => {}
            Some(Ok(pid)) => bail!(
                "LISTEN_PID is {pid} and this is process {own}: LISTEN_FDS is meant for another one"
            ),
            Some(Err(_)) => bail!("LISTEN_PID is no process id"),
            None => bail!("LISTEN_PID is not set: whom LISTEN_FDS is meant for can't be told"),
        }
        let count = match count.parse::<i32>() {
            Ok(count) if (1..=4096).contains(&count) => count,
            _ => bail!("LISTEN_FDS is no number from 1 to 4096"),
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
