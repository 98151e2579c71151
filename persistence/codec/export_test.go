package codec

// FromJSON is for tests of what is read.
var FromJSON = fromJSON
