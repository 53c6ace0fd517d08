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
        match self {
            Self::LoadGatewayImage(image) => ("load", format!("image {}", image.tag)),
            Self::Publish(folder) => ("write", format!("folder {}", folder.name)),
            Self::RemoveLeftover(name) | Self::RemoveContainer(name) => {
                ("remove", format!("container {name}"))
            }
            Self::StoreCheck(_) => ("check", "store, from inside a container".to_owned()),
            Self::CreateNetwork(spec) => ("create", format!("network {}", spec.name)),
            Self::CreateContainer { spec, .. } => ("create", format!("container {}", spec.name)),
            Self::StopContainer(name) => ("stop", format!("container {name}")),
            Self::StartContainer(name) => ("start", format!("container {name}")),
            Self::WaitReady { service, .. } => ("wait", format!("until {service} is ready")),
            Self::Ask { model, .. } => ("ask", format!("model {model} one question")),
            Self::RemoveNetwork(name) => ("remove", format!("network {name}")),
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
