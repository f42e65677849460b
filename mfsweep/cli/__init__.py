"""The command line: `main` holds the commands, `run` and `show` what they do and print."""
