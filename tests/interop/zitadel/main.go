// The example OP of github.com/zitadel/oidc on loopback, for the interop tests of the gateway.
//
// The protocol is the library's and the store is its example's. Of our own are the client, the lifetime of
// access tokens, which the example fixes at five minutes, and the post-logout redirect URI, which
// it leaves out.
//
// PORT           where to listen
// ISSUER         the address it is known by
// GATEWAY        origin of the gateway, for its redirect URIs
// CLIENT_SECRET  that of the client "web"
// AT_TTL         lifetime of access tokens, in seconds
//
// Ends when stdin closes: with the process that started it.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var errExpired = errors.New("token is expired")

// shortLived is the example's storage with access tokens that expire sooner.
type shortLived struct {
	*storage.Storage
	lifetime   time.Duration
	postLogout string
	lock       sync.Mutex
	expiries   map[string]time.Time // by token ID
}

func (s *shortLived) CreateAccessAndRefreshTokens(
	ctx context.Context, request op.TokenRequest, current string,
) (string, string, time.Time, error) {
	id, refresh, _, err := s.Storage.CreateAccessAndRefreshTokens(ctx, request, current)
	return id, refresh, s.remember(id), err
}

func (s *shortLived) CreateAccessToken(ctx context.Context, request op.TokenRequest) (string, time.Time, error) {
	id, _, err := s.Storage.CreateAccessToken(ctx, request)
	return id, s.remember(id), err
}

func (s *shortLived) SetUserinfoFromToken(
	ctx context.Context, info *oidc.UserInfo, token, subject, origin string,
) error {
	if s.isExpired(token) {
		return errExpired
	}
	return s.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

func (s *shortLived) SetIntrospectionFromToken(
	ctx context.Context, answer *oidc.IntrospectionResponse, token, subject, client string,
) error {
	if s.isExpired(token) {
		return errExpired
	}
	return s.Storage.SetIntrospectionFromToken(ctx, answer, token, subject, client)
}

func (s *shortLived) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	return withPostLogout{client, s.postLogout}, err
}

func (s *shortLived) remember(token string) time.Time {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.expiries[token] = time.Now().Add(s.lifetime)
	return s.expiries[token]
}

func (s *shortLived) isExpired(token string) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return time.Now().After(s.expiries[token])
}

// withPostLogout is the example's client with a post-logout redirect URI.
type withPostLogout struct {
	op.Client
	uri string
}

func (c withPostLogout) PostLogoutRedirectURIs() []string { return []string{c.uri} }

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	issuer, gateway := os.Getenv("ISSUER"), os.Getenv("GATEWAY")
	seconds, err := strconv.Atoi(os.Getenv("AT_TTL"))
	if err != nil {
		logger.Error("AT_TTL is no number", "error", err)
		os.Exit(1)
	}
	storage.RegisterClients(storage.WebClient("web", os.Getenv("CLIENT_SECRET"), gateway+"/bff/callback"))
	store := &shortLived{
		Storage:    storage.NewStorage(storage.NewUserStore(issuer)),
		lifetime:   time.Duration(seconds) * time.Second,
		postLogout: gateway + "/",
		expiries:   map[string]time.Time{},
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	err = http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), exampleop.SetupServer(issuer, store, logger, false))
	logger.Error("server terminated", "error", err)
	os.Exit(1)
}
