//! Parameters: names, kinds, bounds, defaults, file and command-line syntax.
