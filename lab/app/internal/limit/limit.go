// Package limit counts requests in Redis. It promises one count per address for
// all servers together, and to let everybody in while Redis is away.
package limit

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// What an address may ask, and how long Redis may take to say so.
const (
	requests = 100
	window   = time.Minute
	patience = 200 * time.Millisecond
)

// Limiter counts.
type Limiter struct{ redis *redis.Client }

// Open connects to Redis, which must answer once: without it there is no start.
func Open(ctx context.Context, url string) (*redis.Client, error) {
	options, err := redis.ParseURL(withScheme(url))
	if err != nil {
		return nil, fmt.Errorf("read REDIS_URL: %w", err)
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	client := redis.NewClient(options)
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	return client, nil
}

func withScheme(url string) string {
	if strings.Contains(url, "://") {
		return url
	}
	return "redis://" + url
}

// New counts in the given Redis.
func New(client *redis.Client) *Limiter { return &Limiter{client} }

// Wrap refuses, with 429, whoever asks too much of next.
func (l *Limiter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.allow(r.Context(), address(r)) {
			http.Error(w, "Too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l *Limiter) allow(ctx context.Context, who string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	key := "ratelimit:" + who
	count, err := l.redis.Incr(ctx, key).Result()
	if err != nil {
		return true
	}
	if count == 1 {
		l.redis.Expire(ctx, key, window)
	}
	return count <= requests
}

// address believes the header, whoever sent it, and the connection otherwise.
func address(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	if first = strings.TrimSpace(first); first != "" {
		return first
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
