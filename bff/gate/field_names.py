"""Names of request fields that speak for the gateway: the one table of them, with the reason.

Servers, frameworks and APIs behind an authenticating proxy believe these: which user it is, where
the request came from, which URL or method it is about. A browser's own are never forwarded (RFC
9700 section 4.13). A method is among them because a route lists the methods that may pass. Left out
on purpose: names that some application made up for its own data (`X-User-Timezone`), and keys that
a caller sends to be checked (`X-API-Key`).
"""

from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a server would take from the field."""

    IDENTITY = "identity"
    ADDRESS = "address"
    URL = "URL"  # scheme, host or path
    METHOD = "method"
    MESSAGE = "message"  # what each hop says for itself


@dataclass(frozen=True, slots=True)
class Believed:
    """`names` are separated by spaces; with a `*` at its end one is a family. `by` are the
    programs that believe them."""

    meaning: Meaning
    by: str
    names: str


TABLE = (
    Believed(Meaning.IDENTITY, "every API", "Authorization Cookie DPoP DPoP-Nonce"),
    Believed(
        Meaning.IDENTITY,
        "oauth2-proxy, Traefik, nginx auth_request",
        "X-Auth-Request-* X-Auth-User X-Auth-User-Id X-Auth-Username X-Auth-Name X-Auth-Email "
        "X-Auth-Groups X-Auth-Roles X-Auth-Subject",
    ),
    Believed(
        Meaning.IDENTITY,
        "CGI, Authelia, Kubernetes",
        "Remote-User Remote-Name Remote-Email Remote-Groups X-Remote-*",
    ),
    Believed(
        Meaning.IDENTITY,
        "APIs behind a gateway",
        "X-User X-UserId X-Username X-User-Id X-User-Name X-User-Login X-User-Email X-User-Mail "
        "X-User-Group X-User-Groups X-User-Role X-User-Roles X-User-Scopes X-User-Permissions "
        "X-User-Claims X-User-Sub X-User-Subject X-User-Dn X-User-Info X-Userinfo X-User-Jwt "
        "X-User-Token X-User-Tenant X-Authenticated-* X-Jwt-* X-Id-Token X-Access-Token "
        "X-Principal X-RH-Identity",
    ),
    Believed(Meaning.IDENTITY, "mod_auth_openidc", "OIDC-*"),
    Believed(Meaning.IDENTITY, "Grafana", "X-WEBAUTH-*"),
    Believed(Meaning.IDENTITY, "Kong", "X-Consumer-* X-Credential-* X-Anonymous-Consumer"),
    Believed(Meaning.IDENTITY, "Azure", "X-MS-Client-Principal* X-MS-Token-*"),
    Believed(Meaning.IDENTITY, "AWS", "X-Amzn-Oidc-* X-Amzn-Mtls-*"),
    Believed(
        Meaning.IDENTITY,
        "Google Cloud",
        "X-Goog-Authenticated-User-* X-Goog-IAP-JWT-Assertion X-Serverless-Authorization "
        "X-Apigateway-Api-Userinfo X-Endpoint-API-UserInfo",
    ),
    Believed(
        Meaning.IDENTITY,
        "Cloudflare Access, Tailscale, Pomerium, Authentik, Vouch, Teleport",
        "Cf-Access-* Tailscale-User-* X-Pomerium-* X-Authentik-* X-Vouch-* Teleport-Jwt-Assertion",
    ),
    Believed(
        Meaning.IDENTITY,
        "Shibboleth, SiteMinder, WebSEAL, Oracle Access Manager",
        "Shib-* EPPN SM-User SM-UserDN SM-UniversalID SM-ServerSessionID SM-AuthType IV-User "
        "IV-User-L IV-Groups IV-Creds OAM-Remote-User",
    ),
    Believed(
        Meaning.IDENTITY,
        "servers that take TLS client certificates from a proxy",
        "Client-Cert Client-Cert-Chain X-Client-Cert* X-Client-Verify X-Client-DN X-SSL-* "
        "SSL-Client-* X-TLS-Client-* X-ARR-ClientCert",
    ),
    Believed(
        Meaning.ADDRESS,
        "every server behind a proxy",
        "Forwarded Forwarded-For X-Forwarded X-Forwarded-* Via X-Real-IP X-Real-Port Client-IP "
        "X-Client-IP True-Client-IP X-True-Client-IP Cluster-Client-IP X-Cluster-Client-IP "
        "X-Originating-IP X-ProxyUser-IP Proxy-Client-IP WL-Proxy-Client-IP IV-Remote-Address "
        "Remote-Addr X-Original-For X-Original-Forwarded-For X-Original-Remote-Addr",
    ),
    Believed(
        Meaning.ADDRESS,
        "servers behind a CDN or a cloud's balancer",
        "CF-Connecting-IP CF-Connecting-IPv6 CF-Pseudo-IPv4 Fastly-Client-IP Fly-Client-IP "
        "X-Azure-ClientIP X-Azure-SocketIP X-Appengine-User-IP X-Appengine-Remote-Addr "
        "X-NF-Client-Connection-IP DO-Connecting-IP X-Vercel-Forwarded-For "
        "CloudFront-Viewer-Address X-Envoy-External-Address X-Sucuri-ClientIP Incap-Client-IP "
        "Ali-CDN-Real-IP CDN-Src-IP",
    ),
    Believed(
        Meaning.URL,
        "IIS, Symfony, nginx, Envoy, ASP.NET",
        "Host X-Host X-HTTP-Host-Override X-Original-Host X-Original-Port X-Original-Proto "
        "X-Original-Scheme X-Original-Prefix X-Original-Path X-Original-URI X-Original-URL "
        "X-Rewrite-URL X-WAWS-Unencoded-URL X-Envoy-Original-Path X-Envoy-Original-Host X-Scheme "
        "X-URL-Scheme Front-End-HTTPS",
    ),
    Believed(Meaning.URL, "WSGI servers", "Script-Name X-Script-Name Path-Info"),
    Believed(
        Meaning.URL,
        "Next.js",
        "X-Middleware-Subrequest X-Middleware-Subrequest-Id X-Invoke-Path X-Invoke-Query "
        "X-Matched-Path X-Now-Route-Matches",
    ),
    Believed(Meaning.URL, "CGI programs, as the proxy they go through (httpoxy)", "Proxy"),
    Believed(
        Meaning.METHOD,
        "Rack, Express, Laravel, ASP.NET",
        "X-HTTP-Method X-HTTP-Method-Override X-Method-Override X-Original-Method",
    ),
    Believed(Meaning.MESSAGE, "every hop", "Expect X-Request-ID"),
)

_PATTERNS = tuple(name.lower().encode() for one in TABLE for name in one.names.split())
NAMES = frozenset(name for name in _PATTERNS if not name.endswith(b"*"))
FAMILIES = tuple(name.removesuffix(b"*") for name in _PATTERNS if name.endswith(b"*"))
