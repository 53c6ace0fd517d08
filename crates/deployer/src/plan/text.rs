//! A plan for people and as data.

use super::{Action, What};
use serde::Serialize;
use std::fmt;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, object) = self.what.words();
        write!(f, "{verb:<8} {object:<44} {}", self.why)
    }
}

impl What {
    /// A verb and its object, for people.
    pub fn words(&self) -> (&'static str, String) {
        let (verb, noun) = match self {
            Self::LoadGatewayImage(_) => ("load", "image"),
            Self::LoadImage(image) => return ("load", format!("image {} from the store", image.name)),
            Self::Publish(_) => ("write", "folder"),
            Self::RemoveLeftover(_) | Self::RemoveContainer(_) => ("remove", "container"),
            Self::StoreCheck(_) => ("check", "that the engine sees the"),
            Self::CreateNetwork(_) => ("create", "network"),
            Self::CreateContainer { .. } => ("create", "container"),
            Self::StopContainer(_) => ("stop", "container"),
            Self::StartContainer(_) => ("start", "container"),
            Self::WaitReady { .. } => ("wait", "until ready:"),
            Self::Ask { .. } => ("ask", "model"),
            Self::RemoveNetwork(_) => ("remove", "network"),
        };
        (verb, format!("{noun} {}", self.subject()))
    }

    /// The name of what it is about: a container, a network, an image, a folder, a service or a model.
    pub fn subject(&self) -> &str {
        match self {
            Self::LoadGatewayImage(image) => &image.tag,
            Self::LoadImage(image) => &image.name,
            Self::Publish(folder) => &folder.name,
            Self::StoreCheck(_) => "store",
            Self::CreateContainer { spec, .. } => &spec.name,
            Self::CreateNetwork(spec) => &spec.name,
            Self::WaitReady { service, .. } => service,
            Self::Ask { model, .. } => model,
            Self::RemoveLeftover(name)
            | Self::StopContainer(name)
            | Self::StartContainer(name)
            | Self::RemoveContainer(name)
            | Self::RemoveNetwork(name) => name,
        }
    }
}

impl Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let (verb, object) = self.what.words();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("action", verb)?;
        map.serialize_entry("object", &object)?;
        map.serialize_entry("why", &self.why)?;
        match &self.what {
            What::CreateContainer { spec, .. } => map.serialize_entry("container", spec)?,
            What::CreateNetwork(spec) => map.serialize_entry("network", spec)?,
            _ => {}
        }
        map.end()
    }
}
