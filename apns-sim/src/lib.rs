//! An APNs that behaves like Apple's, with faults on demand
