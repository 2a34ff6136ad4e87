"""What every test directory shares."""

pytest_plugins = ["tests.rules.plugin"]
