package main

import "example.org/tongs/internal/about"

func main() {
	println("tongs", about.Version)
}
