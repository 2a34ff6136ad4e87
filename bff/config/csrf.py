"""[csrf]: the header that a page of another origin cannot send without a preflight."""

from typing import Annotated

from pydantic import AfterValidator, Field

from bff.config.section import Section
from bff.config.texts import FieldValue, Token
from bff.gate.csrf import HEADER_NAME, HEADER_VALUE, CsrfGuard, require_guarding


class CsrfSettings(Section):
    header_name: Annotated[Token, AfterValidator(require_guarding)] = Field(
        default=HEADER_NAME,
        description="Header that every call of the app must carry.",
    )
    header_value: FieldValue = Field(default=HEADER_VALUE, description="Its value.")

    def guard(self, origin: str) -> CsrfGuard:
        """The guard of an application at `origin`."""
        return CsrfGuard(
            origin=origin.encode(),
            header_name=self.header_name.lower().encode(),
            header_value=self.header_value.encode(),
        )
