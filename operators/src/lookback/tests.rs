//! Laws of this module.
