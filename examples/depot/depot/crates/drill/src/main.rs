fn main() {
    println!("drill {}: {} ({})", stamp::revision!(), stock::in_words(), stock::place());
}
