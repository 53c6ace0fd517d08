//! QR codes, in the terminal and as a picture.

use crate::error::CliError;
use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};

/// A text as a QR code.
pub(crate) struct Qr(QrCode);

impl Qr {
    /// The code of a text; medium error correction.
    pub(crate) fn new(text: &str) -> Result<Self, CliError> {
        QrCode::with_error_correction_level(text, EcLevel::M).map(Self).map_err(CliError::internal)
    }

    /// Half blocks, two rows of the code a line. What is light in the code is drawn, so that it reads on a dark terminal;
    /// readers take it the other way round too.
    pub(crate) fn terminal(&self) -> String {
        let mut text = self
            .0
            .render::<unicode::Dense1x2>()
            .dark_color(unicode::Dense1x2::Light)
            .light_color(unicode::Dense1x2::Dark)
            .build();
        text.push('\n');
        text
    }

    /// A picture for print.
    pub(crate) fn svg(&self) -> String {
        let mut text = self.0.render::<svg::Color<'_>>().min_dimensions(256, 256).build();
        text.push('\n');
        text
    }
}
