"""The deployment files, and the secrets that go with them, for the tests of both."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def make_secrets(folder: Path) -> Path:
    """What `deploy/make-secrets` makes, in a folder that is not there yet."""
    subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True)
    return folder


def secret_settings(folder: Path) -> dict[str, str]:
    """The environment that tells a gateway where the secrets are, instead of /run/secrets."""
    return {
        "BFF_OIDC__CLIENT_SECRET_FILE": str(folder / "client_secret"),
        "BFF_OIDC__CA_FILE": str(folder / "ca_certificate"),
        "BFF_SESSION__SECRETS_FILE": str(folder / "session_secrets"),
        "BFF_SESSION__STORE_FILE": str(folder / "redis_url"),
    }
