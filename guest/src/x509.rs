//! The names in a certificate, as one line of text each.

use std::fmt::Write as _;

/// The ASN.1 tags that are looked at: X.690, section 8.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
/// RFC 5280: the tag of a certificate's version, which comes first if it is there.
const VERSION: u8 = 0xa0;

/// Returns the subject and the issuer of a certificate in DER, for a person, in the form of
/// OpenSSL's `X509_NAME_oneline`: `/C=US/O=Example/CN=api.example`. None if it can't be decoded.
pub(crate) fn names(certificate: &[u8]) -> Option<(String, String)> {
    let mut rest = certificate;
    let mut certificate = of(SEQUENCE, &mut rest)?;
    let mut fields = of(SEQUENCE, &mut certificate)?;
    // The serial number is the first field in version 1.
    if next(&mut fields)?.0 == VERSION {
        next(&mut fields)?;
    }
    let _signature = of(SEQUENCE, &mut fields)?;
    let issuer = of(SEQUENCE, &mut fields)?;
    let _validity = of(SEQUENCE, &mut fields)?;
    let subject = of(SEQUENCE, &mut fields)?;
    Some((line(subject)?, line(issuer)?))
}

/// Takes the next element off the front, and returns its tag and its contents.
fn next<'a>(der: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [tag, first, rest @ ..] = *der else { return None };
    let (length, rest) = match *first {
        // A long form has this number of bytes.
        form @ 0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(form & 0x7f))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        short @ 0..=0x7f => (usize::from(short), rest),
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some((*tag, contents))
}

/// Takes the next element if it has this tag.
fn of<'a>(tag: u8, der: &mut &'a [u8]) -> Option<&'a [u8]> {
    next(der).filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
}

/// Returns a distinguished name as one line.
fn line(mut name: &[u8]) -> Option<String> {
    let mut line = String::new();
    while !name.is_empty() {
        let mut set = of(SET, &mut name)?;
        while !set.is_empty() {
            let mut attribute = of(SEQUENCE, &mut set)?;
            let object = of(OBJECT, &mut attribute)?;
            let (_, value) = next(&mut attribute)?;
            line.push('/');
            push_object(&mut line, object);
            line.push('=');
            for &byte in value {
                match byte {
                    b' '..=b'~' => line.push(byte.into()),
                    // A String takes everything.
                    _ => {
                        let _ = write!(line, "\\x{byte:02X}");
                    }
                }
            }
        }
    }
    Some(line)
}

/// Adds the short name of an attribute's type, or its number.
fn push_object(line: &mut String, object: &[u8]) {
    // RFC 4519, and RFC 2985 for the last one.
    let name = match object {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 4] => "SN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "street",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 12] => "title",
        [0x55, 4, 42] => "GN",
        [0x55, 4, 43] => "initials",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => return push_number(line, object),
    };
    line.push_str(name);
}

/// Adds an object identifier in numbers: X.690, section 8.19.
fn push_number(line: &mut String, object: &[u8]) {
    let (mut number, mut is_first) = (0u64, true);
    for &byte in object {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // The first two numbers are one. A String takes everything.
        let _ = if std::mem::take(&mut is_first) {
            let top = (number / 40).min(2);
            write!(line, "{top}.{}", number - top * 40)
        } else {
            write!(line, ".{number}")
        };
        number = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of at most 127 bytes.
    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let length = u8::try_from(contents.len()).expect("a short element");
        assert!(length < 0x80);
        [&[tag, length][..], &contents].concat()
    }

    fn attribute(object: &[u8], value: &[u8]) -> Vec<u8> {
        let (object, value) = (element(OBJECT, &[object]), element(0x0c, &[value]));
        element(SET, &[&element(SEQUENCE, &[&object, &value])])
    }

    fn certificate(version: &[u8], subject: &[&[u8]], issuer: &[&[u8]]) -> Vec<u8> {
        let (serial, empty) = (element(2, &[&[1]]), element(SEQUENCE, &[]));
        let (subject, issuer) = (element(SEQUENCE, subject), element(SEQUENCE, issuer));
        let fields = element(SEQUENCE, &[version, &serial, &empty, &issuer, &empty, &subject]);
        element(SEQUENCE, &[&fields, &empty])
    }

    #[test]
    fn names_are_one_line_each() {
        let country = attribute(&[0x55, 4, 6], b"US");
        let name = attribute(&[0x55, 4, 3], "caf\u{e9}".as_bytes());
        let other = attribute(&[0x2a, 0x86, 0x48, 0x01], b"x");
        let version = element(VERSION, &[&element(2, &[&[2]])]);
        for version in [&*version, &[]] {
            let der = certificate(version, &[&country, &name], &[&other]);
            let expected = ("/C=US/CN=caf\\xC3\\xA9".to_owned(), "/1.2.840.1=x".to_owned());
            assert_eq!(names(&der), Some(expected));
            for end in 0..der.len() {
                assert_eq!(names(&der[..end]), None, "cut after {end}");
            }
        }
    }

    #[test]
    fn lengths_of_all_forms_are_read() {
        for (head, length) in [
            (&[4, 5][..], 5),
            (&[4, 0x81, 200][..], 200),
            (&[4, 0x82, 1, 2][..], 258),
            (&[4, 0x83, 1, 0, 0][..], 65536),
        ] {
            let der = [head, &vec![7; length], b"rest"].concat();
            let mut rest = &der[..];
            assert_eq!(next(&mut rest), Some((4, &*vec![7; length])));
            assert_eq!(rest, b"rest");
        }
        for bad in [&[4, 0x80, 0, 0][..], &[4, 0x84, 0, 0, 0, 0], &[4, 0xff], &[4], &[]] {
            assert_eq!(next(&mut &*bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = names(&bytes);
        }
    }
}
