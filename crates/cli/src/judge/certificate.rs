//! Signers who show a certificate: whose is taken, and what it turned out to be.

use super::{Refused, rules, trust_role};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::safe_line;
use crate::policy::PolicyFile;
use serde::Serialize;
use sovai_evidence::rfc3339 as time;
use sovai_pki::{Judged, MAX_CRL, Pin, PkiError, Request, TimeFrom};
use sovai_signing::PublicKey;
use sovai_signing::oms::{Bundle, Signed};
use sovai_trust::Role;
use std::path::{Path, PathBuf};

/// Most bytes of a file of certificates.
const MAX_CERTIFICATES: usize = 1 << 20;

/// Whose certificate is taken: all of it read from files that the operator names.
#[derive(Debug, Default)]
pub(crate) struct CertificateTrust {
    /// Trust anchors, DER.
    pub(crate) anchors: Vec<Vec<u8>>,
    /// Further intermediates, DER.
    pub(crate) intermediates: Vec<Vec<u8>>,
    /// Whose certificate it must be.
    pub(crate) pin: Pin,
    /// Revocation lists.
    pub(crate) crls: Vec<Vec<u8>>,
    /// Trust anchors of time stamps, DER.
    pub(crate) tsa_anchors: Vec<Vec<u8>>,
    /// When it was signed, if that is known from elsewhere.
    pub(crate) signed_at: Option<u64>,
    /// Whether the certificate need not be for code signing.
    pub(crate) waive_code_signing: bool,
}

/// The files of a [`CertificateTrust`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) anchors: &'a [PathBuf],
    pub(crate) intermediates: &'a [PathBuf],
    pub(crate) crls: &'a [PathBuf],
    pub(crate) tsa_anchors: &'a [PathBuf],
}

impl CertificateTrust {
    /// Reads the files; `under` is where relative paths start.
    pub(crate) fn read(files: Files<'_>, under: &Path) -> Result<Self, CliError> {
        let certificates = |paths: &[PathBuf]| {
            let mut all = Vec::new();
            for path in paths {
                let path = under.join(path);
                let text = read_bounded(&path, MAX_CERTIFICATES, "certificate")?;
                all.extend(sovai_pki::read_certificates(&text, &safe_line(&path.display().to_string()))?);
            }
            Ok::<_, CliError>(all)
        };
        let crls = files.crls.iter();
        Ok(Self {
            anchors: certificates(files.anchors)?,
            intermediates: certificates(files.intermediates)?,
            crls: crls
                .map(|path| read_bounded(&under.join(path), MAX_CRL, "revocation list"))
                .collect::<Result<_, _>>()?,
            tsa_anchors: certificates(files.tsa_anchors)?,
            ..Self::default()
        })
    }

    /// The signers whose certificates a policy takes, each with what it counts as.
    pub(super) fn of_policy(file: &PolicyFile) -> Result<Vec<(Role, Self)>, CliError> {
        let folder = file.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut all = Vec::new();
        for rules in &file.policy.trust.certificates {
            let files = Files {
                anchors: &rules.anchors,
                intermediates: &rules.intermediates,
                crls: &rules.crls,
                tsa_anchors: &rules.timestamp_anchors,
            };
            let read = Self::read(files, folder).map_err(|error| {
                let mut new = CliError::new(Exit::Invalid, "a file that the policy names cannot be used")
                    .cause(error.message());
                for cause in error.causes() {
                    new = new.cause(cause);
                }
                new
            })?;
            let pin = Pin::new(rules.subject.clone(), rules.san.clone(), rules.spki);
            let trust = Self { pin, waive_code_signing: rules.waive_code_signing, ..read };
            all.push((trust_role(rules.role), trust));
        }
        Ok(all)
    }

    /// Judges a chain, and with its leaf's key the bundle.
    pub(super) fn open(
        &self,
        bundle: &Bundle,
        chain: &[Vec<u8>],
        now: u64,
    ) -> Result<(Signed, PublicKey, CertificateFact), Refused> {
        let judged = sovai_pki::verify(&Request {
            chain,
            anchors: &self.anchors,
            intermediates: &self.intermediates,
            pin: &self.pin,
            crls: &self.crls,
            timestamps: bundle.timestamps(),
            tsa_anchors: &self.tsa_anchors,
            signature: bundle.signature(),
            signed_at: self.signed_at,
            now,
            waive_code_signing: self.waive_code_signing,
        })
        .map_err(|error| refused(&error))?;
        let key = PublicKey::from_spki_der(&judged.spki_der)
            .map_err(|error| Refused::new(rules::CERTIFICATE, error.to_string(), None))?;
        let signed = bundle.verify_leaf(&key).map_err(|error| Refused::of(&error))?;
        Ok((signed, key, CertificateFact::new(judged, self.signed_at)))
    }
}

fn refused(error: &PkiError) -> Refused {
    let hint = match error {
        PkiError::NoPin => Some("name the signer with --subject, --san or --spki"),
        PkiError::Expired { .. } => Some(
            "a time stamp (--tsa-ca) or a time that you know (--signed-at) shows that it was signed in time",
        ),
        PkiError::UnknownIssuer { .. } => {
            Some("name the root of its authority, and intermediates that it lacks")
        }
        _ => None,
    };
    Refused::new(rules::CERTIFICATE, error.to_string(), hint)
}

/// What a certificate turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateFact {
    /// The leaf's subject, RFC 4514.
    pub(crate) subject: String,
    /// Its alternative names.
    pub(crate) names: Vec<String>,
    /// From its issuer to the anchor.
    pub(crate) issuers: Vec<String>,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    /// When it was judged.
    pub(crate) judged_at: String,
    /// Where that time comes from: `timestamp`, `stated`, `now`.
    pub(crate) time_from: &'static str,
    /// Whose time stamp it is.
    pub(crate) authority: Option<String>,
    /// The time that the operator stated, also where a time stamp counts.
    pub(crate) stated: Option<String>,
    /// Age of the oldest revocation list that was used; `None`: nothing is known of revocations.
    pub(crate) revocations_from: Option<String>,
    pub(crate) notes: Vec<String>,
    /// The proven time, in seconds since 1970.
    #[serde(skip)]
    pub(crate) proven: Option<u64>,
}

impl CertificateFact {
    fn new(judged: Judged, stated: Option<u64>) -> Self {
        let (time_from, authority) = match judged.time_from {
            TimeFrom::Timestamp { authority } => ("timestamp", Some(authority)),
            TimeFrom::Stated => ("stated", None),
            TimeFrom::Now => ("now", None),
        };
        Self {
            subject: judged.subject,
            names: judged.sans,
            issuers: judged.issuers,
            not_before: time(judged.not_before),
            not_after: time(judged.not_after),
            judged_at: time(judged.time),
            time_from,
            proven: authority.is_some().then_some(judged.time),
            authority,
            stated: stated.map(time),
            revocations_from: judged.revocation.map(time),
            notes: judged.notes,
        }
    }
}
