// scale weighs what it is told to.
package main

import "os"

var version = "none"

func main() {
	for _, name := range os.Args[1:] {
		println(name, 10*len(name))
	}
	println("scale", version)
}
