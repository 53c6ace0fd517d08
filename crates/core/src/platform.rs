//! What an image runs on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Operating system and architecture of an image, in the words of the OCI image specification: `linux/arm64/v8`.
///
/// In documents it is this one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a platform is `OS/ARCHITECTURE[/VARIANT]`, as in `linux/amd64`")]
pub struct PlatformError;

impl Platform {
    /// Makes a platform. Two ways to write the same one are one: `arm64/v8` is `arm64`, `arm` is `arm/v7`, `amd64/v1` is
    /// `amd64`, and the names of kernels are read too (`x86_64`, `aarch64`).
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Result<Self, PlatformError> {
        let good = |text: &str| {
            (1..=32).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        if !good(os)
            || !good(architecture)
            || variant.is_some_and(|variant| !variant.is_empty() && !good(variant))
        {
            return Err(PlatformError);
        }
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = match (architecture, variant.unwrap_or("")) {
            ("arm64", "v8" | "8") | ("amd64", "v1") => "",
            ("arm", "" | "7") => "v7",
            (_, variant) => variant,
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        })
    }

    /// Linux on this machine's architecture.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// The operating system.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant, where it is not the usual one.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// How well an image for `self` runs where `wanted` is asked for: 0 is exactly that, more is an older variant of the
    /// same architecture, nothing is not at all.
    pub fn serves(&self, wanted: &Self) -> Option<u32> {
        if self.os != wanted.os || self.architecture != wanted.architecture {
            return None;
        }
        let level = |platform: &Self| {
            let variant = platform.variant.as_deref();
            match platform.architecture.as_str() {
                // What is left out is the oldest there (see `new`).
                "amd64" => variant.unwrap_or("v1").strip_prefix('v')?.parse::<u32>().ok(),
                "arm64" => variant.unwrap_or("v8").strip_prefix('v')?.parse().ok(),
                "arm" => variant?.strip_prefix('v')?.parse().ok(),
                _ => None,
            }
        };
        if self.variant == wanted.variant {
            return Some(0);
        }
        level(wanted)?.checked_sub(level(self)?)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant, None) if variant != Some("") => {
                Self::new(os, architecture, variant)
            }
            _ => Err(PlatformError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn one_platform_has_one_text() {
        for (text, written) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
        ] {
            assert_eq!(platform(text).to_string(), written);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux/amd64/", "linux/am d64"] {
            assert_eq!(text.parse::<Platform>(), Err(PlatformError), "{text}");
        }
    }

    #[test]
    fn an_older_variant_serves_and_a_newer_one_does_not() {
        let serves = |have: &str, want: &str| platform(have).serves(&platform(want));
        assert_eq!(serves("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(serves("linux/arm64", "linux/arm64/v9"), Some(1));
        assert_eq!(serves("linux/arm64/v9", "linux/arm64"), None);
        assert_eq!(serves("linux/arm/v6", "linux/arm/v7"), Some(1));
        assert_eq!(serves("linux/amd64/v3", "linux/amd64"), None);
        assert_eq!(serves("linux/amd64", "linux/amd64/v3"), Some(2));
        assert_eq!(serves("linux/amd64", "linux/arm64"), None);
        assert_eq!(serves("windows/amd64", "linux/amd64"), None);
        assert_eq!(serves("linux/riscv64", "linux/riscv64"), Some(0));
    }
}
