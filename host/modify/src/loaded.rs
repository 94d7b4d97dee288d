//! The loaded plugins of a chain: which is the injector, which are filters, who offers which transformer.

use event::{TableName, TablePattern};
use plugin::{Engine, Offer, Plugin, PluginKind, Running, Source};
use serde_json::{Map, Value, json};

use crate::nearest::hint;
use crate::{Filter, Injector, Options, PluginOptions, Problem, parameters, standard};

/// All plugins of a chain.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// In the order in which they were loaded; the numbers below are places in it.
    pub(crate) running: Vec<Running>,
    pub(crate) injector: Option<TableStage>,
    pub(crate) filters: Vec<TableStage>,
}

/// A filter or an injector with its settings.
#[derive(Clone, Debug)]
pub(crate) struct TableStage {
    /// Place in [`Loaded::running`].
    pub(crate) plugin: usize,
    pub(crate) offer: String,
    pub(crate) settings: Vec<(String, String)>,
    tables: Vec<TablePattern>,
    /// As written, for the digest.
    pub(crate) table_texts: Vec<String>,
}

impl TableStage {
    pub(crate) fn applies_to(&self, table: &TableName) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| pattern.matches(table))
    }
}

/// A transformer that a rule named.
pub(crate) struct Found<'a> {
    /// Place in [`Loaded::running`].
    pub(crate) plugin: usize,
    pub(crate) offer: &'a Offer,
}

impl Loaded {
    /// Loads the standard plugins that the options ask for, and the user's.
    pub(crate) fn load(engine: &Engine, options: &Options, problems: &mut Vec<Problem>) -> Self {
        let mut loaded = Self::default();
        for entry in &options.plugins {
            loaded.user_plugin(engine, options, entry, problems);
        }
        if let (Some(injector), None) = (&options.injector, &loaded.injector)
            && let Some(at) = loaded.standard(engine, options, standard::injector(), problems)
        {
            loaded.injector = loaded.stage(at, None, &injector_settings(injector), &[], problems);
        }
        if let Some(filter) = &options.filter
            && let Some(at) = loaded.standard(engine, options, standard::filter(), problems)
        {
            let stage = loaded.stage(at, None, &filter_settings(filter), &[], problems);
            // Before the user's: it answers for whole tables, which costs nothing a row.
            loaded.filters.splice(0..0, stage);
        }
        if options.transformations.is_some() {
            loaded.standard(engine, options, standard::transformers(), problems);
        }
        loaded
    }

    fn standard(
        &mut self,
        engine: &Engine,
        options: &Options,
        source: Source,
        problems: &mut Vec<Problem>,
    ) -> Option<usize> {
        let plugin = take(engine.load(&source), problems)?;
        let name = plugin.description.name.clone();
        self.start(&plugin, &name, &PluginOptions::new(""), options, problems)
    }

    fn user_plugin(
        &mut self,
        engine: &Engine,
        options: &Options,
        entry: &PluginOptions,
        problems: &mut Vec<Problem>,
    ) {
        let Some(plugin) = take(engine.load(&Source::File(entry.file.clone())), problems) else { return };
        let name = entry.name.clone().unwrap_or_else(|| plugin.description.name.clone());
        let Some(at) = self.start(&plugin, &name, entry, options, problems) else { return };
        match plugin.kind {
            PluginKind::Transformer => {
                let given = [
                    ("offer", entry.offer.is_some()),
                    ("settings", !entry.settings.is_empty()),
                    ("tables", !entry.tables.is_empty()),
                ];
                for (key, _) in given.into_iter().filter(|(_, given)| *given) {
                    problems.push(Problem::TransformerSettings { plugin: name.clone(), key });
                }
            }
            PluginKind::Filter => {
                let stage = self.stage(at, entry.offer.as_deref(), &entry.settings, &entry.tables, problems);
                self.filters.extend(stage);
            }
            PluginKind::Injector => {
                let before = self.injector.as_ref().and_then(|stage| self.running.get(stage.plugin));
                if let Some(first) = before {
                    problems.push(Problem::TwoInjectors { first: first.name().into(), second: name });
                    return;
                }
                self.injector =
                    self.stage(at, entry.offer.as_deref(), &entry.settings, &entry.tables, problems);
            }
        }
    }

    fn start(
        &mut self,
        plugin: &Plugin,
        name: &str,
        entry: &PluginOptions,
        options: &Options,
        problems: &mut Vec<Problem>,
    ) -> Option<usize> {
        if self.running.iter().any(|running| running.name() == name) {
            problems.push(Problem::PluginName { name: name.into() });
            return None;
        }
        let running =
            take(plugin.start(name, entry.limits, entry.grants.clone(), &options.secret), problems)?;
        tracing::info!(plugin = %plugin, origin = plugin.origin, sha256 = plugin.digest_hex(), "plugin loaded");
        self.running.push(running);
        Some(self.running.len() - 1)
    }

    /// A filter or an injector with checked settings.
    fn stage(
        &self,
        at: usize,
        offer: Option<&str>,
        settings: &Map<String, Value>,
        tables: &[String],
        problems: &mut Vec<Problem>,
    ) -> Option<TableStage> {
        let running = self.running.get(at)?;
        let offers = &running.plugin.description.offers;
        let offer = match (offer, offers.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err("it has several offers, and none is named".to_owned()),
            (Some(name), offers) => offers
                .iter()
                .find(|offer| offer.name == name)
                .ok_or_else(|| format!("it does not offer `{name}`")),
        };
        let offer = match offer {
            Ok(offer) => offer,
            Err(reason) => {
                let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
                let (plugin, offers) = (running.name().to_owned(), names.join(", "));
                problems.push(Problem::Offer { plugin, reason, offers });
                return None;
            }
        };
        let place = format!("plugin `{}`", running.name());
        let settings = parameters::settings(&place, offer, settings, &[], problems);
        let mut patterns = Vec::new();
        for text in tables {
            match TablePattern::parse(text) {
                Some(pattern) => patterns.push(pattern),
                None => problems
                    .push(Problem::TablePattern { plugin: running.name().into(), pattern: text.clone() }),
            }
        }
        Some(TableStage {
            plugin: at,
            offer: offer.name.clone(),
            settings,
            tables: patterns,
            table_texts: tables.to_vec(),
        })
    }

    /// The transformer of a name: an offer, or `plugin/offer` where several plugins offer it.
    pub(crate) fn transformer(&self, place: &str, name: &str) -> Result<Found<'_>, Problem> {
        let all = || {
            self.running
                .iter()
                .enumerate()
                .filter(|(_, running)| running.plugin.kind == PluginKind::Transformer)
        };
        let mut found: Vec<(usize, &str, &Offer)> = all()
            .filter_map(|(at, running)| Some((at, running.name(), running.plugin.description.offer(name)?)))
            .collect();
        if found.is_empty() {
            found.extend(all().filter_map(|(at, running)| {
                let offer = name.strip_prefix(running.name())?.strip_prefix('/')?;
                Some((at, running.name(), running.plugin.description.offer(offer)?))
            }));
        }
        match found.as_slice() {
            [(plugin, _, offer)] => Ok(Found { plugin: *plugin, offer }),
            [] => {
                let known = all()
                    .flat_map(|(_, running)| &running.plugin.description.offers)
                    .map(|offer| offer.name.as_str());
                Err(Problem::UnknownTransformer {
                    place: place.into(),
                    name: name.into(),
                    hint: hint(name, known, "no plugin with transformers is loaded"),
                })
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|(_, plugin, offer)| format!("`{plugin}/{}`", offer.name)).collect();
                Err(Problem::AmbiguousTransformer {
                    place: place.into(),
                    name: name.into(),
                    candidates: names.join(", "),
                })
            }
        }
    }
}

fn take<T>(result: Result<T, plugin::LoadError>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|error| problems.push(error.into())).ok()
}

fn filter_settings(filter: &Filter) -> Map<String, Value> {
    let lists = [
        ("include_tables", &filter.include),
        ("exclude_tables", &filter.exclude),
        ("schema_only_tables", &filter.schema_only),
    ];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(name, list)| (name.to_owned(), json!(list))).collect()
}

fn injector_settings(injector: &Injector) -> Map<String, Value> {
    injector.version_column.iter().map(|column| ("version_column".to_owned(), json!(column))).collect()
}
