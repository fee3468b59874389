package main

func main() {
	println("around the tongs")
}
