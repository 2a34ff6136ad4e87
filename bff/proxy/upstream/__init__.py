"""The side of the APIs: connections to them, the answers read on them, and which one is asked."""
