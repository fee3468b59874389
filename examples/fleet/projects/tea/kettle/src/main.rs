fn main() {
    let lemon = if cfg!(feature = "lemon") { ", with lemon" } else { "" };
    let steam = if cfg!(feature = "steam") { ", steaming" } else { "" };
    println!("tea in {} minutes{lemon}{steam}", leaf::minutes(6));
}
