"""The command `sdr`: one module a command, which parses its arguments, calls the other packages and prints."""
