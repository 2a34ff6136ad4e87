"""Django OAuth Toolkit as an OP on loopback: the smallest Django project that is one.

Run by the Python of an environment that has `django-oauth-toolkit`, never imported by the tests.
Settings that are not set here have the toolkit's defaults.

PORT           where to listen
ISSUER         the address it is known by; ends in /o
GATEWAY        origin of the gateway, for its redirect URIs
CLIENT_SECRET  that of the client "spa"
AT_TTL         lifetime of access tokens, in seconds
DATABASE       path of the SQLite file

Ends when stdin closes: with the process that started it.
"""

import os
import sys
import threading

import django
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

LOGIN_PAGE = """<!doctype html><title>Log in</title>
<form id="login" method="post">{% csrf_token %}{{ form }}<button>Log in</button></form>"""
SIGNING_KEY = generate_private_key(65537, 2048).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {"registration/login.html": LOGIN_PAGE},
                    ),
                    "django.template.loaders.app_directories.Loader",
                ],
                "context_processors": ["django.template.context_processors.request"],
            },
        }
    ],
    LOGIN_URL="/login",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": int(os.environ["AT_TTL"]),
        "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": os.environ["ISSUER"],
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": SIGNING_KEY.decode(),
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "SCOPES": {"openid": "who you are", "profile": "your name", "email": "your address"},
    },
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402  needs the settings above
from django.contrib.auth.views import LoginView  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402

urlpatterns = [
    path("login", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


class Validator(OAuth2Validator):
    """Adds the two claims that the tests ask for."""

    oidc_claim_scope = {"sub": "openid", "name": "profile", "email": "email"}  # noqa: RUF012

    def get_additional_claims(self, request):
        return {"name": request.user.get_full_name(), "email": request.user.email}


def end_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    gateway = os.environ["GATEWAY"]
    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user(
        "alice", "alice@example.test", "wonderland", first_name="Alice", last_name="Example"
    )
    Application.objects.create(
        name="spa",
        client_id="spa",
        client_secret=os.environ["CLIENT_SECRET"],
        hash_client_secret=False,  # a slow hash, and each request of the client would wait for it
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        algorithm=Application.RS256_ALGORITHM,
        redirect_uris=f"{gateway}/bff/callback",
        post_logout_redirect_uris=f"{gateway}/",
        skip_authorization=True,
    )
    threading.Thread(target=end_with_parent, daemon=True).start()
    call_command("runserver", f"127.0.0.1:{os.environ['PORT']}", use_reloader=False)


if __name__ == "__main__":
    main()
