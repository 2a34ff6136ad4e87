// express-openid-connect with its sessions in Redis, in front of the API: the bearer token added, the
// cookies taken off. PORT, ISSUER, CLIENT_ID, CLIENT_SECRET, SCOPE, REDIS and UPSTREAM (ports).
const { RedisStore } = require('connect-redis');
const express = require('express');
const { auth, requiresAuth } = require('express-openid-connect');
const { createProxyMiddleware } = require('http-proxy-middleware');
const http = require('node:http');
const { createClient } = require('redis');

const { PORT, ISSUER, CLIENT_ID, CLIENT_SECRET, SCOPE, REDIS, UPSTREAM } = process.env;

async function main() {
  const client = createClient({ url: `redis://127.0.0.1:${REDIS}` });
  await client.connect();
  const app = express();
  app.use(auth({
    issuerBaseURL: ISSUER,
    baseURL: `http://127.0.0.1:${PORT}`,
    clientID: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    clientAuthMethod: 'client_secret_basic',
    secret: 'bench-secret-0123456789abcdef0123456789',
    idTokenSigningAlg: 'RS256',
    authRequired: false,
    authorizationParams: { response_type: 'code', scope: SCOPE },
    session: { store: new RedisStore({ client, prefix: 'express:' }) },
  }));
  const addToken = (request, _response, next) => {
    request.headers.authorization = `Bearer ${request.oidc.accessToken.access_token}`;
    delete request.headers.cookie;
    next();
  };
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
  // The path that was mounted on is cut off by express; the target puts it back.
  const proxy = createProxyMiddleware({ target: `http://127.0.0.1:${UPSTREAM}/api`, agent });
  app.use('/api', requiresAuth(), addToken, proxy);
  app.listen(Number(PORT), '127.0.0.1');
}

main();
