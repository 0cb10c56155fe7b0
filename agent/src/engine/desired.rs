//! What the relay wants to run here: fetched, examined like any other bundle, and offered.
//!
//! A relay is not trusted: what comes must be signed by a key of this device's, be for it, and be
//! newer. Never keeps a bundle in the spool that nobody wants, nor more than one for each app.

use std::rc::Rc;
use std::sync::Arc;

use agent_core::plan::Needs;
use agent_core::{Generation, fetch as spans};
use bundle::{Digest, Manifest, TrustStore, Values, VerifiedBundle};
use relay_api::device::Desired;

use super::Engine;
use super::admit::{Offer, Rejected, is_new};
use super::app::App;
use super::failure;
use super::fetch::{self, Fetch, FetchError, Watch};
use super::generation::load_head;
use super::source::Source;
use super::trouble::Trouble;
use crate::api::{AppliedView, Failure, Progress, Step, Update};
use crate::exit;
use crate::relay::{RemoteError, SharedRemote};

/// Where the rest of a bundle can be fetched.
pub(crate) struct Rest {
    remote: SharedRemote,
    desired: Desired,
}

impl Rest {
    /// The bundle's file, which the spool is named for.
    pub(crate) fn file(&self) -> &Digest {
        &self.desired.file
    }
}

/// A bundle of which everything that is needed has come.
struct Fetched {
    source: Arc<Source>,
    values: Values,
    generation: Generation,
}

impl Engine {
    /// Fetches what the relay wants, and installs it; `updates` is told of what happens on the
    /// way. Dropped or broken off anywhere, what has come stays for the next attempt.
    ///
    /// # Errors
    /// [`Failure`]: 10 the bundle is refused, 11 no space, 12 the runtime does not answer, 13 the
    /// fetch broke; the rest as for a bundle from a file.
    pub(crate) async fn apply_desired(
        self: &Rc<Self>,
        remote: &SharedRemote,
        desired: &Desired,
        updates: &dyn Fn(Update),
    ) -> Result<AppliedView, Failure> {
        self.may_change()?;
        self.is_known()?;
        self.drop_spooled_of(desired);
        let result = match self.admit_desired(remote, desired, updates).await {
            Ok(offer) => self.offer_and_wait(offer, updates).await,
            Err(rejected) => {
                if let Some(bundle) = &rejected.bundle {
                    self.report_refusal(bundle, Some(desired.rollout), &rejected.failure);
                }
                Err(rejected.failure)
            }
        };
        let over = result.as_ref().map_or_else(is_final, |_| true);
        if over {
            self.drop_spooled(&desired.file);
        }
        result
    }

    /// Removes what is spooled of bundles that nobody wants any longer: those that `desired` does
    /// not name, and those that are installed or behind what is.
    pub(crate) fn keep_spooled(&self, desired: &[Desired]) {
        let wanted = |file: &Digest| {
            let mut named = desired.iter().filter(|desired| desired.file == *file);
            named.any(|desired| self.is_wanted(desired))
        };
        for file in self.spool.names().unwrap_or_default() {
            if !wanted(&file) {
                self.drop_spooled(&file);
            }
        }
    }

    /// Whether this device does not run the bundle, and has never committed a newer one.
    fn is_wanted(&self, desired: &Desired) -> bool {
        let apps = self.apps.borrow();
        let state = apps.get(&desired.app).map(|app| app.state());
        state.is_none_or(|state| {
            let runs = state
                .current
                .is_some_and(|now| now.bundle == desired.bundle);
            !runs && state.seq_floor <= desired.seq
        })
    }

    /// Removes other bundles of the same app from the spool, and what cannot be told whose it is.
    fn drop_spooled_of(&self, desired: &Desired) {
        let trust = TrustStore::load(&self.config.keys_dir).ok();
        for name in self.spool.names().unwrap_or_default() {
            if name == desired.file {
                continue;
            }
            let app = trust.as_ref().and_then(|trust| {
                let file = self.spool.open(&name).ok()?;
                let head = fetch::whole_head(&*file)?;
                Some(bundle::verify(head, trust).ok()?.manifest().app.clone())
            });
            if app.is_none_or(|app| app == desired.app) {
                self.drop_spooled(&name);
            }
        }
    }

    /// Removes a bundle from the spool.
    pub(crate) fn drop_spooled(&self, file: &Digest) {
        if let Err(error) = self.spool.remove(file) {
            log::warn!("phase=fetching cause=a spool file cannot be removed: {error}");
        }
    }

    async fn admit_desired(
        &self,
        remote: &SharedRemote,
        desired: &Desired,
        updates: &dyn Fn(Update),
    ) -> Result<Offer, Rejected> {
        if let Some(rejected) = self.known_refusal(desired) {
            return Err(rejected);
        }
        let mut changed = false;
        let fetched = loop {
            match self.fetch_desired(remote, desired, changed, updates).await {
                Err(Unfetched::Fetch(FetchError::Remote(RemoteError::Changed), _)) if !changed => {
                    // Another file: nothing of the one before fits.
                    self.drop_spooled(&desired.file);
                    changed = true;
                }
                Err(Unfetched::Fetch(error, bundle)) => {
                    let failure = failure::fetch(&error);
                    return Err(Rejected { failure, bundle });
                }
                Err(Unfetched::Rejected(rejected)) => return Err(rejected),
                Ok(fetched) => break fetched,
            }
        };
        let Fetched {
            source,
            values,
            generation,
        } = fetched;
        let bundle = source.shared_bundle();
        let offer = self.offer(source, values, generation).await;
        let offer = offer.map_err(|failure| Rejected {
            failure,
            bundle: Some(bundle),
        })?;
        Ok(Offer {
            rollout: Some(desired.rollout),
            rest: Some(Rest {
                remote: Rc::clone(remote),
                desired: desired.clone(),
            }),
            ..offer
        })
    }

    /// Why a bundle whose head is still on this device need not be fetched; none if it is worth it.
    fn known_refusal(&self, desired: &Desired) -> Option<Rejected> {
        let trust = TrustStore::load(&self.config.keys_dir).ok()?;
        let stored = load_head(&self.objects, &trust, &desired.bundle).ok()?;
        let news = self
            .examine(&stored)
            .and_then(|(_, _, admitted)| is_new(stored.manifest(), admitted));
        Some(Rejected {
            failure: news.err()?,
            bundle: Some(Arc::new(stored)),
        })
    }

    async fn fetch_desired(
        &self,
        remote: &SharedRemote,
        desired: &Desired,
        changed: bool,
        updates: &dyn Fn(Update),
    ) -> Result<Fetched, Unfetched> {
        let trust = TrustStore::load(&self.config.keys_dir).map_err(FetchError::Trust)?;
        let file = self.spool.open(&desired.file).map_err(FetchError::Spool)?;
        let mut fetch = Fetch::new(&*self.host, remote, desired, Arc::clone(&file), changed)?;
        let bundle = Arc::new(fetch.head(&trust).await?);
        let manifest = bundle.manifest();
        let known = |failure| {
            Unfetched::Rejected(Rejected {
                failure,
                bundle: Some(Arc::clone(&bundle)),
            })
        };
        is_as_named(&bundle, desired).map_err(known)?;
        let (_, _, admitted) = self.examine(&bundle).map_err(known)?;
        is_new(manifest, admitted).map_err(known)?;
        self.reachable().await.map_err(known)?;
        let there = self.there(manifest).await;
        let there = there.map_err(|trouble| known(failure::trouble(&trouble)))?;
        let needs = Needs::new(&|digest| there.contains(digest), manifest);
        let lost = |error| Unfetched::Fetch(error, Some(Arc::clone(&bundle)));
        let lacks = fetch.lacking(&bundle, &needs.blobs).await.map_err(lost)?;
        let bytes = spans::lacking_bytes(&lacks);
        self.check_space(needs.peak_disk_bytes, bytes)
            .await
            .map_err(known)?;
        log::info!("app={} phase=fetching bytes={bytes}", manifest.app);
        let total = needs.fetch_bytes;
        let progress = |lacking| {
            updates(Update::Progress(Progress {
                step: Step::Fetch,
                what: manifest.app.to_string(),
                done: total.saturating_sub(lacking),
                total,
            }));
        };
        let watch = Watch {
            progress: &progress,
            wanted: &|| self.is_wanted(desired),
        };
        let got = fetch.pieces(&bundle, lacks, &watch).await;
        got.map_err(lost)?;
        log::info!("app={} phase=fetched bytes={bytes}", manifest.app);
        // Much may have happened meanwhile.
        let (values, generation, admitted) = self.examine(&bundle).map_err(known)?;
        is_new(manifest, admitted).map_err(known)?;
        let source = Source::in_part(file, Arc::clone(&bundle));
        source.add(plain(manifest, &needs));
        Ok(Fetched {
            source: Arc::new(source),
            values,
            generation,
        })
    }

    /// Fetches what was supposed to be on the device and is not: this time nothing is supposed.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn fetch_rest(&self, app: &App, offer: &Offer) -> Result<(), Trouble> {
        let bundle = offer.source.shared_bundle();
        let manifest = bundle.manifest();
        let Some(Rest { remote, desired }) = &offer.rest else {
            // A source that is whole lacks nothing.
            return Ok(());
        };
        let there = self.there_for_sure(manifest).await?;
        let needs = Needs::new(&|digest| there.contains(digest), manifest);
        let fetched = async {
            let file = self.spool.open(&desired.file).map_err(FetchError::Spool)?;
            let mut fetch = Fetch::new(&*self.host, remote, desired, file, false)?;
            let lacks = fetch.lacking(&bundle, &needs.blobs).await?;
            let bytes = spans::lacking_bytes(&lacks);
            log::info!("app={} phase=fetching bytes={bytes}", manifest.app);
            let total = needs.fetch_bytes;
            let progress = |lacking| {
                let done = total.saturating_sub(lacking);
                app.progress(Step::Fetch, app.name.as_str(), done, total);
            };
            let watch = Watch {
                progress: &progress,
                wanted: &|| true,
            };
            fetch.pieces(&bundle, lacks, &watch).await
        };
        fetched.await.map_err(Trouble::Fetch)?;
        offer.source.add(plain(manifest, &needs));
        Ok(())
    }
}

/// Why a bundle was not fetched, and its verified head, if that had come.
enum Unfetched {
    Fetch(FetchError, Option<Arc<VerifiedBundle>>),
    Rejected(Rejected),
}

impl From<FetchError> for Unfetched {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error, None)
    }
}

/// The plain digests of the blobs that were needed.
fn plain<'a>(manifest: &'a Manifest, needs: &'a Needs) -> impl Iterator<Item = Digest> + 'a {
    let blobs = needs.blobs.iter().filter_map(|id| manifest.blob(*id));
    blobs.map(|blob| blob.plain)
}

/// Whether a bundle is the one that the relay named.
fn is_as_named(bundle: &VerifiedBundle, desired: &Desired) -> Result<(), Failure> {
    let manifest = bundle.manifest();
    let same = bundle.digest() == desired.bundle
        && manifest.app == desired.app
        && manifest.seq == desired.seq
        && bundle.file_bytes() == desired.file_bytes;
    if same {
        return Ok(());
    }
    let words = |app: &bundle::AppName, seq: u64, digest: &Digest, bytes: u64| {
        format!("{app} seq {seq} ({}, {bytes} bytes)", digest.short())
    };
    Err(failure::misnamed(
        &words(
            &desired.app,
            desired.seq,
            &desired.bundle,
            desired.file_bytes,
        ),
        &words(
            &manifest.app,
            manifest.seq,
            &bundle.digest(),
            bundle.file_bytes(),
        ),
    ))
}

/// Whether another attempt would end the same way, so that what has come is of no use.
fn is_final(failure: &Failure) -> bool {
    [
        exit::REFUSED,
        exit::ROLLED_BACK,
        exit::ROLLBACK_FAILED,
        exit::ALREADY_CURRENT,
    ]
    .contains(&failure.code)
}
