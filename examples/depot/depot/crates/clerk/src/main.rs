fn main() {
    println!("clerk {}: {}", stamp::revision!(), stock::in_words());
}
