fn main() {
    println!("no leaves after {} minutes", leaf::minutes(2));
}
