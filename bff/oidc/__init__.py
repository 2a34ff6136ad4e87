"""The OpenID relying party. `relying_party.RelyingParty` is the facade that the gateway uses.

Each protocol step is a function that builds a request and a pure function that judges the answer;
`provider.http.OpHttp` is the only way out. Nothing here knows a session store, a cookie or a
browser.
"""
