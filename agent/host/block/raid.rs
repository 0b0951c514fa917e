//! Arrays of mdadm.
