//! Least privilege on real services: what init makes, that it makes it once, and that the probe finds what is too wide.

mod made;
mod planted;
mod site;
mod working;
