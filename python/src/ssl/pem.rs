//! PEM: the sections of a text, and their bytes.

use base64ct::{Base64, Encoding as _};

/// A section of a PEM text: the words of its first line, and its lines without those of the ends.
pub(super) struct Section<'a> {
    pub(super) label: &'a str,
    body: &'a str,
}

impl Section<'_> {
    /// Returns the bytes. None if they are not in base64.
    pub(super) fn decode(&self) -> Option<Vec<u8>> {
        let text: String = self.body.split_ascii_whitespace().collect();
        Base64::decode_vec(&text).ok()
    }

    /// Whether lines of headers come before the bytes, as in keys of the old encrypted form.
    pub(super) fn has_headers(&self) -> bool {
        self.body.contains(':')
    }
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Returns the whole sections of a text. Text around them is left out.
pub(super) fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections = Vec::new();
    let mut rest = text;
    while let Some(section) = next(&mut rest) {
        sections.push(section);
    }
    sections
}

fn next<'a>(rest: &mut &'a str) -> Option<Section<'a>> {
    let (_, after) = rest.split_once(BEGIN)?;
    let (label, after) = after.split_once(DASHES)?;
    let (body, after) = after.split_once(END)?;
    *rest = after;
    Some(Section { label, body })
}

/// Returns the text of a certificate, as OpenSSL writes it.
pub(super) fn encode_certificate(der: &[u8]) -> String {
    let encoded = Base64::encode_string(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // base64 is ASCII.
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END CERTIFICATE-----\n"
}

/// Whether a label is that of a certificate.
pub(super) fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
}
