"""Where keys come from: the TOML file, the environment, and files that hold one secret each."""
