//! Where containers on the engine's bridge find the machine.

use std::net::IpAddr;

use bollard::models::IpamConfig;

use super::{ASK, Engine, EngineError, What};

const BRIDGE: &str = "bridge";
/// The option that names the bridge.
const NAME: &str = "com.docker.network.bridge.name";

impl Engine {
    /// The bridge's address on the machine; `None` where the engine has no bridge, or does not say.
    pub async fn gateway(&self) -> Result<Option<IpAddr>, EngineError> {
        let what = What::Inspect {
            subject: format!("the network {BRIDGE}"),
        };
        let options = None::<bollard::query_parameters::InspectNetworkOptions>;
        match self
            .within(ASK, what, |docker| docker.inspect_network(BRIDGE, options))
            .await
        {
            Ok(network) => Ok(network.ipam.and_then(|ipam| gateway(&ipam.config?))),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bridge's name on the machine; `None` where the engine has no bridge, or does not say.
    pub async fn bridge(&self) -> Result<Option<String>, EngineError> {
        let what = What::Inspect {
            subject: format!("the network {BRIDGE}"),
        };
        let options = None::<bollard::query_parameters::InspectNetworkOptions>;
        match self
            .within(ASK, what, |docker| docker.inspect_network(BRIDGE, options))
            .await
        {
            Ok(network) => Ok(network
                .options
                .and_then(|mut all| all.remove(NAME))
                .filter(|name| !name.is_empty())),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// IPv4 first: services of the machine listen there most likely.
fn gateway(all: &[IpamConfig]) -> Option<IpAddr> {
    let addresses = || {
        all.iter()
            .filter_map(|one| one.gateway.as_deref()?.parse::<IpAddr>().ok())
    };
    addresses().find(IpAddr::is_ipv4).or_else(|| addresses().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_the_machine() {
        let config = |gateway: Option<&str>| IpamConfig {
            gateway: gateway.map(str::to_owned),
            ..Default::default()
        };
        let four: IpAddr = [172, 17, 0, 1].into();
        assert_eq!(
            gateway(&[config(Some("fd00::1")), config(Some("172.17.0.1"))]),
            Some(four)
        );
        assert_eq!(gateway(&[config(None)]), None);
        assert_eq!(gateway(&[]), None);
    }
}
