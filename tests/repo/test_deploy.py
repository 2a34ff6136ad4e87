"""The image and the composition: they fit together, fit the product, and are as closed as they
claim. No Docker runs here, so both are judged by what they say; the configuration is loaded.
"""

import ipaddress
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bff.config import Settings, load
from spa_demo import SPA_ROOT
from tests.parts.deployment import DEPLOY, ROOT, make_secrets, secret_settings

OUR_SERVICES = ("bff-1", "bff-2", "op", "api")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("deploy") / "secrets")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def settings(secrets: Path) -> Settings:
    """deploy/bff.toml as a container would load it, with its secrets where they are here."""
    return load(DEPLOY / "bff.toml", secret_settings(secrets))


# --- the image --------------------------------------------------------------------------------


def dockerfile_steps() -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_runs_unprivileged_and_in_exec_form() -> None:
    """A numeric user lets an orchestrator verify it; without a shell signals reach the process."""
    steps = dockerfile_steps()
    final = steps[max(i for i, step in enumerate(steps) if step.startswith("FROM")) :]
    (user,) = [step.split()[1] for step in final if step.startswith("USER")]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    for keyword in ("ENTRYPOINT", "CMD"):
        assert [step for step in final if step.startswith(f"{keyword} [")]
    assert not [step for step in final if step.startswith(("RUN", "ADD"))]


def test_the_image_installs_nothing_unpinned() -> None:
    """Every install is by hash, or of the wheel that the stage itself has built."""
    installs = [step for step in dockerfile_steps() if "pip" in step and "install" in step]
    assert len(installs) == 3
    for step in installs:
        assert "--require-hashes" in step or ("--no-deps" in step and "--no-index" in step), step


def test_the_build_context_holds_only_what_is_copied() -> None:
    """Secrets, tests and history never enter the build."""
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in ignore
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    copied: set[str] = set()
    for step in dockerfile_steps():
        if step.startswith("COPY") and "--from" not in step:
            copied.update(step.split()[1:-1])
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


class _Health(BaseHTTPRequestHandler):
    status = 200
    paths: list[str] = []  # noqa: RUF012 - one server at a time

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def admin_port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_the_admin_listener(
    admin_port: int, settings: Settings, status: int, healthy: bool
) -> None:
    """A gateway that says it is not well counts as unhealthy; no curl is needed for that."""
    (step,) = [step for step in dockerfile_steps() if step.startswith("HEALTHCHECK")]
    program, option, code = yaml.safe_load(step.partition("CMD ")[2])
    assert (program, option) == ("/opt/bff/bin/python", "-c")
    assert settings.server.admin_listen in code
    _Health.status, _Health.paths = status, []
    code = code.replace(settings.server.admin_listen, f"127.0.0.1:{admin_port}")
    done = subprocess.run([sys.executable, option, code], capture_output=True, check=False)
    assert (done.returncode == 0) is healthy
    assert _Health.paths == ["/healthz"]


# --- the composition --------------------------------------------------------------------------


def test_every_container_is_locked_down(compose: dict[str, Any]) -> None:
    """No service may write to its image, hold capabilities or gain any."""
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
        assert "privileged" not in service
        assert service["ulimits"] == {"core": 0}, name
        assert "user" in service or name in OUR_SERVICES, f"{name} runs as the image's user"
        for mount in service.get("volumes", []):
            assert mount.endswith(":ro") or mount == "redis:/data", name


def test_only_caddy_is_published(compose: dict[str, Any]) -> None:
    """And only on loopback; every network but Caddy's own has no way out."""
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {"caddy": ["127.0.0.1:8443:8443"]}
    open_networks = {
        name for name, network in compose["networks"].items() if not network.get("internal")
    }
    assert open_networks == {"edge"}
    assert {name for name, _ in members(compose, "edge")} == {"caddy"}


def members(compose: dict[str, Any], network: str) -> list[tuple[str, dict[str, Any]]]:
    """The services on a network, and what they are told about it."""
    found = []
    for name, service in compose["services"].items():
        assert "network_mode" not in service
        networks = service["networks"]
        if network in networks:
            found.append((name, networks[network] if isinstance(networks, dict) else {}))
    return found


@pytest.mark.parametrize(
    ("network", "allowed"),
    [
        ("store", {"redis", "bff-1", "bff-2"}),
        ("api", {"api", "bff-1", "bff-2"}),
        ("front", {"caddy", "bff-1", "bff-2"}),
        ("back", {"caddy", "op", "api"}),
    ],
)
def test_services_meet_only_where_they_must(
    compose: dict[str, Any], network: str, allowed: set[str]
) -> None:
    """Nothing but the gateways reaches Redis and the API; nothing but Caddy the gateways' door."""
    assert {name for name, _ in members(compose, network)} == allowed


def test_secrets_are_files_and_each_service_has_only_its_own(compose: dict[str, Any]) -> None:
    """An environment variable shows in `docker inspect`, in crash dumps and to child processes."""
    services = compose["services"]
    given = {name: set(service.get("secrets", [])) for name, service in services.items()}
    gateway = {"client_secret", "session_secrets", "redis_url", "ca_certificate"}
    assert given == {
        "caddy": {"tls_certificate", "tls_key"},
        "bff-1": gateway,
        "bff-2": gateway,
        "redis": {"redis_acl"},
        "op": {"client_secret", "ca_certificate"},
        "api": {"ca_certificate"},
    }
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            assert "SECRET" not in name
            assert "PASSWORD" not in name
            assert "://" not in value
    assert {secret["file"] for secret in compose["secrets"].values()} == {
        f"./secrets/{name}" for name in compose["secrets"]
    }


def test_make_secrets_makes_what_the_composition_names(
    compose: dict[str, Any], secrets: Path
) -> None:
    """One more or one less would be noticed only when it does not start."""
    made = {path.name for path in secrets.iterdir() if path.name != ".gitignore"}
    assert made == set(compose["secrets"])


def test_mounted_files_are_there(compose: dict[str, Any]) -> None:
    """Docker makes a folder of a bind mount whose source is missing."""
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source


# --- the configuration, and that everything agrees with it -------------------------------------


def test_the_gateway_accepts_its_configuration(settings: Settings) -> None:
    """And it is a production one: https, a shared store, Strict, admin out of reach."""
    assert settings.server.is_https
    assert not settings.session.is_in_memory
    assert settings.session.same_site == "strict"
    assert settings.server.admin_listen.startswith("127.0.0.1:")
    assert settings.spa.root is None


def test_the_listener_for_a_caddy_that_asks_can_be_switched_on(
    tmp_path: Path, secrets: Path
) -> None:
    """It is there as a comment, beside the trusted proxy that it needs."""
    path = tmp_path / "bff.toml"
    path.write_text((DEPLOY / "bff.toml").read_text().replace("# auth_listen", "auth_listen"))
    assert load(path, secret_settings(secrets)).server.auth_listen == "0.0.0.0:8081"


def test_the_gateway_trusts_caddy_only(compose: dict[str, Any], settings: Settings) -> None:
    """X-Forwarded-* count from Caddy's one address; it must be the one that Caddy has."""
    (front,) = [told for name, told in members(compose, "front") if name == "caddy"]
    caddy = ipaddress.ip_network(front["ipv4_address"])
    assert settings.server.trusted_proxies == (caddy,)
    (pool,) = compose["networks"]["front"]["ipam"]["config"]
    assert caddy.subnet_of(ipaddress.IPv4Network(pool["subnet"]))  # type: ignore[arg-type]


def test_names_and_ports_agree(compose: dict[str, Any], settings: Settings, secrets: Path) -> None:
    """The OP is one URL for browsers and gateways; its client is registered as configured."""
    services = compose["services"]
    public, issuer = settings.server.public_url, settings.providers["default"].issuer
    assert f"--issuer={issuer}" in services["op"]["command"]
    assert f"--issuer={issuer}" in services["api"]["command"]
    assert f"--redirect-uri={public}/bff/callback" in services["op"]["command"]
    assert f"--post-logout-redirect-uri={public}/" in services["op"]["command"]
    assert f"--backchannel-logout-uri={public}/bff/backchannel-logout" in services["op"]["command"]
    environment = services["caddy"]["environment"]
    port = settings.server.listen.rpartition(":")[2]
    assert environment["GATEWAY"].split() == [f"bff-1:{port}", f"bff-2:{port}"]
    assert f"https://{environment['SITE_ADDRESS']}" == public
    assert f"{issuer} {{" in (DEPLOY / "Caddyfile").read_text()
    (upstream,) = settings.routes[0].upstream
    assert str(upstream).startswith("http://api:9000")
    assert "--port=9000" in services["api"]["command"]
    assert "@redis:6379/" in (secrets / "redis_url").read_text()
    issuer_host = issuer.removeprefix("https://").partition(":")[0]
    for network in ("front", "back"):
        (caddy,) = [told for name, told in members(compose, network) if name == "caddy"]
        assert issuer_host in caddy["aliases"]


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def test_containers_get_the_time_to_stop_that_the_gateway_needs(
    compose: dict[str, Any], settings: Settings
) -> None:
    """Killed before its own deadline, the gateway would cut running requests off."""
    for name in ("bff-1", "bff-2"):
        grace = seconds(compose["services"][name]["stop_grace_period"])
        assert grace > settings.server.shutdown_delay + settings.server.shutdown_timeout


def caddy_seconds(option: str) -> float:
    """As the project's Caddyfile has it for the gateways."""
    (found,) = re.findall(rf"^\t+{option} (\S+)$", (ROOT / "Caddyfile").read_text(), re.MULTILINE)
    return seconds(found)


def test_caddy_turns_away_before_a_gateway_stops(
    compose: dict[str, Any], settings: Settings
) -> None:
    """It asks where the gateway says so, for nothing that both gateways depend on, in good time."""
    environment = compose["services"]["caddy"]["environment"]
    assert settings.server.health_listen == f"0.0.0.0:{environment['GATEWAY_HEALTH_PORT']}"
    assert environment["GATEWAY_HEALTH"] == "/readyz?exclude=op&exclude=store"
    asked = caddy_seconds("health_interval") + caddy_seconds("health_timeout")
    assert settings.server.shutdown_delay > asked


def test_caddy_closes_its_connections_first(settings: Settings) -> None:
    """A POST on a connection that the gateway is closing would be lost."""
    assert caddy_seconds("keepalive") < settings.server.keepalive_timeout


# --- the one with Keycloak -----------------------------------------------------------------------

WITH_KEYCLOAK = DEPLOY / "keycloak"


def test_keycloak_gateway_and_api_agree_on_their_addresses(secrets: Path) -> None:
    """Browsers know Keycloak by its published port, the others by its name in the network."""
    services = yaml.safe_load((WITH_KEYCLOAK / "docker-compose.yml").read_text())["services"]
    (realm,) = [json.loads(path.read_text()) for path in WITH_KEYCLOAK.glob("*.json")]
    environ = {
        name: path
        for name, path in secret_settings(secrets).items()
        if name in ("BFF_OIDC__CLIENT_SECRET_FILE", "BFF_SESSION__SECRETS_FILE")
    }
    settings = load(WITH_KEYCLOAK / "bff.toml", {**environ, "BFF_SPA__ROOT": str(SPA_ROOT)})
    server, op = settings.server, settings.providers["default"]
    (client,) = realm["clients"]

    published = {port for service in services.values() for port in service.get("ports", ())}
    assert published == {"127.0.0.1:8080:8080", "127.0.0.1:8081:8080"}
    assert server.public_url == "http://localhost:8080"
    assert op.issuer == f"http://localhost:8081/realms/{realm['realm']}"
    assert "--hostname=http://localhost:8081" in services["keycloak"]["command"]
    assert f"--issuer={op.issuer}" in services["api"]["command"]
    assert f"--discovery-url={op.discovery_url}" in services["api"]["command"]
    assert str(op.discovery_url).startswith("http://keycloak:8080/")
    assert op.allow_http_hosts == ("keycloak:8080",)
    assert client["clientId"] == op.client_id
    assert client["redirectUris"] == [f"{server.public_url}/bff/callback"]
    assert client["attributes"]["post.logout.redirect.uris"] == f"{server.public_url}/"
    told_at = client["attributes"]["backchannel.logout.url"]
    assert told_at == f"http://{server.additional_hosts[0]}/bff/backchannel-logout"
    assert server.additional_hosts == ("bff:8080",)
    known = {scope["name"] for scope in realm["clientScopes"]} | {"openid"}
    assert known >= {*op.scope.split()}
    for mount in (mount for one in services.values() for mount in one.get("volumes", ())):
        assert (WITH_KEYCLOAK / mount.partition(":")[0]).exists(), mount
