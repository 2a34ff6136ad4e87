"""The demo: a single-page app with its browser client, an OpenID provider and an API.

Not part of the gateway, and everything in it is public by design.
"""

from pathlib import Path

SPA_ROOT = Path(__file__).parent / "spa"
