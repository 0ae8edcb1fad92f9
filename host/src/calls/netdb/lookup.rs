//! A look-up of a name's addresses that goes on while the guest does something else, for
//! `wasi:sockets/ip-name-lookup`.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::PoisonError;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::hosts::{
    TEXT_MAX, in_hosts_file, is_digits_and_dots, judge_answers, judge_name, judge_zone,
};
use super::{LookupError, NAME_MAX};
use crate::authority::permit::{Permit, Resolve};
use crate::ctx::SandsockCtx;
use crate::descriptor::Quota;
use crate::error::CallResult;
use crate::sys::{self, Hints, Resolver, ResolverError};
use crate::wait::pool::{self, InstanceUsage, Job, Pool};
use crate::wait::registration::RegistrationCell;
use crate::wait::{PollableWaiter, now};
use sandsock_policy::normalise_name;

/// What is asked for: the addresses of both families.
const HINTS: Hints = Hints { family: 0, kind: libc::SOCK_STREAM, protocol: 0, flags: 0 };

/// The resolver's answer: the addresses, and the other names of the answer.
type Answer = Result<(Vec<sys::AddressInfo>, Vec<String>), ResolverError>;

/// A look-up that was begun.
pub(crate) struct Lookup {
    /// The name in the form that is judged.
    name: String,
    /// Whether rules deny names, so that the other names of the answer are judged too.
    other_names: bool,
    stage: Stage,
    /// The instance's part of the pools, and its pending look-ups.
    limits: (InstanceUsage, Quota),
    resolver: Resolver,
    registration: RegistrationCell,
}

enum Stage {
    /// The instance's rate allows the next question at this instant. The guest must ask again.
    Paused(u64, Permit<Resolve>),
    /// The hosts file is read. The permit comes back if the file has no answer.
    Tables(Job<Result<Answer, Permit<Resolve>>>),
    /// A name server is asked.
    Names(Job<Answer>),
    /// The resolver has answered, and the answer is not judged yet.
    Answered(Answer),
    /// The end. None if the result was taken.
    Done(Option<Result<Vec<IpAddr>, LookupError>>),
}

/// How a look-up begins.
pub(crate) enum Begun {
    /// The text is no name and no address.
    NoName,
    /// No question is asked.
    Addresses(Vec<IpAddr>),
    Lookup(Box<Lookup>),
}

impl Lookup {
    /// Begins a look-up: decides about the name, and asks as far as the limits allow.
    ///
    /// # Errors
    ///
    /// The name is denied, or its address is.
    pub(crate) fn begin(ctx: &mut SandsockCtx, host: &str) -> Result<Begun, LookupError> {
        if host.is_empty() || host.len() > TEXT_MAX {
            return Ok(Begun::NoName);
        }
        judge_zone(ctx, host)?;
        if let Some(address) = number(host) {
            return Ok(Begun::Addresses(vec![address]));
        }
        if is_digits_and_dots(host) || normalise_name(host).is_err() {
            return Ok(Begun::NoName);
        }
        let permit = judge_name(ctx, host, LookupError::Code(libc::EAI_NONAME))?;
        let name = permit.act().name().to_owned();
        if let Some(fixed) = ctx.gate.policy().fixed(&name) {
            let fixed = fixed.to_vec();
            return Ok(Begun::Addresses(judge_answers(ctx, &name, &[], fixed)?.kept));
        }
        let limits = (ctx.usage.clone(), ctx.lookup_quota.clone());
        let stage = Stage::Paused(0, permit);
        let other_names = ctx.gate.policy().denies_names();
        let registration = RegistrationCell::default();
        let resolver = ctx.resolver.clone();
        let mut lookup = Self { name, other_names, stage, limits, resolver, registration };
        lookup.go_on(ctx);
        Ok(Begun::Lookup(Box::new(lookup)))
    }

    /// Returns the addresses that the guest may get, once. None if they are not there yet.
    pub(crate) fn poll(
        &mut self,
        ctx: &mut SandsockCtx,
    ) -> Option<Result<Vec<IpAddr>, LookupError>> {
        self.go_on(ctx);
        match &mut self.stage {
            Stage::Done(result) => result.take(),
            _ => None,
        }
    }

    /// Waits until `poll` may have something to say.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn ready(&mut self, waiter: &PollableWaiter) -> Result<(), Errno> {
        loop {
            let done = match &self.stage {
                Stage::Paused(until, _) => return waiter.sleep(*until).await,
                Stage::Tables(job) => job.as_fd(),
                Stage::Names(job) => job.as_fd(),
                Stage::Answered(_) | Stage::Done(_) => return Ok(()),
            };
            waiter.ready(done, &self.registration, PollFlags::IN).await?;
            self.after_job();
        }
    }

    /// Goes from one stage to the next, as far as nothing must be waited for.
    fn go_on(&mut self, ctx: &mut SandsockCtx) {
        if let Stage::Paused(..) = self.stage
            && let Stage::Paused(_, permit) = self.take_stage()
        {
            self.stage = match ctx.take_lookup() {
                Ok(()) => self.ask_tables(permit).unwrap_or_else(|fault| failed(fault.into())),
                // The limit is 0: there is nothing to wait for.
                Err(Duration::MAX) => failed(Errno::AGAIN.into()),
                Err(pause) => {
                    let pause = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
                    Stage::Paused(now().saturating_add(pause), permit)
                }
            };
        }
        self.after_job();
        if let Stage::Answered(_) = self.stage
            && let Stage::Answered(answer) = self.take_stage()
        {
            self.stage = Stage::Done(Some(self.judge(ctx, answer)));
        }
    }

    fn take_stage(&mut self) -> Stage {
        *self.registration.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        std::mem::replace(&mut self.stage, Stage::Done(None))
    }

    /// Starts a job that counts as a pending look-up until it ends. EAGAIN if there are too many.
    fn start<R: Send + 'static>(
        &self,
        pool: &'static Pool,
        call: impl FnOnce() -> R + Send + 'static,
    ) -> CallResult<Job<R>> {
        let (usage, quota) = &self.limits;
        let place = quota.take().map_err(|_| Errno::AGAIN)?;
        Ok(pool.start(usage, move || {
            let result = call();
            drop(place);
            result
        })?)
    }

    fn ask_tables(&self, permit: Permit<Resolve>) -> CallResult<Stage> {
        let is_local = in_hosts_file(&self.resolver, &permit, HINTS.family);
        let (resolver, other_names) = (self.resolver.clone(), self.other_names);
        let job = self.start(&pool::TABLES, move || {
            if is_local() { Ok(ask(&resolver, permit, true, other_names)) } else { Err(permit) }
        })?;
        Ok(Stage::Tables(job))
    }

    fn ask_names(&self, permit: Permit<Resolve>) -> CallResult<Stage> {
        let (resolver, other_names) = (self.resolver.clone(), self.other_names);
        let call = move || ask(&resolver, permit, false, other_names);
        Ok(Stage::Names(self.start(&pool::NAMES, call)?))
    }

    /// Goes on if a job has ended.
    fn after_job(&mut self) {
        // A job without a result was not run.
        let lost = || Stage::Answered(Err(ResolverError::System(Errno::AGAIN)));
        let next = match &self.stage {
            Stage::Tables(job) if job.is_done() => match job.take() {
                Some(Ok(answer)) => Stage::Answered(answer),
                Some(Err(permit)) => {
                    self.ask_names(permit).unwrap_or_else(|fault| failed(fault.into()))
                }
                None => lost(),
            },
            Stage::Names(job) if job.is_done() => job.take().map_or_else(lost, Stage::Answered),
            _ => return,
        };
        self.take_stage();
        self.stage = next;
        // The second job may have ended by now.
        if let Stage::Names(job) = &self.stage
            && job.is_done()
        {
            self.after_job();
        }
    }

    /// Decides about the addresses, and pins those that the guest may get.
    fn judge(&self, ctx: &SandsockCtx, answer: Answer) -> Result<Vec<IpAddr>, LookupError> {
        let (answers, others) = answer?;
        let mut addresses = Vec::new();
        for address in answers.iter().filter_map(|info| info.address.to_ip()) {
            let address = address.ip().to_canonical();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(judge_answers(ctx, &self.name, &others, addresses)?.kept)
    }
}

fn ask(
    resolver: &Resolver,
    permit: Permit<Resolve>,
    in_hosts_file: bool,
    other_names: bool,
) -> Answer {
    resolver.get_address_info(permit, None, HINTS, sys::Lookup { in_hosts_file, other_names })
}

/// The address that a text is, in any notation of the system's parser.
fn number(host: &str) -> Option<IpAddr> {
    if let Some(bracketed) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return bracketed.parse::<Ipv6Addr>().ok().map(|v6| IpAddr::from(v6).to_canonical());
    }
    let text = sys::c_string(host).ok().filter(|_| host.len() <= NAME_MAX)?;
    let answers = sys::number_address_info(&text).ok()?;
    Some(answers.first()?.address.to_ip()?.ip().to_canonical())
}

fn failed(error: LookupError) -> Stage {
    Stage::Done(Some(Err(error)))
}
