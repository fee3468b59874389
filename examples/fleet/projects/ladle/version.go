package main

var version = "nothing"
