"""To whom records belong in tests of parts: any client at any OP."""

from bff.sessions.sealing.keyring import RecordOwner

OWNER = RecordOwner("https://op.example", "spa")
