//! Every link of the documentation leads to a file, and to a heading of it if it names one; every page is in the book.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use skein_tests::{skipped::note, target_folder, workspace_folder};

/// The pages of `docs/`, by their path in it, without the code in them.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = workspace_folder().join("docs");
    let mut pages = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = without_code(&fs::read_to_string(&path).unwrap());
                pages.insert(path.strip_prefix(&root).unwrap().to_owned(), text);
            }
        }
    }
    pages
}

fn without_code(text: &str) -> String {
    let mut in_code = false;
    let kept = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Where the links of a page lead, Markdown's and HTML's.
fn links(text: &str) -> Vec<&str> {
    let of = |start: &'static str, end: char| {
        text.match_indices(start).filter_map(move |(at, _)| {
            let rest = &text[at + start.len()..];
            rest.find(end).map(|length| &rest[..length])
        })
    };
    of("](", ')').chain(of("src=\"", '"')).chain(of("srcset=\"", '"')).chain(of("href=\"", '"')).collect()
}

/// The anchor of a heading, as mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// A path without `.` and `..`; it may begin with `..`.
fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidied, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir if tidied.file_name().is_some() => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
        tidied
    })
}

fn broken(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = if file.is_empty() { page.to_owned() } else { tidy(&page.parent().unwrap().join(file)) };
    if !pages.contains_key(&target) && !workspace_folder().join("docs").join(&target).exists() {
        return Some(format!("{}: {link}: no such file", page.display()));
    }
    let wanted = heading?;
    let known = pages.get(&target).is_some_and(|text| anchors(text).contains(wanted));
    (!known).then(|| format!("{}: {link}: no such heading", page.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let all = pages.iter().flat_map(|(page, text)| links(text).into_iter().map(move |link| (page, link)));
    let broken: Vec<String> = all.filter_map(|(page, link)| broken(page, link, &pages)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The guide is read as a book too, where only what is in `docs/` can be reached.
#[test]
fn the_guide_links_into_the_book_alone() {
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("guide")) {
        for link in links(text) {
            let outside = tidy(&page.parent().unwrap().join(link)).starts_with("..");
            assert!(!outside, "{}: {link} is outside docs/", page.display());
        }
    }
}

#[test]
fn every_page_is_in_the_summary_once() {
    let pages = pages();
    let listed: Vec<PathBuf> =
        links(&pages[Path::new("SUMMARY.md")]).into_iter().map(PathBuf::from).collect();
    let unique: BTreeSet<&PathBuf> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a page stands twice in SUMMARY.md");
    let missing: Vec<_> =
        pages.keys().filter(|page| *page != Path::new("SUMMARY.md") && !unique.contains(page)).collect();
    assert!(missing.is_empty(), "not in SUMMARY.md: {missing:?}");
}

#[test]
fn what_is_broken_is_found() {
    let page = |text: &str| without_code(text);
    let pages = BTreeMap::from([
        (PathBuf::from("guide/a.md"), page("# One\n## Two words, and `code`\n[x](../cli.md) [y](#three)\n")),
        (PathBuf::from("cli.md"), page("# Command line\n```sh\n# [not](a-link)\n```\n")),
    ]);
    let a = Path::new("guide/a.md");
    assert_eq!(links(&pages[a]), ["../cli.md", "#three"]);
    assert!(links(&pages[Path::new("cli.md")]).is_empty());
    assert_eq!(broken(a, "../cli.md#command-line", &pages), None);
    assert_eq!(broken(a, "#two-words-and-code", &pages), None);
    assert!(broken(a, "#three", &pages).is_some() && broken(a, "../nothing.md", &pages).is_some());
}

#[test]
fn mdbook_builds_the_book() {
    let folder = target_folder().join("book");
    let docs = workspace_folder().join("docs");
    let built = Command::new("mdbook").arg("build").arg(docs).arg("--dest-dir").arg(folder).output();
    match built {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => note("guide::mdbook_builds_the_book", "mdbook not installed"),
    }
}
