fn main() {
    println!("keeper {}: {}", stamp::revision!(), stock::in_words());
}
