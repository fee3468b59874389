fn main() {
    println!("measured: {}", stock::in_words());
}
