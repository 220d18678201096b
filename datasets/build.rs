//! The bundled tasks are embedded at compile time; cargo has to look again when
//! one of them changes.

fn main() {
    println!("cargo:rerun-if-changed=bundled");
}
