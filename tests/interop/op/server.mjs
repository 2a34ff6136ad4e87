// A real, certified OP (npm oidc-provider) on loopback, for the interop tests of the gateway.
//
// PORT      where to listen
// ISSUER    the address it is known by, http://127.0.0.1:PORT unless given
// CLIENT_SECRET  that of all clients; one with awkward characters unless given
// CLIENT_JWKS  a JWK Set, for the clients that authenticate by a key or sign their requests; without it there are none
// GATEWAY   origin of the gateway, for its redirect URIs
// REDIRECT_URIS, RETURNS  further redirect URIs, and addresses after a logout, with spaces between
// INITIAL_ACCESS_TOKEN  lets clients register themselves; without it none can
// AT_TTL    lifetime of access tokens, in seconds
// RT_TTL    lifetime of refresh tokens, in seconds
// FAPI      1: it enforces FAPI 2.0 for its clients `fapi` and `fapi-signing`
// DPOP_NONCES  1: proofs of a key must have one of the OP's nonces
// ROTATE    1: every refresh gives a new refresh token, and a spent one revokes its grant; 0: never
//
// Prints one JSON object a line on stdout for whatever a test may want to count, made-up tokens
// included. Ends on SIGTERM, and when stdin closes: with the process that started it.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { PORT = '9460', GATEWAY = 'http://localhost:8080', AT_TTL = '60', RT_TTL = '3600', ROTATE = '1' } = process.env;
const issuer = process.env.ISSUER ?? `http://127.0.0.1:${PORT}`;
const say = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields }));

const key = (kid, alg, type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', kid, alg,
});
const keys = [
  key('rs256', 'RS256', 'rsa', { modulusLength: 2048 }),
  key('ps256', 'PS256', 'rsa', { modulusLength: 2048 }),
  key('es256', 'ES256', 'ec', { namedCurve: 'P-256' }),
];

const words = (text = '') => text.split(' ').filter(Boolean);
const secret = process.env.CLIENT_SECRET ?? 'interop-secret-0123456789+/=% interop';
const gateway = (client_id, more) => ({
  client_id,
  client_secret: secret,
  redirect_uris: [`${GATEWAY}/bff/callback`, ...words(process.env.REDIRECT_URIS)],
  post_logout_redirect_uris: [`${GATEWAY}/`, ...words(process.env.RETURNS)],
  backchannel_logout_uri: `${GATEWAY}/bff/backchannel-logout`,
  backchannel_logout_session_required: true,
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token'],
  ...more,
});
const fapi = process.env.FAPI === '1';
const fapiClient = (client_id, more) => gateway(client_id, {
  client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks: JSON.parse(process.env.CLIENT_JWKS),
  id_token_signed_response_alg: 'PS256', dpop_bound_access_tokens: true, require_pushed_authorization_requests: true, ...more,
});
const clients = [
  gateway('basic', { authorization_details_types: ['payment'],
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  }),
  gateway('post', { token_endpoint_auth_method: 'client_secret_post' }),
  gateway('es256', { id_token_signed_response_alg: 'ES256' }),
  gateway('ps256', { id_token_signed_response_alg: 'PS256' }),
  gateway('jwt', { token_endpoint_auth_method: 'client_secret_jwt' }),
  ...(process.env.CLIENT_JWKS ? [gateway('key', {
    client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks: JSON.parse(process.env.CLIENT_JWKS),
  })] : []),
  ...(process.env.CLIENT_JWKS ? [gateway('signing', {
    require_signed_request_object: true, jwks: JSON.parse(process.env.CLIENT_JWKS),
  })] : []),
  ...(fapi ? [fapiClient('fapi'), fapiClient('fapi-signing', {
    require_signed_request_object: true, authorization_signed_response_alg: 'PS256', response_modes: ['query.jwt'],
  })] : []),
  gateway('bound', { dpop_bound_access_tokens: true }),
  // Asks about tokens, as an API behind the gateway does; has none of its own.
  { client_id: 'api', client_secret: secret, token_endpoint_auth_method: 'client_secret_post',
    redirect_uris: [], response_types: [], grant_types: [] },
];

const provider = new Provider(issuer, {
  clients,
  jwks: { keys },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'api:read'],
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `${sub} of Interop`, email: `${sub}@example.test`, email_verified: true }),
  }),
  pkce: { required: () => true },
  rotateRefreshToken: () => ROTATE === '1',
  ttl: {
    AccessToken: Number(AT_TTL), RefreshToken: Number(RT_TTL), AuthorizationCode: 60, IdToken: 300,
    Interaction: 600, Session: 86400, Grant: 86400,
  },
  // Version 9 refuses to POST logout tokens to loopback, by a dispatcher that guards against SSRF.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    claimsParameter: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => fapi || process.env.DPOP_NONCES === '1' },
    requestObjects: { enabled: true },
    jwtResponseModes: { enabled: true },
    richAuthorizationRequests: {
      enabled: true,
      types: { payment: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx) => JSON.parse(ctx.oidc.params.authorization_details),
      authorizationDetailsForAccessToken: (_ctx, _token, source) => source?.rar,
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
    ...(fapi ? {
      fapi: { enabled: true, profile: '2.0' },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    } : {}),
    revocation: { enabled: true },
    introspection: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
    ...(process.env.INITIAL_ACCESS_TOKEN && {
      registration: { enabled: true, initialAccessToken: process.env.INITIAL_ACCESS_TOKEN },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    }),
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, audience) => ({
        audience, scope: 'api:read', accessTokenFormat: 'jwt', accessTokenTTL: Number(AT_TTL),
        ...(fapi ? { jwt: { sign: { alg: 'PS256' } } } : {}),
      }),
    },
  },
});

// --- what the tests count

provider.on('grant.success', (ctx) => {
  const { params, entities, client } = ctx.oidc;
  const { access_token, refresh_token, id_token } = ctx.body;
  say('token_issued', {
    grant_type: params.grant_type, client_id: client.clientId, sub: entities.Account?.accountId,
    grant_id: entities.Grant?.jti, access_token, refresh_token, id_token,
  });
});
provider.on('grant.error', (ctx, error) => {
  const { error: code, error_detail: detail } = error;
  const reused = detail === 'refresh token already used';
  say(reused ? 'refresh_reused' : 'token_refused', { grant_type: ctx.oidc.params?.grant_type, code, detail });
});
provider.on('grant.revoked', (ctx, grant_id) => say('grant_revoked', { grant_id, route: ctx.oidc.route }));
provider.on('backchannel.success', (_ctx, client, sub, sid) => say('backchannel_sent', { client_id: client.clientId, sub, sid }));
provider.on('backchannel.error', (_ctx, error, client, sub, sid) =>
  say('backchannel_failed', { client_id: client.clientId, sub, sid, detail: error.message }));
provider.on('end_session.success', () => say('session_ended'));
for (const name of ['authorization', 'revocation', 'introspection', 'end_session', 'jwks', 'discovery', 'userinfo'])
  provider.on(`${name}.error`, (_ctx, error) => say('request_refused', { route: name, code: error.error, detail: error.error_description }));
provider.on('server_error', (_ctx, error) => say('server_error', { detail: error.stack }));

// --- what the tests steer: `hold` keeps the answers of refreshes back, after they took effect

let gate = Promise.resolve();
let open = () => {};
provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route === 'token' && ctx.oidc.params?.grant_type === 'refresh_token') await gate;
});
const controls = {
  '/control/hold': () => { gate = new Promise((resolve) => { open = resolve; }); },
  '/control/release': () => open(),
  '/control/mark': (mark) => say('mark', { mark }), // everything said before it has happened before it
};

const handle = provider.callback();
const server = createServer((req, res) => {
  const [path, query] = req.url.split('?');
  if (!(path in controls)) return handle(req, res);
  controls[path](query);
  return res.writeHead(204).end();
});
const stop = () => process.exit(0);
process.on('SIGTERM', stop);
process.stdin.on('end', stop).resume();
server.listen(Number(PORT), '127.0.0.1', () => say('ready', { issuer }));
