//! The vocabulary and the decisions of Skein: no driver, no socket, no clock of its own
