// scale weighs what it is told to.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

type weight struct {
	Name  string `json:"name"`
	Grams int    `json:"grams"`
}

func weigh(name string) weight {
	return weight{Name: name, Grams: 10 * len(name)}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(weigh(r.URL.Path))
		})
		fmt.Fprintln(os.Stderr, http.ListenAndServe("localhost:8080", nil))
		os.Exit(1)
	}
	for _, name := range os.Args[1:] {
		_ = json.NewEncoder(os.Stdout).Encode(weigh(name))
	}
}
