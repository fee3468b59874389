fn main() {
    println!("a crumb");
}
