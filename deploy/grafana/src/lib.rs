//! Grafana's dashboards from one readable source, `dashboards.toml`: what it holds, how it becomes Grafana's JSON, and pictures of it
//! from a Prometheus.

pub mod answer;
mod panel;
pub mod picture;
mod unit;

use serde::Deserialize;
use serde_json::{Value, json};

/// Grafana divides a dashboard's width into so many.
const WIDTH: usize = 24;
/// A small number takes a sixth of the width, a curve half of it.
const STAT: (usize, usize) = (6, 4);
const CURVE: (usize, usize) = (12, 8);

/// A dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its name in addresses and of its file.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// What it shows, in reading order.
    pub panels: Vec<Panel>,
}

/// One figure of a dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Grafana's name of the unit.
    pub unit: String,
    /// How it is drawn.
    #[serde(default)]
    pub kind: Kind,
    /// What a reader should know.
    #[serde(default)]
    pub about: String,
    /// Whether a healthy fleet may have nothing to show here.
    #[serde(default)]
    pub optional: bool,
    /// PromQL, and the legend of each curve.
    pub queries: Vec<(String, String)>,
}

/// How a panel is drawn.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Curves over time.
    #[default]
    Timeseries,
    /// The latest number.
    Stat,
    /// The latest samples with their labels.
    Table,
}

#[derive(Deserialize)]
struct Source {
    dashboard: Vec<Dashboard>,
}

/// Reads the source.
///
/// # Errors
/// With place and reason, if it is no such source.
pub fn read(source: &str) -> Result<Vec<Dashboard>, toml::de::Error> {
    toml::from_str::<Source>(source).map(|source| source.dashboard)
}

impl Panel {
    /// Its queries as Prometheus takes them: for every pool.
    pub fn queries_for_all_pools(&self) -> impl Iterator<Item = String> {
        self.queries.iter().map(|(query, _)| query.replace("$pool", ".+"))
    }

    /// Those, each with the legend of its curves.
    pub fn queries_with_legends(&self) -> impl Iterator<Item = (String, &str)> {
        self.queries_for_all_pools().zip(self.queries.iter().map(|(_, legend)| legend.as_str()))
    }

    fn size(&self) -> (usize, usize) {
        if self.kind == Kind::Stat { STAT } else { CURVE }
    }

    fn json(&self, id: usize, (x, y): (usize, usize)) -> Value {
        let kind = match self.kind {
            Kind::Timeseries => "timeseries",
            Kind::Stat => "stat",
            Kind::Table => "table",
        };
        let latest = self.kind != Kind::Timeseries;
        let targets = self.queries.iter().enumerate().map(|(n, (query, legend))| {
            let name = char::from(b'A' + n as u8).to_string();
            json!({"refId": name, "expr": query, "legendFormat": legend, "instant": latest, "range": !latest,
                   "format": if self.kind == Kind::Table { "table" } else { "time_series" }})
        });
        let (w, h) = self.size();
        json!({
            "id": id, "type": kind, "title": self.title, "description": self.about,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"x": x, "y": y, "w": w, "h": h},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, "custom": {}}, "overrides": []},
            "targets": targets.collect::<Vec<_>>(),
        })
    }
}

impl Dashboard {
    /// Each panel with its left upper corner, in Grafana's units.
    fn places(&self) -> impl Iterator<Item = (&Panel, (usize, usize))> {
        let (mut x, mut y, mut row) = (0, 0, 0);
        self.panels.iter().map(move |panel| {
            let (w, h) = panel.size();
            if x + w > WIDTH || (row != 0 && h != row) {
                (x, y) = (0, y + row);
            }
            let at = (x, y);
            (x, row) = (x + w, h);
            (panel, at)
        })
    }

    /// As Grafana reads it; equal for an equal source.
    #[must_use]
    pub fn json(&self) -> String {
        let places = self.places().enumerate();
        let panels: Vec<Value> = places.map(|(n, (panel, at))| panel.json(n + 1, at)).collect();
        let variable = |name: &str, kind: &str, query: Value| json!({"name": name, "type": kind, "query": query, "label": name});
        let mut pool = variable(
            "pool",
            "query",
            json!({"query": "label_values(skein_notifications_total, pool)", "refId": "pool"}),
        );
        for (key, value) in [
            ("datasource", json!({"type": "prometheus", "uid": "${datasource}"})),
            ("includeAll", json!(true)),
            ("multi", json!(true)),
            ("refresh", json!(2)),
            ("current", json!({"text": ["All"], "value": ["$__all"]})),
        ] {
            pool[key] = value;
        }
        let dashboard = json!({
            "uid": self.uid, "title": self.title, "tags": ["skein"], "schemaVersion": 39, "editable": true,
            "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
            "templating": {"list": [variable("datasource", "datasource", json!("prometheus")), pool]},
            "links": [{"title": "Skein", "type": "dashboards", "tags": ["skein"], "keepTime": true}],
            "panels": panels,
        });
        format!("{dashboard:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = include_str!("../dashboards.toml");

    #[test]
    fn what_is_committed_is_what_the_source_makes() {
        for dashboard in read(SOURCE).unwrap() {
            let path = format!("{}/dashboards/{}.json", env!("CARGO_MANIFEST_DIR"), dashboard.uid);
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == dashboard.json(), "{path} is old: cargo run -p skein-dashboards");
        }
    }

    #[test]
    fn panels_lie_beside_each_other_and_never_over() {
        for dashboard in read(SOURCE).unwrap() {
            let json: Value = serde_json::from_str(&dashboard.json()).unwrap();
            let mut taken = std::collections::BTreeSet::new();
            for panel in json["panels"].as_array().unwrap() {
                let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
                for x in at("x")..at("x") + at("w") {
                    for y in at("y")..at("y") + at("h") {
                        assert!(x < WIDTH as u64 && taken.insert((x, y)), "{}: {x} {y}", panel["title"]);
                    }
                }
            }
            assert_eq!(json["panels"].as_array().unwrap().len(), dashboard.panels.len());
        }
    }

    #[test]
    fn a_word_that_the_source_does_not_know_is_refused() {
        let bad = "[[dashboard]]\nuid = \"a\"\ntitle = \"b\"\npanels = [{ title = \"c\", unit = \"s\", colour = \"red\", queries = [] }]";
        assert!(read(bad).unwrap_err().to_string().contains("colour"));
    }
}
