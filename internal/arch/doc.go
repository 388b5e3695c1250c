// Package arch holds rules that no compiler checks: who may import whom, what the schema promises about itself, and
// what must not be left lying about. It has no code of its own.
package arch
