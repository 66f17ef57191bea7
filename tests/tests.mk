# The tests beyond the unit tests.
