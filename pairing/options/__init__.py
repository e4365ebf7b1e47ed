"""The flags of the pairing commands, and the settings they make."""
