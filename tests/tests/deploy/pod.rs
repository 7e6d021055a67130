//! What a container of the chart sees: its pod's environment and volumes, as Kubernetes would put them together of the chart's own
//! objects and the Secrets that it names, each a folder here.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::container::Container;

/// A pod's number in its set.
const NUMBER: &str = "1";

/// The chart's objects, and where the Secrets are.
pub struct Pods {
    pub objects: Vec<Value>,
    pub secrets: PathBuf,
    pub roots: PathBuf,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `$(NAME)`, by what stands before.
fn expanded(text: &str, environment: &BTreeMap<String, String>) -> String {
    let replace =
        |text: String, (name, value): (&String, &String)| text.replace(&format!("$({name})"), value);
    environment.iter().fold(text.to_owned(), replace)
}

/// How much of a resource its container asks for, in whole ones.
fn amount(asked: &Value, resources: &Value) -> String {
    assert_eq!((&asked["resource"], &asked["divisor"]), (&json!("requests.cpu"), &json!("1")));
    let cores = &resources["requests"]["cpu"];
    let cores = cores.as_str().map_or_else(|| cores.to_string(), str::to_owned);
    let thousandths = match cores.strip_suffix('m') {
        Some(number) => number.parse::<f64>().unwrap(),
        None => cores.parse::<f64>().unwrap() * 1_000.0,
    };
    (thousandths / 1_000.0).ceil().to_string()
}

impl Pods {
    fn object(&self, kind: &str, name: &str) -> &Value {
        let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        self.objects.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// The container of the first pod but one of a workload.
    pub fn container(&self, kind: &str, name: &str) -> Container {
        let pod = &self.object(kind, name)["spec"]["template"]["spec"];
        let described = &pod["containers"][0];
        let mut environment = BTreeMap::new();
        for variable in rows(&described["env"]) {
            let asked = &variable["valueFrom"]["resourceFieldRef"];
            let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
                Value::Null if asked.is_object() => amount(asked, &described["resources"]),
                Value::Null => expanded(&text(&variable["value"]), &environment),
                path if path == "metadata.labels['apps.kubernetes.io/pod-index']" => NUMBER.to_owned(),
                path if path == "metadata.name" => format!("{name}-{NUMBER}"),
                other => panic!("{other} is not known here"),
            };
            environment.insert(text(&variable["name"]), value);
        }
        let command = rows(&described["args"]).map(|word| expanded(&text(word), &environment)).collect();
        let root = self.roots.join(name);
        if root.is_dir() {
            fs::remove_dir_all(&root).unwrap();
        }
        let container = Container::new(root, environment, command);
        for mount in rows(&described["volumeMounts"]) {
            let (volume, at) = (text(&mount["name"]), text(&mount["mountPath"]));
            let Some(source) = rows(&pod["volumes"]).find(|source| source["name"] == volume) else {
                // A claim of its own.
                let folder = self.roots.join(format!("{name}.{volume}"));
                fs::create_dir_all(&folder).unwrap();
                container.mount(&folder, &at);
                continue;
            };
            let files = self.files(source);
            let one = [&mount["subPath"], &mount["subPathExpr"]].into_iter().find_map(Value::as_str);
            match one.map(|one| expanded(one, container.environment())) {
                Some(one) => {
                    let file = files.get(&one).unwrap_or_else(|| panic!("{volume} has no {one}"));
                    container.mount(file, &at);
                }
                None => files.iter().for_each(|(name, file)| container.mount(file, &format!("{at}/{name}"))),
            }
        }
        container
    }

    /// The files of a volume.
    fn files(&self, volume: &Value) -> BTreeMap<String, PathBuf> {
        if let Some(name) = volume["configMap"]["name"].as_str() {
            let data = self.object("ConfigMap", name)["data"].as_object().unwrap();
            let folder = self.roots.join(format!("{name}.config"));
            fs::create_dir_all(&folder).unwrap();
            let file = |(key, value): (&String, &Value)| {
                fs::write(folder.join(key), text(value)).unwrap();
                (key.clone(), folder.join(key))
            };
            return data.iter().map(file).collect();
        }
        if let Some(name) = volume["secret"]["secretName"].as_str() {
            return all(&self.secrets.join(name));
        }
        let mut files = BTreeMap::new();
        for source in rows(&volume["projected"]["sources"]).map(|source| &source["secret"]) {
            let secret = self.secrets.join(text(&source["name"]));
            for item in rows(&source["items"]) {
                let file = secret.join(text(&item["key"]));
                if file.is_file() || source["optional"] != true {
                    files.insert(text(&item["path"]), file);
                }
            }
        }
        files
    }
}

fn all(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), entry.path())
    };
    entries.map(file).collect()
}
