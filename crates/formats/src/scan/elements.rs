//! Counting NaN and infinite elements of one tensor.

use super::width;
use crate::data::Plain;

/// What is known of the elements that were given.
#[derive(Debug)]
pub(super) struct Elements {
    plain: Plain,
    nan: u64,
    infinite: u64,
    bytes: u64,
    /// Bytes of an element that the last piece cut.
    cut: Vec<u8>,
    /// The first element, once it is known.
    first: Option<Vec<u8>>,
    constant: bool,
}

impl Elements {
    pub(super) const fn new(plain: Plain) -> Self {
        Self { plain, nan: 0, infinite: 0, bytes: 0, cut: Vec::new(), first: None, constant: true }
    }

    /// Takes the next bytes of the tensor.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let width = width(self.plain);
        let mut rest = bytes;
        if !self.cut.is_empty() {
            let missing = (width - self.cut.len()).min(rest.len());
            let (now, later) = rest.split_at(missing);
            self.cut.extend_from_slice(now);
            rest = later;
            if self.cut.len() < width {
                return;
            }
            let whole = std::mem::take(&mut self.cut);
            self.whole(&whole);
        }
        let (whole, cut) = rest.split_at(rest.len() - rest.len() % width);
        self.cut.extend_from_slice(cut);
        if !whole.is_empty() {
            self.whole(whole);
        }
    }

    /// Takes whole elements.
    fn whole(&mut self, bytes: &[u8]) {
        let (nan, infinite) = count(self.plain, bytes);
        self.nan += nan;
        self.infinite += infinite;
        if self.constant {
            let width = width(self.plain);
            let first = bytes.get(..width).unwrap_or_default();
            let known = self.first.get_or_insert_with(|| first.to_vec());
            // Each element equals the one before it.
            self.constant = known == first && bytes.get(width..) == bytes.get(..bytes.len() - width);
        }
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn count(&self) -> u64 {
        self.bytes / width(self.plain) as u64
    }

    /// How many are NaN, and how many infinite.
    pub(super) const fn odd(&self) -> (u64, u64) {
        (self.nan, self.infinite)
    }

    pub(super) fn is_constant(&self) -> bool {
        self.constant && self.first.is_some()
    }
}

/// NaN and infinite elements among whole ones.
fn count(plain: Plain, bytes: &[u8]) -> (u64, u64) {
    match plain {
        Plain::F64 => wide::<8>(bytes, |element| {
            let bits = u64::from_le_bytes(element) & 0x7fff_ffff_ffff_ffff;
            (bits > 0x7ff0_0000_0000_0000, bits == 0x7ff0_0000_0000_0000)
        }),
        Plain::F32 => wide::<4>(bytes, |element| {
            let bits = u32::from_le_bytes(element) & 0x7fff_ffff;
            (bits > 0x7f80_0000, bits == 0x7f80_0000)
        }),
        Plain::F16 => wide::<2>(bytes, |element| {
            let bits = u16::from_le_bytes(element) & 0x7fff;
            (bits > 0x7c00, bits == 0x7c00)
        }),
        Plain::Bf16 => wide::<2>(bytes, |element| {
            let bits = u16::from_le_bytes(element) & 0x7fff;
            (bits > 0x7f80, bits == 0x7f80)
        }),
        Plain::F8E4M3 => wide::<1>(bytes, |[byte]| (byte & 0x7f == 0x7f, false)),
        Plain::F8E5M2 => wide::<1>(bytes, |[byte]| (byte & 0x7f > 0x7c, byte & 0x7f == 0x7c)),
    }
}

/// Sums over pieces that are short enough for 32-bit counters, which compilers turn into vector instructions.
fn wide<const N: usize>(bytes: &[u8], odd: impl Fn([u8; N]) -> (bool, bool)) -> (u64, u64) {
    let (elements, _) = bytes.as_chunks::<N>();
    let (mut nan, mut infinite) = (0u64, 0u64);
    for piece in elements.chunks(1 << 16) {
        let (mut nans, mut infinites) = (0u32, 0u32);
        for element in piece {
            let (is_nan, is_infinite) = odd(*element);
            nans += u32::from(is_nan);
            infinites += u32::from(is_infinite);
        }
        nan += u64::from(nans);
        infinite += u64::from(infinites);
    }
    (nan, infinite)
}
