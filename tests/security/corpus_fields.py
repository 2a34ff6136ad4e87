"""Header fields that try to speak for the gateway, by name as some server folds it.

None of these may pass to an upstream, in any case and with `_` or `-`.
"""

IDENTITY = [
    "Authorization", "Proxy-Authorization", "DPoP", "Cookie", "Remote-User", "X-Remote-User",
    "X-User", "X-User-Id", "X-User-Email", "X-User-Roles", "X-User-Groups", "X-Forwarded-User",
    "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token", "X-Auth-Request-User", "X-Auth-Request-Email",
    "X-Auth-Request-Groups", "X-Auth-Request-Access-Token", "X-Auth-Request-Preferred-Username",
    "X-Remote-Group", "X-Remote-Extra-Scopes", "OIDC-Claim-sub", "X-WEBAUTH-USER",
    "X-MS-CLIENT-PRINCIPAL", "X-MS-Client-Principal-Id", "X-Consumer-Username",
    "X-Authenticated-Userid", "X-Amzn-Oidc-Data", "X-Goog-IAP-JWT-Assertion",
    "Cf-Access-Jwt-Assertion", "Tailscale-User-Login", "X-Client-Cert", "SSL-Client-Verify",
]  # fmt: skip
ADDRESS = [
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme",
    "X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Method", "X-Forwarded-Client-Cert",
    "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-Original-Host",
    "X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Original-Forwarded-For",
    "X-Rewrite-URL", "Via", "Host", "X-Request-ID", "CF-Connecting-IP", "Client-IP",
    "Fastly-Client-IP", "X-Middleware-Subrequest", "Script-Name", "Proxy",
]  # fmt: skip
MEANING = ["X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "Expect"]
HOP_BY_HOP = [
    "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
    "Proxy-Authentication-Info", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings",
]  # fmt: skip

# Read by the gate and passed as the browser sent them: in this spelling only.
JUDGED = [
    "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User", "User-Agent",
    "Content-Length", "Sec-WebSocket-Key", "Access-Control-Request-Method", "X-CSRF",
]  # fmt: skip

NAMES = [*IDENTITY, *ADDRESS, *MEANING, *HOP_BY_HOP]

# Near misses that are the application's own: they pass as they are.
PASSED = [
    "Accept", "Content-Type", "X-Custom", "X-Custom_Field", "X-Users", "XX-User", "User-Agent",
    "X-Userland", "X-User-Timezone", "X-User-Agent", "X-Original-Filename", "X-Original-Size",
    "X-API-Key", "X-Auth-Token", "Oidcx", "X-Consumers", "Proxy2", "X-MS-Blob-Type", "Remote-Addr2",
    "Authorization2", "X-Forwardedfor", "XForwarded-For", "Viable", "Hosts",
    "traceparent", "tracestate", "If-Match", "Range", "Idempotency-Key", "X-Requested-With",
]  # fmt: skip
