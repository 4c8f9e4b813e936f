"""YAML in, value objects out: the only code that reads user files."""
