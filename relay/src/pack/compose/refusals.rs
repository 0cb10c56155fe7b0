//! Why a key is not supported, in a sentence that says what to do instead.
//!
//! A key that is missing here is refused all the same, only with fewer words. The tables are
//! what `docs/compose.md` shows.

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Top,
    Service,
    Deploy,
    Volume,
    Network,
    Health,
    Config,
    /// Anywhere else.
    Other,
}

const TOP: &[(&str, &str)] = &[
    (
        "secrets",
        "secrets do not belong in a bundle that anybody may copy: declare a variable with secret: true under x-coracle.variables and set it on the device",
    ),
    (
        "include",
        "a bundle is packed from one file: merge them first (docker compose config does)",
    ),
    ("models", "models are not part of a bundle"),
];

const SERVICE: &[(&str, &str)] = &[
    ("build", "images come ready-made with --image"),
    (
        "container_name",
        "container names are Coracle's: coracle-APP-SERVICE-GENERATION; services reach each other by service name",
    ),
    (
        "extends",
        "a bundle is packed from one file: use a YAML anchor and <<",
    ),
    (
        "profiles",
        "every service of a bundle runs: pack a bundle for each kind of device",
    ),
    (
        "secrets",
        "declare a variable with secret: true under x-coracle.variables and use it in the environment or in a templated file",
    ),
    ("platform", "--arch says for which architecture a bundle is"),
    (
        "pull_policy",
        "images come with the bundle and are never pulled",
    ),
    (
        "expose",
        "it has no effect: services on one network reach all of each other's ports",
    ),
    (
        "links",
        "services on one network reach each other by name; use networks with aliases",
    ),
    (
        "external_links",
        "containers outside the app are not reachable by name",
    ),
    ("volumes_from", "name the volume in both services"),
    ("tty", "containers on a device have no terminal"),
    ("stdin_open", "containers on a device have no terminal"),
    ("attach", "containers run unattended"),
    ("develop", "it serves development only"),
    (
        "dns",
        "it is not supported yet; name resolution is the device's",
    ),
    (
        "dns_search",
        "it is not supported yet; name resolution is the device's",
    ),
    (
        "dns_opt",
        "it is not supported yet; name resolution is the device's",
    ),
    ("memswap_limit", "swap is the device's; use mem_limit"),
    (
        "mem_reservation",
        "only limits are supported; use mem_limit",
    ),
    ("mem_swappiness", "swap is the device's; use mem_limit"),
    (
        "oom_kill_disable",
        "a device without memory must be able to kill; use mem_limit",
    ),
    ("cpu_quota", "use cpus"),
    ("cpu_period", "use cpus"),
    ("cpu_count", "use cpus"),
    ("cpu_percent", "use cpus"),
    ("cpuset", "it is not supported yet; use cpus"),
    ("shm_size", "mount a tmpfs of that size at /dev/shm"),
    ("pid", "sharing process namespaces is not supported"),
    ("ipc", "sharing IPC namespaces is not supported"),
    ("uts", "sharing host names is not supported"),
    ("userns_mode", "user namespaces are the runtime's to set"),
    ("cgroup", "control groups are the runtime's to set"),
    ("cgroup_parent", "control groups are the runtime's to set"),
    ("device_cgroup_rules", "name the device nodes under devices"),
    ("runtime", "the runtime is the device's, in agent.toml"),
    ("gpus", "name the device nodes under devices"),
    ("group_add", "it is not supported yet; use user: UID:GID"),
    ("mac_address", "it is not supported"),
    ("domainname", "it is not supported; use hostname"),
    ("isolation", "it exists on Windows only"),
    ("credential_spec", "it exists on Windows only"),
    ("storage_opt", "storage is the device's"),
    ("annotations", "use labels"),
    ("label_file", "use labels"),
    (
        "post_start",
        "hooks are not supported; use a service that others depend on",
    ),
    (
        "pre_stop",
        "hooks are not supported; handle the stop signal",
    ),
    ("provider", "it is not supported"),
    ("models", "models are not part of a bundle"),
    (
        "use_api_socket",
        "no container gets the runtime's socket; x-coracle.api gives the agent's own",
    ),
    ("blkio_config", "it is not supported yet"),
    ("oom_score_adj", "it is not supported yet"),
    ("cpu_rt_runtime", "it is not supported yet"),
    ("cpu_rt_period", "it is not supported yet"),
];

const DEPLOY: &[(&str, &str)] = &[
    ("restart_policy", "use restart"),
    (
        "update_config",
        "x-coracle.trial and x-coracle.switch say how an update is tried",
    ),
    (
        "rollback_config",
        "rollback is automatic: see x-coracle.trial",
    ),
    (
        "placement",
        "--class and --device say which devices a bundle is for",
    ),
    ("mode", "a service is one container on each device"),
    ("labels", "use the service's labels"),
    ("endpoint_mode", "a service is one container on each device"),
    ("reservations", "only limits are supported"),
];

const VOLUME: &[(&str, &str)] = &[
    (
        "external",
        "a volume belongs to its app; bind an absolute path of the device for shared data",
    ),
    ("name", "volume names are Coracle's: each app has its own"),
    (
        "driver_opts",
        "volumes are local folders of the runtime; bind an absolute path for other storage",
    ),
    ("labels", "volumes carry Coracle's labels only"),
];

const NETWORK: &[(&str, &str)] = &[
    (
        "external",
        "a network belongs to its app; use network_mode: host or published ports to reach others",
    ),
    ("name", "network names are Coracle's: each app has its own"),
    (
        "ipam",
        "addresses are the device's to choose; services find each other by name",
    ),
    ("driver_opts", "networks are plain bridges"),
    ("enable_ipv6", "networks are plain bridges"),
    ("internal", "it is not supported yet"),
    ("attachable", "it has no meaning on a device"),
    ("labels", "networks carry Coracle's labels only"),
    (
        "ipv4_address",
        "addresses are the device's to choose; services find each other by name",
    ),
    (
        "ipv6_address",
        "addresses are the device's to choose; services find each other by name",
    ),
];

const HEALTH: &[(&str, &str)] = &[(
    "start_interval",
    "it is not supported; use interval and start_period",
)];

const CONFIG: &[(&str, &str)] = &[
    (
        "external",
        "a bundle holds all its files: use file or content",
    ),
    ("environment", "use content with ${NAME}"),
    (
        "name",
        "a configuration belongs to its app and is called by its key",
    ),
    ("template_driver", "use x-coracle: {template: true}"),
    ("labels", "configurations carry no labels"),
];

/// What to say about `key`, which is none of those that were `asked` for.
pub(crate) fn explain(place: Place, key: &str, asked: &[&str]) -> String {
    let table = match place {
        Place::Top => TOP,
        Place::Service => SERVICE,
        Place::Deploy => DEPLOY,
        Place::Volume => VOLUME,
        Place::Network => NETWORK,
        Place::Health => HEALTH,
        Place::Config => CONFIG,
        Place::Other => &[],
    };
    if let Some((_, why)) = table.iter().find(|(name, _)| *name == key) {
        return format!("not supported: {why} (see docs/compose.md)");
    }
    match nearest(key, asked) {
        Some(near) => format!("not supported: did you mean {near}? (see docs/compose.md)"),
        None => "not supported (see docs/compose.md)".to_string(),
    }
}

/// The word that `key` is probably a slip of.
pub(crate) fn nearest<'a>(key: &str, words: &[&'a str]) -> Option<&'a str> {
    words
        .iter()
        .map(|word| (strsim::damerau_levenshtein(key, word), *word))
        .filter(|(distance, word)| *distance <= 2 && *distance < word.len())
        .min()
        .map(|(_, word)| word)
}

/// Every explained key with its reason, for the test that compares `docs/compose.md`.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    [TOP, SERVICE, DEPLOY, VOLUME, NETWORK, HEALTH, CONFIG]
        .into_iter()
        .flatten()
        .copied()
}
