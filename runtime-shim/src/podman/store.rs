//! Networks and volumes: what containers share and what outlives them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bundle::AppName;
use serde::{Deserialize, Serialize};

use super::api::{Api, Call};
use crate::{RuntimeError, labels};

#[derive(Serialize)]
struct NewNetwork<'a> {
    name: &'a str,
    driver: &'static str,
    dns_enabled: bool,
    labels: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct NewVolume<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Labels")]
    labels: BTreeMap<&'static str, &'a str>,
}

#[derive(Deserialize)]
struct Network {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    mountpoint: PathBuf,
}

fn owner(app: &AppName) -> BTreeMap<&'static str, &str> {
    BTreeMap::from([(labels::APP, app.as_str())])
}

pub(super) async fn ensure_network(
    api: &Api,
    app: &AppName,
    name: &str,
) -> Result<(), RuntimeError> {
    let exists = format!("networks/{name}/exists");
    match api.call(Call::get(&exists)).await {
        Err(RuntimeError::NotFound) => {}
        other => return other.map(drop),
    }
    let network = NewNetwork {
        name,
        driver: "bridge",
        dns_enabled: true,
        labels: owner(app),
    };
    let made = api
        .call(Call::post("networks/create").json(&network)?)
        .await;
    match made {
        Ok(_) => Ok(()),
        // Somebody was quicker, or it is a conflict of another kind.
        Err(error) => match api.call(Call::get(&exists)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(error),
        },
    }
}

pub(super) async fn networks(
    api: &Api,
    app: Option<&AppName>,
) -> Result<Vec<String>, RuntimeError> {
    let call = Call::get("networks/json").filter("label", &super::app_label(app))?;
    let found: Option<Vec<Network>> = api.ask(call).await?;
    let found = found.unwrap_or_default().into_iter();
    Ok(found.map(|network| network.name).collect())
}

pub(super) async fn remove_network(api: &Api, name: &str) -> Result<(), RuntimeError> {
    gone(api.call(Call::delete(&format!("networks/{name}"))).await)
}

pub(super) async fn ensure_volume(
    api: &Api,
    app: &AppName,
    name: &str,
) -> Result<PathBuf, RuntimeError> {
    let look = format!("volumes/{name}/json");
    if let Some(volume) = api.find::<Volume>(Call::get(&look)).await? {
        return Ok(volume.mountpoint);
    }
    let volume = NewVolume {
        name,
        labels: owner(app),
    };
    match api
        .ask::<Volume>(Call::post("volumes/create").json(&volume)?)
        .await
    {
        Ok(volume) => Ok(volume.mountpoint),
        Err(error) => match api.find::<Volume>(Call::get(&look)).await {
            Ok(Some(volume)) => Ok(volume.mountpoint),
            _ => Err(error),
        },
    }
}

pub(super) async fn volumes(api: &Api, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError> {
    let call = Call::get("volumes/json").filter("label", &super::app_label(app))?;
    let found: Option<Vec<Volume>> = api.ask(call).await?;
    let found = found.unwrap_or_default().into_iter();
    Ok(found.map(|volume| volume.name).collect())
}

pub(super) async fn remove_volume(api: &Api, name: &str) -> Result<(), RuntimeError> {
    gone(api.call(Call::delete(&format!("volumes/{name}"))).await)
}

/// An absent one is fine.
pub(super) fn gone<T>(result: Result<T, RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Ok(_) | Err(RuntimeError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}
