//! What the guide says, held against what is so: its producers against a real fleet, its reference against the code, its
//! links against the files.

mod alarm_table;
mod bridge;
mod languages;
mod links;
mod metric_names;
mod producers;
mod reference;
mod snippets;
mod verdict_table;

use skein_test_site::{fleet, site};
