fn main() {
    println!("stove: lemon {}, steam {}", cfg!(feature = "lemon"), cfg!(feature = "steam"));
    println!("of {}", file!());
}
