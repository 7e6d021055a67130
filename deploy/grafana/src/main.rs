//! Makes `dashboards/*.json` of `dashboards.toml`: run it in this folder, or by `cargo run -p skein-dashboards`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(folder.join("dashboards.toml"))?;
    let dashboards = skein_dashboards::read(&source).map_err(io::Error::other)?;
    for dashboard in dashboards {
        let path = folder.join("dashboards").join(format!("{}.json", dashboard.uid));
        fs::write(&path, dashboard.json())?;
    }
    Ok(())
}
