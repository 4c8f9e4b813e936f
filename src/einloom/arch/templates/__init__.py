"""Built-in templates, one module each, registered as entry points exactly as third-party ones are."""
