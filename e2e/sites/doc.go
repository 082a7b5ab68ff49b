// Package sites looks at every place in which large programs of others make a closure.
package sites
