//! A credential's topics as a cell of a table.

/// The most characters of topics in a cell of a table; the first topic stands there whole.
const TOPICS_CHARS_MAX: usize = 40;

/// Topics in a cell: as many as fit, and how many more there are.
pub fn some(topics: &[String]) -> String {
    let mut cell = match topics {
        [] => return "-".to_owned(),
        [first, ..] => first.clone(),
    };
    let mut shown = 1;
    for topic in &topics[1..] {
        if cell.chars().count() + topic.chars().count() + 2 > TOPICS_CHARS_MAX {
            break;
        }
        cell = format!("{cell}, {topic}");
        shown += 1;
    }
    match topics.len() - shown {
        0 => cell,
        more => format!("{cell} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_as_many_topics_as_fit() {
        let cell =
            |topics: &[&str]| some(&topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>());
        assert_eq!(cell(&[]), "-", "an older sender's word, or none");
        assert_eq!(cell(&["com.example.im"]), "com.example.im");
        assert_eq!(cell(&["com.example.im", "com.example.im.voip"]), "com.example.im, com.example.im.voip");
        let many =
            ["com.example.im", "com.example.im.voip", "com.example.im.complication", "com.example.im.x"];
        assert_eq!(cell(&many), "com.example.im, com.example.im.voip and 2 more");
        let long = "a".repeat(60);
        assert_eq!(cell(&[&long, "b"]), format!("{long} and 1 more"));
    }
}
