// Package refused builds programs in the ways that flame refuses by name, and looks at what it says.
package refused
