"""The tests, a package by name: libraries ship one of the same name, which would come first."""
