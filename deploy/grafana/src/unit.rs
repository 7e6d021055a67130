//! Numbers as people read them, by Grafana's names of units; and the steps of an axis.

/// A value with its unit.
pub fn shown(value: f64, unit: &str) -> String {
    match unit {
        "bool_yes_no" => if value == 0.0 { "no" } else { "yes" }.to_owned(),
        "percentunit" => format!("{} %", plain(value * 100.0)),
        "ops" => format!("{}/s", plain(value)),
        "reqps" => format!("{} req/s", plain(value)),
        "d" => format!("{} days", plain(value)),
        "s" if value == 0.0 => "0 s".to_owned(),
        "s" if value.abs() < 0.000_999_5 => format!("{} µs", plain(value * 1e6)),
        "s" if value.abs() < 0.999_5 => format!("{} ms", plain(value * 1e3)),
        "s" => format!("{} s", plain(value)),
        _ => plain(value),
    }
}

/// Three digits at the most, and thousands by a letter.
fn plain(value: f64) -> String {
    let (value, letter) = match value.abs() {
        size if size >= 999_500.0 => (value / 1e6, " M"),
        size if size >= 9_995.0 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{letter}")
}

/// Round steps from 0 that reach `max`, about `count` of them.
pub fn steps(max: f64, count: usize) -> Vec<f64> {
    let rough = max.max(1e-9) / count as f64;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].map(|n| n * magnitude).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * magnitude);
    let last = (max / step - 1e-9).ceil().max(1.0) as usize;
    (0..=last).map(|n| n as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_people() {
        let cases = [
            (0.0, "s", "0 s"),
            (0.000_25, "s", "250 µs"),
            (0.0423, "s", "42.3 ms"),
            (2.5, "s", "2.5 s"),
            (0.9925, "percentunit", "99.2 %"),
            (1234.0, "ops", "1234/s"),
            (54_321.0, "short", "54.3 k"),
            (1.0, "bool_yes_no", "yes"),
        ];
        for (value, unit, text) in cases {
            assert_eq!(shown(value, unit), text);
        }
    }

    #[test]
    fn an_axis_reaches_its_greatest_value_in_round_steps() {
        assert_eq!(steps(103.0, 4), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(steps(1.0, 4), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(steps(0.0, 4).len(), 2);
    }
}
