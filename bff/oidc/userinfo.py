"""UserInfo (OIDC Core section 5.3): claims the ID token left out, believed only when they are about
the same user. Signed or encrypted answers (`application/jwt`) are not asked for and not taken.
"""

from bff.errors import IdTokenInvalid, OpAnswerMalformed, OpMetadataRefused
from bff.oidc.http import OpHttp
from bff.oidc.metadata import ProviderMetadata

MAX_USERINFO_BYTES = 64 * 1024  # becomes part of every session


async def fetch_userinfo(
    http: OpHttp, metadata: ProviderMetadata, access_token: str, sub: str
) -> dict[str, object]:
    """The claims about `sub`. Raises as `process_userinfo`, and OpError."""
    if metadata.userinfo_endpoint is None:
        raise OpMetadataRefused("userinfo_endpoint is missing but userinfo is configured")
    answer = await http.get(
        "userinfo",
        metadata.userinfo_endpoint,
        {"Authorization": f"Bearer {access_token}"},
        max_bytes=MAX_USERINFO_BYTES,
    )
    return process_userinfo(answer.status, answer.document, sub=sub)


def process_userinfo(status: int, document: object, *, sub: str) -> dict[str, object]:
    """Judge a UserInfo answer for the user `sub` of the ID token.

    Raises:
        IdTokenInvalid: `userinfo_sub`, the answer is about somebody else or nobody.
        OpAnswerMalformed: not a 200 with a JSON object.
    """
    if status != 200 or not isinstance(document, dict):
        raise OpAnswerMalformed(f"userinfo: status {status} or not a JSON object")
    if document.get("sub") != sub:  # section 5.3.2: MUST be identical, else not used
        raise IdTokenInvalid("userinfo_sub")
    return document
