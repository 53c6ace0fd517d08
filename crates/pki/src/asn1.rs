//! The little DER that is walked by hand: CMS signed data, time-stamp infos, and the head of a revocation list.
//!
//! Why by hand: `cms` 0.2 and `x509-tsp` 0.1 need another `der` than the rest of the workspace, and `cms` 0.3 is a
//! pre-release; both also insist on sorted sets, which signers do not always write. `der` reads each element.

use der::asn1::ObjectIdentifier;
use der::{Decode, Header, Reader, SliceReader, Tag};

/// One element: tag, content, and all of its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    pub(crate) content: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Why an element cannot be read, for people.
pub(crate) type Reason = String;

/// Lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.extend(
            [byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)),
        );
        text
    })
}

impl<'a> Element<'a> {
    /// The one element that `bytes` is; nothing may follow it.
    pub(crate) fn whole(bytes: &'a [u8]) -> Result<Self, Reason> {
        let mut parts = Parts::new(bytes)?;
        let element = parts.next("an element")?;
        parts.end()?;
        Ok(element)
    }

    /// The elements inside, when this is a `SEQUENCE`.
    pub(crate) fn sequence(&self, what: &str) -> Result<Parts<'a>, Reason> {
        self.expect(Tag::Sequence, what)?;
        Parts::new(self.content)
    }

    /// The elements inside, when this is a `SET`; at most `limit`.
    pub(crate) fn set(&self, limit: usize, what: &str) -> Result<Vec<Self>, Reason> {
        self.expect(Tag::Set, what)?;
        Parts::new(self.content)?.rest(limit, what)
    }

    /// The elements inside of any constructed element.
    pub(crate) fn inside(&self) -> Result<Parts<'a>, Reason> {
        if self.tag.is_constructed() {
            Parts::new(self.content)
        } else {
            Err(format!("{} holds no elements", self.tag))
        }
    }

    pub(crate) fn oid(&self, what: &str) -> Result<ObjectIdentifier, Reason> {
        ObjectIdentifier::from_der(self.raw).map_err(|error| format!("{what}: {error}"))
    }

    pub(crate) fn octets(&self, what: &str) -> Result<&'a [u8], Reason> {
        self.expect(Tag::OctetString, what)?;
        Ok(self.content)
    }

    /// A small integer that is not negative.
    pub(crate) fn small(&self, what: &str) -> Result<u8, Reason> {
        u8::from_der(self.raw).map_err(|error| format!("{what}: {error}"))
    }

    /// Is this `[number]`, as a constructed or a plain element?
    pub(crate) fn is_context(&self, number: u32) -> bool {
        self.tag.is_context_specific() && self.tag.number().value() == number
    }

    pub(crate) fn expect(&self, tag: Tag, what: &str) -> Result<(), Reason> {
        if self.tag == tag { Ok(()) } else { Err(format!("{what}: expected {tag}, found {}", self.tag)) }
    }
}

/// Elements one after another.
#[derive(Debug)]
pub(crate) struct Parts<'a>(SliceReader<'a>);

impl<'a> Parts<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Reason> {
        SliceReader::new(bytes).map(Self).map_err(|error| error.to_string())
    }

    /// The next element; it must be there.
    pub(crate) fn next(&mut self, what: &str) -> Result<Element<'a>, Reason> {
        let read = |reader: &mut SliceReader<'a>| -> der::Result<Element<'a>> {
            let header = Header::peek(reader)?;
            let raw = reader.tlv_bytes()?;
            let length = usize::try_from(header.length())?;
            let start = raw.len().checked_sub(length).ok_or(der::ErrorKind::Overflow)?;
            Ok(Element { tag: header.tag(), content: raw.get(start..).unwrap_or_default(), raw })
        };
        read(&mut self.0).map_err(|error| format!("{what}: {error}"))
    }

    /// The next element when `is` says so, for what may be left out.
    pub(crate) fn next_if(
        &mut self,
        is: impl Fn(&Element<'a>) -> bool,
        what: &str,
    ) -> Result<Option<Element<'a>>, Reason> {
        if self.0.is_finished() {
            return Ok(None);
        }
        let mut ahead = Parts(self.0.clone());
        let element = ahead.next(what)?;
        if is(&element) {
            *self = ahead;
            return Ok(Some(element));
        }
        Ok(None)
    }

    /// All that is left, at most `limit` elements.
    pub(crate) fn rest(mut self, limit: usize, what: &str) -> Result<Vec<Element<'a>>, Reason> {
        let mut all = Vec::new();
        while !self.0.is_finished() {
            if all.len() == limit {
                return Err(format!("{what}: more than {limit}"));
            }
            all.push(self.next(what)?);
        }
        Ok(all)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Reason> {
        if self.0.is_finished() { Ok(()) } else { Err("something follows the last element".to_owned()) }
    }
}
