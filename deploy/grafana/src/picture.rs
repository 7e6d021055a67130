//! A dashboard as one SVG, its panels where Grafana puts them, for readers who have no Grafana at hand.

use std::{fmt::Write as _, io};

use skein_dev_services::http;

use crate::{
    Dashboard, WIDTH,
    answer::{Curve, curves, range_query},
    panel::{Frame, draw},
};

/// Points of a curve: more than these can't be told apart at this width.
pub const POINTS: usize = 120;
/// Pixels of Grafana's unit, across and down.
const ACROSS: f64 = 50.0;
const DOWN: f64 = 32.0;
const GAP: f64 = 8.0;
const HEAD: f64 = 44.0;

/// Light and dark, by what the reader's page is; ten colours that people who see few of them tell apart.
const STYLE: &str = "\
.p{fill:#fff;stroke:#d0d7de}.h{font-size:19px;font-weight:600}.t{font-size:14px;font-weight:600}.n{font-size:26px;font-weight:600}\
.l{font-size:12px}.s{font-size:11.5px;fill:#57606a}.m{text-anchor:middle}.e{text-anchor:end}text{fill:#1f2328}\
.g{stroke:#d8dee4;stroke-width:1}.c{fill:none;stroke-width:1.8;stroke-linejoin:round}\
.k0{stroke:#0969da}.k1{stroke:#d4731c}.k2{stroke:#1a7f37}.k3{stroke:#cf222e}.k4{stroke:#8250df}\
.k5{stroke:#9a6700}.k6{stroke:#0a7f86}.k7{stroke:#bf3989}.k8{stroke:#57606a}.k9{stroke:#2da44e}\
@media(prefers-color-scheme:dark){.p{fill:#161b22;stroke:#30363d}text{fill:#e6edf3}.s{fill:#9da7b1}.g{stroke:#30363d}\
.k0{stroke:#58a6ff}.k2{stroke:#3fb950}.k3{stroke:#ff7b72}.k4{stroke:#bc8cff}.k5{stroke:#d29922}.k6{stroke:#39c5cf}.k8{stroke:#9da7b1}}";

/// Draws the dashboard from what the Prometheus at `prometheus` (as `http://127.0.0.1:9090`) has of that time, first and last second since
/// the epoch.
///
/// # Errors
/// When it can't be reached, or refuses a query.
pub async fn drawn(
    dashboard: &Dashboard,
    prometheus: &str,
    span: (f64, f64),
    about: &str,
) -> io::Result<String> {
    let mut panels = Vec::new();
    for panel in &dashboard.panels {
        let mut all = Vec::new();
        for (query, legend) in panel.queries_with_legends() {
            let answer = http::get(&format!("{prometheus}{}", range_query(&query, span, POINTS))).await?;
            if !answer.is_success() {
                return Err(io::Error::other(format!("{}: {}", panel.title, answer.body)));
            }
            all.extend(curves(&answer.json()?["data"], legend));
        }
        panels.push(all);
    }
    Ok(draw_dashboard(dashboard, &panels, span, about))
}

/// Draws the dashboard: `curves` of each panel in order, `span` the first and the last second, `about` what was going on.
#[must_use]
pub fn draw_dashboard(dashboard: &Dashboard, curves: &[Vec<Curve>], span: (f64, f64), about: &str) -> String {
    let mut body = String::new();
    let mut bottom: f64 = 0.0;
    for ((panel, (x, y)), curves) in dashboard.places().zip(curves) {
        let (w, h) = panel.size();
        let frame = Frame {
            x: x as f64 * ACROSS + GAP / 2.0,
            y: y as f64 * DOWN + HEAD,
            width: w as f64 * ACROSS - GAP,
            height: h as f64 * DOWN - GAP,
        };
        bottom = bottom.max(frame.y + frame.height);
        body.push_str(&draw(panel, curves, frame, span));
    }
    let width = WIDTH as f64 * ACROSS;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {:.0}\" font-family=\"system-ui, sans-serif\" role=\"img\" \
         aria-label=\"{title}: {about}\">\n<style>{STYLE}</style>\n<text class=\"h\" x=\"12\" y=\"28\">{title}</text>\
         <text class=\"s e\" x=\"{:.0}\" y=\"28\">{about}</text>\n{body}</svg>\n",
        bottom + GAP,
        width - 12.0,
        title = dashboard.title,
    );
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_number_is_of_now() {
        let dashboard = crate::read(include_str!("../dashboards.toml")).unwrap().remove(0);
        let curve = |name: &str, last: usize| Curve {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            points: (0..=last).map(|p| (p as f64, 7.0)).collect(),
        };
        let curves = vec![vec![curve("present", 120), curve("gone", 60)]];
        let svg = draw_dashboard(&dashboard, &curves, (0.0, 120.0), "a test");
        assert!(svg.contains(">present</text>") && !svg.contains(">gone</text>"));
    }

    #[test]
    fn every_panel_is_drawn_with_its_title_and_its_curves() {
        let source = include_str!("../dashboards.toml");
        for dashboard in crate::read(source).unwrap() {
            let curve = |n: usize| Curve {
                name: format!("curve <{n}>"),
                labels: BTreeMap::from([("instance".to_owned(), format!("s{n}"))]),
                points: (0..POINTS).map(|p| (p as f64 * 2.0, (p * n) as f64)).collect(),
            };
            let curves = vec![vec![curve(1), curve(2)]; dashboard.panels.len()];
            let svg = draw_dashboard(&dashboard, &curves, (0.0, 240.0), "a test");
            for panel in &dashboard.panels {
                assert!(svg.contains(&format!(">{}</text>", panel.title)), "{}", panel.title);
            }
            assert!(svg.contains("curve &lt;1&gt;") && !svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
