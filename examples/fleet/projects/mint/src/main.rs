//! Says what kind of mint it is.

fn main() {
    let kind = if cfg!(feature = "leaf") { "leaf" } else { "oil" };
    println!("mint {kind}");
}
