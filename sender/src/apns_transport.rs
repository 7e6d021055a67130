//! The transport seam over the APNs client.
