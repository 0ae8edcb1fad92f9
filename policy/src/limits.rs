//! The limits of an instance, and the token bucket for rates.

use std::time::{Duration, Instant};

use crate::error::ParseError;
use crate::error::{GrantError, suggestion};
use crate::text::decimal;

/// A row of [`Limits::TABLE`].
#[derive(Clone, Copy)]
pub struct LimitInfo {
    /// Its word.
    pub name: &'static str,
    /// The default.
    pub default: u64,
    /// The least value that makes sense.
    pub least: u64,
    /// The greatest value that the host can keep.
    pub most: u64,
    /// What it counts, and what a guest gets that exceeds it.
    pub about: &'static str,
    get: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
}

impl std::fmt::Debug for LimitInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitInfo")
            .field("name", &self.name)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $field:ident $name:literal = $default:literal, $least:literal ..= $most:literal, $about:literal;)+) => {
        /// The limits of one instance.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl Limits {
            /// Every limit: its word, default, range and meaning.
            pub const TABLE: &[LimitInfo] = &[$(LimitInfo {
                name: $name,
                default: $default,
                least: $least,
                most: $most,
                about: $about,
                get: |limits| limits.$field,
                set: |limits, value| limits.$field = value,
            }),+];
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
    };
}

limits! {
    /// Descriptors open at once.
    descriptors "descriptors" = 1024, 0..=1_048_576, "descriptors open at once; beyond it: EMFILE";
    /// Descriptors sent with SCM_RIGHTS and not received yet.
    rights_in_flight "rights-in-flight" = 64, 0..=16_384, "descriptors sent and not yet received; beyond it: ETOOMANYREFS";
    /// Look-ups begun a second.
    lookups_per_second "lookups-per-second" = 64, 0..=1_000_000, "look-ups begun in a second; beyond it a look-up waits, or fails with EAGAIN";
    /// Look-ups under way at once.
    lookups_pending "lookups-pending" = 8, 0..=4_096, "look-ups under way at once; beyond it: EAGAIN";
    /// Pollers open at once.
    pollers "pollers" = 16, 0..=65_536, "pollers open at once; beyond it: EMFILE";
    /// Sessions of TLS at once.
    tls_sessions "tls-sessions" = 1024, 0..=1_048_576, "sessions of TLS at once; beyond it: EMFILE";
    /// Handshakes of TLS begun a second.
    tls_handshakes "tls-handshakes" = 1000, 0..=1_000_000, "handshakes of TLS begun in a second; beyond it: EDQUOT";
    /// Entries of one poll or poller.
    poll_entries "poll-entries" = 10_000, 0..=1_048_576, "entries of one poll or poller; beyond it: EINVAL or ENOSPC";
    /// Bytes of one transfer.
    transfer_bytes "transfer-bytes" = 1_048_576, 1..=67_108_864, "bytes of a stream that one call moves; the next call moves the rest";
    /// Bytes of memory of the guest: all of its memories and tables. The store is the embedder's,
    /// so the embedder enforces this limit with a `wasmtime::ResourceLimiter`, as the command does.
    memory_bytes "memory-bytes" = 1_073_741_824, 0..=1_099_511_627_776, "bytes of the guest's memory; beyond it memory does not grow, and most guests trap";
    /// Names of UNIX sockets in folders. They outlive the instance that made them, and so they are
    /// counted for all the instances of one builder together, until they are gone from the folder.
    unix_names "unix-names" = 1024, 0..=1_048_576, "names of UNIX sockets that were made in folders and still exist; beyond it: ENOSPC";
    /// Bytes that the kernel holds, or may come to hold, in the buffers of the guest's sockets. The
    /// default leaves 1,024 sockets of each kind with Linux's default sizes (net.core.wmem_default
    /// and rmem_default, 212,992 each).
    buffer_bytes "buffer-bytes" = 671_088_640, 0..=1_099_511_627_776, "bytes that the kernel may hold in the buffers of sockets; beyond it a send waits, and a new socket fails with ENOBUFS";
    /// Threads of a guest with threads, beside its first one.
    threads "threads" = 1024, 0..=65_536, "threads of a Python script beside its first one; beyond it: can't start new thread";
    /// Bytes of control data of one message.
    control_bytes "control-bytes" = 262_144, 0..=16_777_216, "bytes of control data of one message; beyond it: ENOBUFS";
}

impl Limits {
    /// The limits with their words, as they are.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Self::TABLE.iter().map(|info| (info.name, (info.get)(self)))
    }

    fn info(name: &str) -> Result<&'static LimitInfo, ParseError> {
        Self::TABLE.iter().find(|info| info.name == name).ok_or_else(|| {
            let names: Vec<_> = Self::TABLE.iter().map(|info| info.name).collect();
            let suggestion = suggestion(name, names.iter().copied());
            ParseError::new(
                0,
                format!("unknown limit `{}`", name.escape_debug()),
                format!("limits are {}{suggestion}", names.join(", ")),
            )
        })
    }

    /// Sets a limit by its word.
    pub(super) fn set(&mut self, name: &str, value: Option<u64>) -> Result<(), LimitError> {
        let info = Self::info(name).map_err(LimitError::Name)?;
        let value =
            value.filter(|value| (info.least..=info.most).contains(value)).ok_or_else(|| {
                LimitError::Value(ParseError::new(
                    0,
                    format!("wrong value for `{name}`"),
                    format!("write a number from {} to {}", info.least, info.most),
                ))
            })?;
        (info.set)(self, value);
        Ok(())
    }

    /// Sets a limit from `NAME=N`.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the number is none or out of range.
    pub fn parse(&mut self, text: &str) -> Result<(), GrantError> {
        let Some((name, value)) = text.split_once('=') else {
            let known = Self::info(text).map(drop);
            let missing = || {
                ParseError::new(
                    text.len(),
                    "the value is missing",
                    format!("write NAME=N, as in {text}=64"),
                )
            };
            return Err(GrantError::new(text, known.err().unwrap_or_else(missing)));
        };
        self.set(name, decimal(value)).map_err(|error| {
            let error = match error {
                LimitError::Name(error) => error,
                LimitError::Value(error) => error.shifted((name.len() + 1).min(text.len())),
            };
            GrantError::new(text, error)
        })
    }
}

/// Which half of a limit is wrong.
#[derive(Debug)]
pub(super) enum LimitError {
    /// Its word.
    Name(ParseError),
    /// Its value.
    Value(ParseError),
}

/// A bucket that fills at a rate and from which each action takes one token.
///
/// It is pure: the caller says what time it is.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: u64,
    /// Billionths of a token that it holds at most.
    capacity: u128,
    /// Billionths of a token in it.
    level: u128,
    filled: Instant,
}

/// One token. A token a second is then one of these a nanosecond.
const TOKEN: u128 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket that fills with `rate` tokens a second and holds `burst`.
    pub fn new(rate: u64, burst: u64, now: Instant) -> Self {
        let capacity = u128::from(burst) * TOKEN;
        Self { rate, capacity, level: capacity, filled: now }
    }

    /// Fills with another rate from now on, and holds as many tokens.
    pub fn set_rate(&mut self, rate: u64) {
        if rate != self.rate {
            self.rate = rate;
            self.capacity = u128::from(rate) * TOKEN;
            self.level = self.level.min(self.capacity);
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    ///
    /// The bucket is empty. The error is the time until it has a token, or [`Duration::MAX`] if it
    /// never will.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let gain = now
            .saturating_duration_since(self.filled)
            .as_nanos()
            .saturating_mul(u128::from(self.rate));
        self.level = self.level.saturating_add(gain).min(self.capacity);
        self.filled = self.filled.max(now);
        if self.level >= TOKEN {
            self.level -= TOKEN;
            return Ok(());
        }
        if self.rate == 0 || self.capacity < TOKEN {
            return Err(Duration::MAX);
        }
        let missing = (TOKEN - self.level).div_ceil(u128::from(self.rate));
        Err(Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_default_is_the_tables() {
        let limits = Limits::default();
        for info in Limits::TABLE {
            assert_eq!((info.get)(&limits), info.default, "{}", info.name);
            assert!((info.least..=info.most).contains(&info.default), "{}", info.name);
        }
        assert_eq!(limits.descriptors, 1024);
        assert_eq!(limits.control_bytes, 256 * 1024);
    }

    #[test]
    fn limit_set_by_each_word_reaches_its_own_field() {
        for info in Limits::TABLE {
            let mut limits = Limits::default();
            limits.parse(&format!("{}=7", info.name)).unwrap();
            for (name, value) in limits.iter() {
                let default = Limits::info(name).unwrap().default;
                assert_eq!(value, if name == info.name { 7 } else { default }, "{name}");
            }
        }
    }

    #[test]
    fn limit_unknown_word_lists_the_words() {
        let error = Limits::default().parse("descriptor=7").unwrap_err().to_string();
        assert!(
            error.starts_with("at character 1: unknown limit `descriptor`; limits are descriptors, rights-in-flight"),
            "{error}"
        );
        assert!(error.ends_with("did you mean descriptors?"), "{error}");
    }

    #[test]
    fn limit_bad_value_tells_the_range() {
        let missing = Limits::default().parse("descriptors").unwrap_err().to_string();
        assert_eq!(
            missing,
            "at character 12: the value is missing; write NAME=N, as in descriptors=64"
        );
        for text in [
            "descriptors=",
            "descriptors=-1",
            "descriptors=1048577",
            "descriptors=+4",
            "descriptors=99999999999999999999999",
        ] {
            let error = Limits::default().parse(text).unwrap_err();
            assert!(error.to_string().contains("write a number from 0 to 1048576"), "{error}");
            assert!(error.offset() <= text.len());
        }
        assert!(Limits::default().parse("transfer-bytes=0").is_err());
    }

    #[test]
    fn bucket_gives_its_burst_then_its_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(4, 2, start);
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(Duration::from_millis(250)));
        assert_eq!(
            bucket.take(start + Duration::from_millis(100)),
            Err(Duration::from_millis(150))
        );
        assert_eq!(bucket.take(start + Duration::from_millis(250)), Ok(()));
        // An hour fills it no further than its burst.
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.take(later), Ok(()));
        assert_eq!(bucket.take(later), Ok(()));
        assert!(bucket.take(later).is_err());
    }

    #[test]
    fn bucket_of_another_rate_fills_by_it() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(4, 4, start);
        bucket.set_rate(1);
        assert_eq!(bucket.take(start), Ok(()));
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        bucket.set_rate(2);
        assert_eq!(bucket.take(start), Err(Duration::from_millis(500)));
        assert_eq!(bucket.take(start + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn bucket_clock_going_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(1, 1, start);
        assert_eq!(bucket.take(start), Ok(()));
        assert!(bucket.take(start - Duration::from_secs(5)).is_err());
        assert!(bucket.take(start).is_err());
        assert_eq!(bucket.take(start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn bucket_of_rate_or_burst_zero_never_gives_more() {
        let now = Instant::now();
        assert_eq!(TokenBucket::new(64, 0, now).take(now), Err(Duration::MAX));
        let mut bucket = TokenBucket::new(0, 1, now);
        assert_eq!(bucket.take(now), Ok(()));
        assert_eq!(bucket.take(now + Duration::from_secs(9)), Err(Duration::MAX));
    }
}
