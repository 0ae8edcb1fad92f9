//! Cipher suites: those that the host has, and OpenSSL's language of cipher strings over them.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::constants::{TLSV1_2, TLSV1_3};

/// How a server proves itself with a suite of TLS 1.2.
pub(super) const RSA: &str = "rsa";
pub(super) const ECDSA: &str = "ecdsa";

/// A cipher suite.
pub(super) struct Suite {
    /// IANA's number.
    pub(super) number: u16,
    /// OpenSSL's name.
    pub(super) name: &'static str,
    /// IANA's name.
    iana: &'static str,
    /// How the server proves itself. None with TLS 1.3, whose suites do not say so.
    pub(super) authentication: Option<&'static str>,
    cipher: &'static str,
    pub(super) bits: i32,
}

impl Suite {
    /// The lowest version of TLS that has the suite, as OpenSSL names it.
    pub(super) const fn version(&self) -> &'static str {
        if self.authentication.is_none() { "TLSv1.3" } else { "TLSv1.2" }
    }

    /// Whether a version between these two has the suite. Each suite is of one version.
    pub(super) const fn is_within(&self, (lowest, highest): (i32, i32)) -> bool {
        let version = if self.authentication.is_none() { TLSV1_3 } else { TLSV1_2 };
        lowest <= version && version <= highest
    }

    /// Whether a word of a cipher string names the suite.
    fn is_named(&self, word: &str) -> bool {
        let Some(authentication) = self.authentication else { return false };
        let is_aes = self.cipher != "chacha20-poly1305";
        match word {
            "ALL" | "DEFAULT" | "COMPLEMENTOFDEFAULT+ALL" | "HIGH" | "TLSv1.2" => true,
            "ECDH" | "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" => true,
            "aRSA" => authentication == RSA,
            "aECDSA" | "ECDSA" => authentication == ECDSA,
            "AES" | "AESGCM" | "FIPS" => is_aes,
            "AES128" => is_aes && self.bits == 128,
            "AES256" => is_aes && self.bits == 256,
            "CHACHA20" => !is_aes,
            word => word == self.name || word == self.iana,
        }
    }

    fn is_chosen(&self, term: &str) -> bool {
        term.split('+').all(|word| self.is_named(word))
    }

    /// Returns the dict of `get_ciphers`.
    pub(super) fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (kx, au) = match self.authentication {
            Some(RSA) => ("ECDH", "RSA"),
            Some(_) => ("ECDH", "ECDSA"),
            None => ("any", "any"),
        };
        let encryption = match self.cipher {
            "chacha20-poly1305" => "CHACHA20/POLY1305(256)".to_owned(),
            _ => format!("AESGCM({})", self.bits),
        };
        let (name, version) = (self.name, self.version());
        let dict = PyDict::new(py);
        // OpenSSL's identifiers have the version of SSL in front.
        dict.set_item("id", 0x0300_0000 | u32::from(self.number))?;
        dict.set_item("name", name)?;
        dict.set_item("protocol", version)?;
        let description =
            format!("{name:<30} {version:<7} Kx={kx:<8} Au={au:<5} Enc={encryption:<22} Mac=AEAD");
        dict.set_item("description", description)?;
        dict.set_item("strength_bits", self.bits)?;
        dict.set_item("alg_bits", self.bits)?;
        dict.set_item("aead", true)?;
        dict.set_item("symmetric", self.cipher)?;
        dict.set_item("digest", py.None())?;
        dict.set_item("kea", if kx == "any" { "kx-any" } else { "kx-ecdhe" })?;
        dict.set_item("auth", format!("auth-{}", self.authentication.unwrap_or("any")))?;
        Ok(dict)
    }
}

const fn suite(
    number: u16,
    name: &'static str,
    iana: &'static str,
    authentication: Option<&'static str>,
    cipher: &'static str,
    bits: i32,
) -> Suite {
    Suite { number, name, iana, authentication, cipher, bits }
}

const AES_128: &str = "aes-128-gcm";
const AES_256: &str = "aes-256-gcm";
const CHACHA: &str = "chacha20-poly1305";

/// The suites of the host's TLS library, the preferred ones first.
pub(super) static SUITES: [Suite; 9] = {
    let (rsa, ecdsa) = (Some(RSA), Some(ECDSA));
    [
        suite(0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", None, AES_256, 256),
        suite(
            0x1303,
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            None,
            CHACHA,
            256,
        ),
        suite(0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", None, AES_128, 128),
        suite(
            0xc02c,
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ecdsa,
            AES_256,
            256,
        ),
        suite(
            0xc030,
            "ECDHE-RSA-AES256-GCM-SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            rsa,
            AES_256,
            256,
        ),
        suite(
            0xc02b,
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            ecdsa,
            AES_128,
            128,
        ),
        suite(
            0xc02f,
            "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            rsa,
            AES_128,
            128,
        ),
        suite(
            0xcca9,
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            ecdsa,
            CHACHA,
            256,
        ),
        suite(
            0xcca8,
            "ECDHE-RSA-CHACHA20-POLY1305",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            rsa,
            CHACHA,
            256,
        ),
    ]
};

/// Returns a suite by IANA's number.
pub(super) fn find(number: u16) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.number == number)
}

/// Returns all suites by their places.
pub(super) fn all() -> Vec<&'static Suite> {
    SUITES.iter().collect()
}

/// Returns the suites that a cipher string chooses, those of TLS 1.3 first, which it can't change.
/// None if it chooses none of TLS 1.2. man 1 openssl-ciphers: the language.
pub(super) fn select(text: &str) -> Option<Vec<&'static Suite>> {
    let (fixed, mut available): (Vec<_>, Vec<_>) =
        SUITES.iter().partition(|suite| suite.authentication.is_none());
    let mut chosen: Vec<&Suite> = Vec::new();
    for term in text.split([':', ',', ';', ' ']).filter(|term| !term.is_empty()) {
        match term.as_bytes()[0] {
            b'!' => {
                available.retain(|suite| !suite.is_chosen(&term[1..]));
                chosen.retain(|suite| !suite.is_chosen(&term[1..]));
            }
            b'-' => chosen.retain(|suite| !suite.is_chosen(&term[1..])),
            b'+' => {
                let (moved, kept) =
                    chosen.iter().copied().partition::<Vec<_>, _>(|s| s.is_chosen(&term[1..]));
                chosen = [kept, moved].concat();
            }
            b'@' => {
                if term == "@STRENGTH" {
                    chosen.sort_by_key(|suite| -suite.bits);
                }
            }
            _ => {
                for suite in &available {
                    let is_new = chosen.iter().all(|other| other.number != suite.number);
                    if is_new && suite.is_chosen(term) {
                        chosen.push(suite);
                    }
                }
            }
        }
    }
    (!chosen.is_empty()).then(|| [fixed, chosen].concat())
}
