fn main() {
    println!("a saucer{}", if cfg!(feature = "rim") { " with a rim" } else { "" });
}
