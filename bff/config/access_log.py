"""[access_log]: one line for each request of the public listener."""

from typing import Literal

from pydantic import Field, StrictBool

from bff.config.files import FilePath
from bff.config.section import Section


class AccessLogSettings(Section):
    enabled: StrictBool = Field(
        default=False, description="Write one line for each request that was answered or cut off."
    )
    format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )
    file: FilePath | None = Field(
        default=None,
        description="Where the lines go; by default to standard output. A file that was moved away "
        "is opened anew within a second, one that was cut to nothing goes on at its beginning.",
        examples=["/var/log/bff/access.log"],
    )
    address: Literal["full", "truncated", "off"] = Field(
        default="truncated",
        description="The client's address: `truncated` keeps the network (/24, or /48 with IPv6).",
    )
    path: StrictBool = Field(
        default=False,
        description="Write the path of each request too, never its query. By default a line names "
        "the route only: paths often hold names and numbers of people.",
    )
