// Package about says which tongs these are.
package about

// Version is set by the linker.
var Version = "none"
