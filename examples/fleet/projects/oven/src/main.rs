fn main() {
    let fan = if cfg!(feature = "fan") { "with a fan" } else { "still" };
    println!("oven of {}, {fan}, from {}", env!("OVEN_COMMIT"), file!());
}
