// ladle says what it holds.
package main

func main() {
	println("half a litre, or", version)
}
