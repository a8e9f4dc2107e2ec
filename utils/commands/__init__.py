"""The command `sdr`. Each command is one module that parses arguments, calls the other packages and prints."""
