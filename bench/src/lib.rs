//! Our figures, measured beside a baseline in the same run
