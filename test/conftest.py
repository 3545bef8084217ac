"""For every section that pytest runs."""
pytest_plugins = ["harness.shared_files"]
