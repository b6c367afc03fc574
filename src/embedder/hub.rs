//! Fetches a model from the Hugging Face hub: its small files first, then the weights of a model that can be used.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hf_hub::CacheRepo;
use hf_hub::api::tokio::{ApiBuilder, ApiError, ApiRepo};

use super::settings::{MODULES, Modules, Settings};
use super::weights::{INDEX, WEIGHTS, shards};

/// The file that says that all of a revision has been fetched, and that what may be missing really is. It has another name since
/// more files are asked for.
const WHOLE: &str = "allm-has-the-whole-of-it";
/// The same of before more files were asked for.
const WHOLE_BEFORE: &str = "allm-has-it-whole";
/// The address of the hub.
const HUB: &str = "https://huggingface.co";

/// Returns the folder of a repository that has been fetched, with what an earlier program fetched as the second choice.
pub fn fetched(repository: &str, cache: &Path) -> Option<PathBuf> {
    let cached = cached(repository, cache);
    let mark = cached.get(WHOLE).or_else(|| cached.get(WHOLE_BEFORE))?;
    mark.parent().map(Path::to_owned)
}

fn cached(repository: &str, cache: &Path) -> CacheRepo {
    hf_hub::Cache::new(cache.to_owned()).model(repository.to_owned())
}

/// Fetches what is missing of a repository, with a progress bar on stderr when `progress` is set.
pub async fn fetch(repository: &str, cache: &Path, progress: bool) -> Result<()> {
    if cached(repository, cache).get(WHOLE).is_some() {
        return Ok(());
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
    let mut api = ApiBuilder::from_env();
    // An empty variable is as good as none, but the library takes it for an address.
    if std::env::var_os("HF_ENDPOINT").is_some_and(|endpoint| endpoint.is_empty()) {
        api = api.with_endpoint(HUB.to_owned());
    }
    let api = api
        .with_cache_dir(cache.to_owned())
        .with_progress(progress)
        .build()?;
    let mut fetch = Fetch {
        remote: api.model(repository.to_owned()),
        repository,
        there: Vec::new(),
    };
    // A fetch that goes on with one of another day may find another revision, and then begins again.
    for _ in 0..2 {
        fetch.there.clear();
        if let Err(error) = fetch.all().await {
            // Where the hub cannot be reached, what was whole for an earlier program will do.
            let is_away = matches!(error.downcast_ref(), Some(ApiError::RequestError(error)) if error.status().is_none());
            return match fetched(repository, cache) {
                Some(_) if is_away => Ok(()),
                _ => Err(error),
            };
        }
        let cached = cached(repository, cache);
        if fetch.there.iter().all(|file| cached.get(file).is_some())
            && let Some(folder) = fetch.folder(&cached)
        {
            let mark = folder.join(WHOLE);
            return fs::write(&mark, "")
                .with_context(|| format!("cannot write `{}`", mark.display()));
        }
    }
    bail!("`{repository}` has changed on the hub while it was fetched: try again")
}

/// Is one pass over the files of a repository.
struct Fetch<'r> {
    remote: ApiRepo,
    repository: &'r str,
    there: Vec<String>,
}

impl Fetch<'_> {
    async fn all(&mut self) -> Result<()> {
        let modules = match self.get(MODULES, true).await? {
            Some(path) => Modules::read(path.parent().context("a file lies in a folder")?)?,
            None => Modules::default(),
        };
        let mut folder = None;
        for (file, is_optional) in modules.files() {
            let path = self.get(&file, is_optional).await?;
            // The first one cannot be missing.
            folder = folder.or(path.and_then(|path| root(&path, &file)));
        }
        let folder = folder.context("a file lies in a folder")?;
        Settings::read(&folder, self.repository)
            .with_context(|| format!("cannot use `{}`", self.repository))?;
        for part in modules.weighted() {
            if self.get(&format!("{part}{WEIGHTS}"), true).await?.is_some() {
                continue;
            }
            if self.get(&format!("{part}{INDEX}"), true).await?.is_none() {
                bail!(
                    "cannot fetch `{part}{WEIGHTS}` of `{}`: the repository has none",
                    self.repository
                );
            }
            for shard in shards(&folder, part)? {
                self.get(&shard, false).await?;
            }
        }
        Ok(())
    }

    /// Fetches a file; nothing where the repository has none and can do without.
    async fn get(&mut self, file: &str, is_optional: bool) -> Result<Option<PathBuf>> {
        match self.remote.get(file).await {
            Ok(path) => {
                self.there.push(file.to_owned());
                Ok(Some(path))
            }
            Err(ApiError::RequestError(error))
                if is_optional && error.status().is_some_and(|status| status == 404) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| {
                format!(
                    "cannot fetch `{file}` of `{}` from the hub",
                    self.repository
                )
            }),
        }
    }

    fn folder(&self, cached: &CacheRepo) -> Option<PathBuf> {
        let file = self.there.last()?;
        root(&cached.get(file)?, file)
    }
}

/// Returns the folder of a repository from where one of its files lies.
fn root(path: &Path, file: &str) -> Option<PathBuf> {
    let depth = Path::new(file).components().count();
    path.ancestors().nth(depth).map(Path::to_owned)
}
