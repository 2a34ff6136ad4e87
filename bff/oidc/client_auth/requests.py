"""Requests that the gateway makes in its own name, at endpoints where the OP authenticates it.

Each carries credentials of its own: an assertion serves once. A client secret that is changed at
the OP and in its file is found when the OP refuses the old one, and the refused request is sent
again, once: such a refusal comes before anything is judged or spent (RFC 6749 section 5.2). So does
one for want of a nonce in the proof of a DPoP key (RFC 9449 section 8).
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from bff.clock import Clock
from bff.oidc.client_auth.methods import ClientAuth, require_supported
from bff.oidc.dpop import FIELD, USE_NONCE, DpopKey, Proofs, server_and_path
from bff.oidc.provider.endpoint_url import Parameters
from bff.oidc.provider.http import OpAnswer, OpHttp
from bff.oidc.provider.metadata import Discovery
from bff.oidc.provider.op_text import error_code

log = structlog.get_logger("bff.oidc")


class ClientRequests:
    """Those of one client. `read_secret` reads the file of its secret anew and raises ValueError,
    with the rest of a sentence, for one that can't be used."""

    def __init__(
        self,
        http: OpHttp,
        discovery: Discovery,
        auth: ClientAuth,
        clock: Clock,
        read_secret: Callable[[], str] | None,
    ) -> None:
        self._http = http
        self._discovery = discovery
        self._auth = auth
        self._clock = clock
        self._read_secret = read_secret
        self._proofs = Proofs(clock)

    async def require_supported(self) -> None:
        """The OP takes this kind of authentication. Raises: OpError."""
        require_supported(self._auth, await self._discovery.metadata())

    async def post(
        self,
        name: str,
        url: str,
        form: Parameters,
        *,
        key: DpopKey | None = None,
        at_least_seconds: float = 0.0,
    ) -> OpAnswer:
        """POST `form` with the client's credentials, and with a proof of `key` if there is one.
        Parameters and errors as `OpHttp.post`, and

        Raises:
            OpMetadataRefused: the OP does not take this kind of authentication.
        """
        used = self._auth
        answer = await self._post(used, name, url, form, key, at_least_seconds)
        other = self._with_other_secret(used.client_secret) if _refuses_client(answer) else None
        if other is None:
            return answer
        answer = await self._post(other, name, url, form, key, at_least_seconds)
        if not _refuses_client(answer) and other != self._auth:  # else the former may still be good
            self._auth = other
            log.info("client_secret_changed", provider=self._discovery.provider)
        return answer

    async def _post(
        self,
        auth: ClientAuth,
        name: str,
        url: str,
        form: Parameters,
        key: DpopKey | None,
        at_least_seconds: float,
    ) -> OpAnswer:
        server, path = server_and_path(url)
        metadata = await self._discovery.metadata()

        async def send() -> OpAnswer:
            credentials = auth.credentials(metadata, self._clock.now())
            headers = credentials.headers
            if key is not None:
                headers[FIELD] = self._proofs.proof(key, "POST", server, path)
            answer = await self._http.post(
                name,
                url,
                {**form, **credentials.form},
                headers,
                at_least_seconds=at_least_seconds,
            )
            self._proofs.keep_nonce(server, answer.dpop_nonce)
            return answer

        used = self._proofs.nonce_of(server)
        answer = await send()
        has_another = self._proofs.nonce_of(server) != used
        return await send() if _wants_nonce(answer) and has_another else answer

    def _with_other_secret(self, refused: str) -> ClientAuth | None:
        """With that of the file, if it is another one than the OP has just refused."""
        if self._read_secret is None:
            return None
        try:
            auth = replace(self._auth, client_secret=self._read_secret())
        except ValueError as error:
            reason = str(error)
            log.warning("client_secret_unusable", provider=self._discovery.provider, reason=reason)
            return None
        return None if auth.client_secret == refused else auth


def _wants_nonce(answer: OpAnswer) -> bool:
    return answer.status in (400, 401) and error_code(answer.document) == USE_NONCE


def _refuses_client(answer: OpAnswer) -> bool:
    """Some OPs have another code for it, with the status of RFC 6749 section 5.2."""
    return answer.status == 401 or error_code(answer.document) == "invalid_client"
