"""The applications of a gateway, each with the whole configuration that holds for it: that of the
top level, with the application's own keys in their place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bff.config.sections import Section, SectionT
from bff.config.sections.frontends import FrontendSettings, parse_app_url
from bff.config.sections.providers import ProviderSettings
from bff.config.sections.session import SessionSettings
from bff.config.settings import Settings
from bff.model import DEFAULT_FRONTEND
from bff.oidc.provider.endpoint_url import is_loopback


@dataclass(frozen=True, slots=True)
class Frontend:
    """`settings` are those of the file, with the application's own in their place. `base_path` is
    what all its paths begin with, such as `/shop`; empty where it has a whole origin. Paths in
    `settings` begin behind it."""

    name: str
    settings: Settings = field(repr=False)
    base_path: str = ""

    @property
    def prefix(self) -> str:
        """The path below which its own endpoints are."""
        return self.base_path + self.settings.server.prefix

    @property
    def url(self) -> str:
        """What the browser sees, without a slash at the end."""
        return self.settings.server.public_url + self.base_path

    def redirect_uri_of(self, provider: str) -> str:
        """Where the provider's OP sends the browser after a login."""
        server = self.settings.server
        return self.url + server.redirect_uri_of(provider).removeprefix(server.public_url)

    def post_logout_path_of(self, provider: str) -> str:
        """The path at which a logout ends that asks for no other."""
        return self.base_path + self.settings.providers[provider].post_logout_path

    def post_logout_uri_of(self, provider: str) -> str:
        """Where the provider's OP sends the browser after a logout."""
        if self.settings.session.logout_return_paths:
            return f"{self.settings.server.public_url}{self.prefix}/logged-out"
        return self.settings.server.public_url + self.post_logout_path_of(provider)

    @property
    def session_cookie(self) -> str:
        """The name of the session cookie."""
        return self.settings.cookie_name

    @property
    def binder_cookie(self) -> str:
        """The name of the cookie of logins that are open."""
        return f"{self.session_cookie}-login"

    @property
    def logout_cookie(self) -> str:
        """The name of the cookie of a logout that is at the OP."""
        return f"{self.session_cookie}-logout"

    @property
    def host_names(self) -> frozenset[str]:
        """Its hosts without ports, of which cookies know nothing."""
        hosts = self.settings.server.hosts
        return frozenset(urlsplit(f"//{host.decode()}").hostname or "" for host in hosts)


def frontends_of(settings: Settings) -> tuple[Frontend, ...]:
    """All of them, in the order of the file; the top level, where there is no other."""
    if not settings.frontends:
        return (Frontend(DEFAULT_FRONTEND, settings),)
    return tuple(_resolved(settings, own) for own in settings.frontends)


def paths_above(path: str) -> Iterator[str]:
    """Those that a base path lies below, the longest first; the empty one is last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def paths_below(frontends: Sequence[Frontend]) -> Mapping[str, tuple[str, ...]]:
    """Of each frontend, by its name, the base paths of others on a host of its own that lie below
    its path."""
    hosts = {one.name: one.settings.server.hosts for one in frontends}
    at = {(host, one.base_path): one.name for one in frontends for host in hosts[one.name]}
    found: dict[str, dict[str, None]] = {one.name: {} for one in frontends}
    for one in frontends:
        for above in paths_above(one.base_path):
            for host in hosts[one.name]:
                if (host, above) in at:
                    found[at[host, above]][one.base_path] = None
    return {name: tuple(paths) for name, paths in found.items()}


def _resolved(top: Settings, own: FrontendSettings) -> Frontend:
    server = {"public_url": own.origin, "additional_hosts": own.hosts}
    changes: dict[str, object] = {
        "frontends": (),
        "oidc": None,
        "server": top.server.model_copy(update=server),
        "session": _session(top.session, own),
        "user": _with(top.user, own.user),
        "csrf": _with(top.csrf, own.csrf),
    }
    changes |= {
        name: getattr(own, name) for name in ("routes", "spa") if name in own.model_fields_set
    }
    changes["providers"] = _providers(top.providers, own)
    return Frontend(own.name, top.model_copy(update=changes), own.base_path)


def _providers(
    top: Mapping[str, ProviderSettings], own: FrontendSettings
) -> dict[str, ProviderSettings]:
    providers = {name: top[name] for name in own.providers or top}
    if "email_domains" in own.model_fields_set:
        for name, provider in providers.items():
            domains = tuple(one for one, at in own.email_domains.items() if at == name)
            providers[name] = provider.model_copy(update={"email_domains": domains})
    return providers


def _session(top: SessionSettings, own: FrontendSettings) -> SessionSettings:
    session = _with(top, own.session)
    if not own.base_path or "cookie_name" in own.session.model_fields_set:
        return session
    # RFC 6265bis section 4.1.3: `__Host-` is for cookies of a whole host only.
    prefix = "__Secure-" if own.origin.startswith("https:") else ""
    return session.model_copy(update={"cookie_name": f"{prefix}bff-{own.name}"})


def _with(top: SectionT, own: Section) -> SectionT:
    given = {name: getattr(own, name) for name in own.model_fields_set}
    return top.model_copy(update=given) if given else top


def with_public_url(raw: Mapping[str, object]) -> Mapping[str, object]:
    """The tables of a file with frontends, completed by the origin that the top level goes by: one
    that other machines' browsers can use, if there is such a frontend."""
    frontends, server = raw.get("frontends"), raw.get("server", {})
    if not (isinstance(frontends, list) and frontends and isinstance(server, Mapping)):
        return raw
    if "public_url" in server:
        return raw
    origins = [origin for one in frontends if (origin := _origin_in(one)) is not None]
    public = [one for one in origins if not is_loopback(urlsplit(one).hostname or "")]
    origin = next(iter((*public, *origins)), "https://frontend.invalid")
    return {**raw, "server": {**server, "public_url": origin}}


def _origin_in(frontend: object) -> str | None:
    try:
        parts = urlsplit(parse_app_url(frontend["public_url"]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None
    return f"{parts.scheme}://{parts.netloc}"
