//! Everything in this workspace is built with loom's atomics, without flags that somebody has to remember.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
