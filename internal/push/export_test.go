package push

// Seal is tested against the vector of RFC 8291, which fixes what is random.
var Seal = seal
