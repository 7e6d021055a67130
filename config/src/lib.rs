//! Every setting of Skein: type, default, check
