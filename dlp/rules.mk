# How rules/*.yaml become part of the binary.
