//! Makes `dashboards/*.json` of `dashboards.toml`, and pictures of what a Prometheus has to show on them.
//!
//! `cargo run -p skein-dashboards` makes the JSON. `… -- render --prometheus URL --out FOLDER [--seconds N] [--about TEXT]` draws one SVG for
//! each dashboard from the last N seconds.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use skein_dashboards::picture::drawn;

const USAGE: &str =
    "usage: skein-dashboards [render --prometheus URL --out FOLDER [--seconds N] [--about TEXT]]";

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(folder.join("dashboards.toml"))?;
    let dashboards = skein_dashboards::read(&source).map_err(io::Error::other)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, options)) = arguments.split_first() else {
        for dashboard in dashboards {
            let path = folder.join("dashboards").join(format!("{}.json", dashboard.uid));
            fs::write(&path, dashboard.json())?;
        }
        return Ok(());
    };
    let option = |name: &str| options.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1));
    let (Some(prometheus), Some(out), "render") = (option("--prometheus"), option("--out"), command.as_str())
    else {
        return Err(io::Error::other(USAGE));
    };
    let seconds = option("--seconds").map_or(Ok(600.0), |text| text.parse()).map_err(io::Error::other)?;
    let about = option("--about").map_or("", String::as_str);
    let to = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_secs_f64();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        fs::create_dir_all(out)?;
        for dashboard in &dashboards {
            let svg = drawn(dashboard, prometheus, (to - seconds, to), about).await?;
            fs::write(Path::new(out).join(format!("{}.svg", dashboard.uid)), svg)?;
        }
        Ok(())
    })
}
