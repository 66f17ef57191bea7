# The tests beyond the unit tests.
include tests/fuzz/fuzz.mk
