//! The main path: take, send, judge, record, settle
