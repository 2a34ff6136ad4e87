"""[log]: how much is logged, and in which form."""

from typing import Literal

from pydantic import Field

from bff.config.section import Section


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe events that are logged."
    )
    format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )
