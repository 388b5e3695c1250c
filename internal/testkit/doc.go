// Package testkit is what the tests of several packages share: databases that cost nothing to have. Only tests import it.
//
// It leaves no goroutines behind, so that it can be used under goleak.
package testkit
