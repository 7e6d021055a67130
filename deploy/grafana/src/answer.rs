//! What Prometheus answers to a range query, as named curves.

use std::collections::BTreeMap;

use serde_json::Value;

/// The path and the parameters of a range query of Prometheus' HTTP API, so many points from the first to the last second.
#[must_use]
pub fn range_query(query: &str, (from, to): (f64, f64), points: usize) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let percent = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    let query: String = query.bytes().map(percent).collect();
    format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={}", (to - from) / points as f64)
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// As the legend has it.
    pub name: String,
    /// What sets the series apart.
    pub labels: BTreeMap<String, String>,
    /// Seconds since the epoch and the value then, in order; what is no number is left out.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// Its latest value.
    #[must_use]
    pub fn latest(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| *value)
    }
}

/// The curves of `data`, the `data` of an answer of `/api/v1/query_range`; in `legend`, `{{label}}` stands for a label's value.
#[must_use]
pub fn curves(data: &Value, legend: &str) -> Vec<Curve> {
    let series = data["result"].as_array().into_iter().flatten();
    let mut curves: Vec<Curve> = series.map(|series| curve(series, legend)).collect();
    curves.sort_by(|a, b| a.name.cmp(&b.name));
    curves
}

fn curve(series: &Value, legend: &str) -> Curve {
    let labels = series["metric"].as_object().into_iter().flatten();
    let labels: BTreeMap<String, String> =
        labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let name = labels
        .iter()
        .fold(legend.to_owned(), |name, (label, value)| name.replace(&format!("{{{{{label}}}}}"), value));
    let point = |pair: &Value| {
        let value: f64 = pair[1].as_str()?.parse().ok()?;
        value.is_finite().then_some((pair[0].as_f64()?, value))
    };
    let points = series["values"].as_array().into_iter().flatten().filter_map(point).collect();
    Curve { name, labels, points }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_is_asked_for_each_point() {
        let asked = range_query("rate(a[5m])", (10.0, 20.0), 5);
        assert_eq!(asked, "/api/v1/query_range?query=rate%28a%5B5m%5D%29&start=10&end=20&step=2");
    }

    #[test]
    fn a_series_is_named_by_its_labels_and_what_is_no_number_is_left_out() {
        let data = json!({"result": [
            {"metric": {"pool": "im", "status": "200"}, "values": [[10, "1.5"], [15, "NaN"], [20.5, "2"]]},
            {"metric": {"pool": "im", "status": "410"}, "values": []},
        ]});
        let curves = curves(&data, "{{pool}}: {{status}}");
        assert_eq!(curves[0].name, "im: 200");
        assert_eq!(curves[0].points, [(10.0, 1.5), (20.5, 2.0)]);
        assert_eq!((curves[0].latest(), curves[1].latest()), (Some(2.0), None));
    }
}
