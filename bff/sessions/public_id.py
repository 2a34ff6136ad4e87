"""What a session is called where people see it: in lists of devices, in the admin API, in commands.

Derived from the session's key and not to be turned back: it opens nothing, is no cookie and is not
where the store keeps the session.
"""

import base64
import hashlib

_LABEL = b"bff.session-public-id\n"
_DIGEST_BYTES = 16


def public_id(session_key: str) -> str:
    """22 base64url characters, always the same for one session."""
    digest = hashlib.sha256(_LABEL + session_key.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES]).rstrip(b"=").decode("ascii")
